// See work.h. The meaning of the parameters is in templates/README.md.
#include "compiler/cost/work.h"

#include "runtime/abi/kt_types.h"

#include <algorithm>
#include <cmath>

namespace ktc {

namespace {

class Counter {
public:
  Counter(const DispatchShape &dispatch, int64_t tokens, int64_t past)
      : dispatch(dispatch), tokens(tokens), past(past) {}

  Work count() {
    const std::string &family = dispatch.family;
    if (family == "linear") {
      add("format", param("batch", 1) * param("n"));
    } else if (family == "linear_group") {
      for (const Params &part : linearParts(dispatch.params)) {
        const Work one = workOf({.family = "linear", .params = part}, tokens, past);
        work.matrices.insert(work.matrices.end(), one.matrices.begin(), one.matrices.end());
      }
    } else if (family == "gate_up") {
      add("format_gate", param("n"));
      add("format_up", param("n"));
    } else if (family == "down" || family == "down_slots") {
      add("format", param("n"));
    } else if (family == "attention_gqa" || family == "attention_mla") {
      attention(family == "attention_gqa");
    } else if (family == "router_topk") {
      work.items = each(param("experts") * param("top_k"));
    } else if (family == "expert_group") {
      work.items = each(param("top_k")) + param("experts");
    } else if (family == "pack") {
      work.items = each(param("top_k", 1) * param("k"));
    } else if (family == "rope") {
      work.items = each(param("rows", 1) * param("dims"));
    } else if (family == "attention_merge") {
      work.items = each(param("heads") * param("splits", 1) * param("v_dim"));
    } else if (family == "attention_up") {
      work.items = each(param("heads") * param("splits", 1) * param("v_dim"));
      add(stringParam(dispatch.params, "format", ""), param("heads") * param("n"), param("v_dim"));
    } else if (family == "kv_store") {
      work.items = each(param("width"));
    } else if (family == "gqa_prepare") {
      work.items =
          each((param("heads") + param("kv_heads")) * param("head_dim") + param("kv_heads") * param("v_dim"));
    } else if (family == "mla_prepare") {
      work.items = each((param("heads") + 1) * param("rope") + param("latent"));
      if (dispatch.params.contains("format"))
        add(stringParam(dispatch.params, "format", ""), param("heads") * param("latent"), param("nope"));
    } else if (family == "slot_sum") {
      work.items = each(param("top_k") * param("n"));
    } else if (family == "top_logits") {
      work.items = each(param("n"));
    } else if (family == "copy_rows") {
      work.hostBytes = each(param("bytes"));
    } else {
      work.items = each(param("rows", 1) * param("k"));
      if (const double products = param("products"); products > 0)
        add("f32", products, param("k"));
    }
    return std::move(work);
  }

private:
  double param(const char *name, int64_t fallback = 0) const {
    return static_cast<double>(intParam(dispatch.params, name, fallback));
  }
  double each(double items) const { return items * static_cast<double>(tokens); }

  void add(const char *formatParam, double rows) {
    add(stringParam(dispatch.params, formatParam, ""), rows, param("k"));
  }
  void add(std::string format, double rows, double k) {
    MatrixWork matrix;
    matrix.format = std::move(format);
    matrix.weights = rows * k;
    matrix.bytes = matrix.weights;
    if (const KtTypeInfo *info = ktTypeInfoNamed(matrix.format.data(), matrix.format.size()))
      matrix.bytes = matrix.weights / info->blockElements * info->blockBytes;
    if (int64_t experts = intParam(dispatch.params, "experts", 1);
        experts > 1 && !intParam(dispatch.params, "dense", 0)) {
      matrix.experts = experts;
      matrix.chosenShare =
          std::min(1.0, param("choices", intParam(dispatch.params, "top_k", 1)) / static_cast<double>(experts));
    }
    work.matrices.push_back(std::move(matrix));
  }

  // Keys that all tokens look at: token i sees past + i + 1 of them, at most `window`.
  double keysSeen() const {
    int64_t window = intParam(dispatch.params, "window", 0);
    double sum = 0;
    for (int64_t i = 0; i < tokens; ++i)
      sum += static_cast<double>(window > 0 ? std::min(window, past + i + 1) : past + i + 1);
    return sum;
  }

  void attention(bool gqa) {
    double perKey = gqa ? param("head_dim") + param("v_dim") : 2 * param("latent") + param("rope");
    work.items = param("heads") * perKey * keysSeen();
    double row = gqa ? param("kv_heads") * perKey : param("latent") + param("rope");
    int64_t window = intParam(dispatch.params, "window", 0);
    int64_t keys = window > 0 ? std::min(window + tokens, past + tokens) : past + tokens;
    const std::string type = stringParam(dispatch.params, "kv_type", "f16");
    double bytes = type == "f32" ? 4 : type == "q8_0" ? 34.0 / 32 : 2;
    work.cacheBytes = row * bytes * static_cast<double>(keys);
  }

  const DispatchShape &dispatch;
  const int64_t tokens, past;
  Work work;
};

} // namespace

Work workOf(const DispatchShape &dispatch, int64_t tokens, int64_t past) {
  return Counter(dispatch, tokens, past).count();
}

double expectedExperts(const MatrixWork &matrix, int64_t tokens) {
  return static_cast<double>(matrix.experts) *
         (1 - std::pow(1 - matrix.chosenShare, static_cast<double>(tokens)));
}

std::vector<double> rowDistribution(double share, int64_t tokens) {
  std::vector<double> probability(tokens + 1, 0.0);
  if (share >= 1 || share <= 0) {
    probability[share >= 1 ? tokens : 0] = 1;
    return probability;
  }
  // By logarithms: (1 - share)^tokens underflows for long prompts.
  const double n = static_cast<double>(tokens);
  for (int64_t rows = 0; rows <= tokens; ++rows) {
    const double r = static_cast<double>(rows);
    double log = std::lgamma(n + 1) - std::lgamma(r + 1) - std::lgamma(n - r + 1) + r * std::log(share) +
                 (n - r) * std::log1p(-share);
    probability[rows] = log < -40 ? 0 : std::exp(log);
  }
  return probability;
}

} // namespace ktc
