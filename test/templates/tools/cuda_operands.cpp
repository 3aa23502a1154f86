// See the header. The shapes are those of templates/README.md and templates/cuda/README.md.
#include "test/templates/tools/cuda_operands.h"

#include "test/templates/support/matrix_case.h"

#include <algorithm>
#include <numeric>
#include <random>

namespace ktc::cuda_timing {
namespace {

class Maker {
public:
  Maker(const Params &params, const Sizes &sizes) : params(params), sizes(sizes) {}

  std::vector<TimedOperand> operands = std::vector<TimedOperand>(16);

  void linear() {
    const uint64_t m = get("m"), batch = get("batch", 1), n = get("n"), k = get("k");
    activations(0, m * get("x_stride", batch * k), "x_type");
    weights(1, "format", batch * get("w_batch_rows", n), k);
    activations(2, m * get("y_stride", batch * n), "y_type");
    floats(3, flag("bias") ? batch * n : 0);
  }
  void gateUp() {
    const uint64_t m = get("m"), n = get("n"), k = get("k"), experts = get("experts", 1);
    activations(0, m * get("x_stride", k), "x_type");
    weights(2, "format_gate", experts * n, k);
    weights(3, "format_up", experts * n, k);
    activations(4, m * get("top_k", 1) * n, "y_type");
    lists(5);
    floats(7, flag("bias") ? experts * n : 0);
    floats(8, flag("bias") ? experts * n : 0);
  }
  void down() {
    const uint64_t m = get("m"), n = get("n"), k = get("k"), experts = get("experts", 1),
                   slots = m * get("top_k", 1);
    activations(0, slots * k, "x_type");
    weights(2, "format", experts * n, k);
    floats(3, std::max(slots * n, m * get("y_stride", n)));
    lists(4);
    floats(5, slots);
    floats(6, flag("bias") ? experts * n : 0);
  }
  void slotSum() {
    const uint64_t slots = get("m") * get("top_k");
    floats(0, slots * get("n"));
    floats(1, slots);
    floats(2, get("m") * get("y_stride", get("n")));
  }
  void attentionGqa() {
    const uint64_t m = get("m"), heads = get("heads"), kvHeads = get("kv_heads"), dim = get("head_dim"),
                   vDim = get("v_dim", dim);
    floats(0, m * get("q_stride", heads * dim));
    cache(1, kvHeads * dim);
    cache(2, kvHeads * vDim);
    floats(3, m * get("y_stride", heads * vDim));
    positions(4);
    floats(5, flag("sinks") ? heads : 0);
    floats(6, m * heads * get("splits", 1) * (vDim + 16));
    counters(7, m * heads);
  }
  void attentionMla() {
    const uint64_t m = get("m"), heads = get("heads"), latent = get("latent"), rope = get("rope");
    floats(0, m * heads * latent);
    floats(1, m * get("q_stride", heads * rope));
    cache(2, latent + rope);
    floats(3, m * heads * latent);
    positions(4);
    floats(6, m * heads * get("splits", 1) * (latent + 16));
    counters(7, m * heads);
  }
  void attentionMerge() {
    const uint64_t m = get("m"), heads = get("heads"), dim = get("v_dim");
    floats(0, m * heads * get("splits", 1) * (dim + 16));
    floats(1, m * get("y_stride", heads * dim));
    positions(2);
    floats(3, flag("sinks") ? heads : 0);
  }
  void attentionUp() {
    const uint64_t m = get("m"), heads = get("heads"), dim = get("v_dim");
    floats(0, m * heads * get("splits", 1) * (dim + 16));
    weights(1, "format", heads * get("n"), dim);
    floats(2, m * heads * get("n"));
    positions(4);
  }
  void rmsNorm() {
    const uint64_t k = get("k"), rows = get("m") * get("rows", 1), adds = get("adds", 0);
    floats(0, rows * std::max(get("x_row_stride", k), k));
    floats(1, k);
    // With a group: float32 for a router and quantised rows for experts; else what a product reads.
    const uint64_t written = rows * std::max(get("y_row_stride", k), k);
    if (get("group", 0) != 0) {
      floats(2, written);
      operands[3].bytes = rows * (k * 2 + 64);
    } else {
      operands[4].bytes = written * 2;
    }
    for (uint64_t i = 0; i < adds; ++i)
      floats(5 + i, rows * k);
    floats(7, stringParam(params, "add_gate", "none") == "none" ? 0 : rows);
    if (const uint64_t products = get("products", 0); products != 0) {
      operands[2].bytes = 0; // nobody else needs them
      operands[4].bytes = written * 2;
      operands[8] = {products * k * 4, products * k * 4, {}};
      floats(9, rows * products);
    }
  }

  void linearGroup() {
    const uint64_t m = get("m"), k = get("k");
    activations(0, m * get("x_stride", k), "x_type");
    for (size_t part = 0; part < 4; ++part) {
      const std::string number = std::to_string(part), format = "format" + number;
      const uint64_t n = get(("n" + number).c_str(), 0);
      if (n == 0)
        break;
      weights(1 + 3 * part, format.c_str(), n, k);
      floats(2 + 3 * part, m * get(("y_stride" + number).c_str(), n));
      floats(3 + 3 * part, flag(("bias" + number).c_str()) ? n : 0);
    }
  }
  void gqaPrepare() {
    const uint64_t m = get("m"), heads = get("heads"), kvHeads = get("kv_heads"), dim = get("head_dim"),
                   vDim = get("v_dim", dim), seen = static_cast<uint64_t>(sizes.past) + m;
    floats(0, m * get("q_stride", heads * dim));
    floats(1, m * get("k_stride", kvHeads * dim));
    floats(2, m * get("v_stride", kvHeads * vDim));
    floats(3, flag("norm") ? dim : 0);
    floats(4, flag("norm") ? dim : 0);
    floats(5, seen * get("dims", 0));
    positions(6);
    floats(7, seen * kvHeads * dim); // of any type
    floats(8, seen * kvHeads * vDim);
  }
  void mlaPrepare() {
    const uint64_t m = get("m"), heads = get("heads"), latent = get("latent"), rope = get("rope"),
                   seen = static_cast<uint64_t>(sizes.past) + m;
    floats(0, m * std::max(get("q_stride", heads * rope), heads * get("q_row_stride", rope)));
    floats(1, m * get("kv_stride", latent + rope));
    floats(2, latent);
    floats(3, seen * rope);
    positions(4);
    floats(5, seen * (latent + rope));
    if (params.contains("format")) {
      weights(7, "format", heads * latent, get("nope"));
      floats(8, m * heads * latent);
    }
  }
  void routerTopk() {
    const uint64_t m = get("m"), experts = get("experts"), slots = m * get("top_k");
    floats(0, m * experts);
    floats(1, flag("bias") ? experts : 0);
    floats(2, slots);
    floats(3, slots);
    for (size_t lists = 4; lists < 6; ++lists)
      floats(lists, flag("lists") ? 64 + 2 * experts + slots : 0);
  }

private:
  uint64_t get(const char *name, uint64_t fallback = 1) const {
    return static_cast<uint64_t>(std::max<int64_t>(0, intParam(params, name, static_cast<int64_t>(fallback))));
  }
  bool flag(const char *name) const { return intParam(params, name, 0) != 0; }

  void floats(size_t index, uint64_t count) { operands[index].bytes = count * 4; }
  // Counts of kernels with `merge`, which begin as zeros.
  void counters(size_t index, uint64_t count) {
    if (flag("merge"))
      operands[index] = {count * 4, 0, test::Bytes(count * 4)};
  }
  void activations(size_t index, uint64_t count, const char *type) {
    operands[index].bytes = count * (stringParam(params, type, "f32") == "bf16" ? 2 : 4);
  }
  void weights(size_t index, const char *format, uint64_t rows, uint64_t k) {
    const KtTypeInfo &info = test::formatInfo(stringParam(params, format, "f32"));
    const uint64_t bytes = rows * (k / info.blockElements) * info.blockBytes;
    operands[index] = {bytes, bytes, {}};
  }
  void cache(size_t index, uint64_t row) {
    const std::string type = stringParam(params, "kv_type", "bf16");
    const uint64_t bytes = type == "f32" ? row * 4 : type == "q8_0" ? row / 32 * 34 : row * 2;
    const uint64_t all = (static_cast<uint64_t>(sizes.past) + get("m")) * bytes;
    operands[index] = {all, all, {}};
  }
  void positions(size_t index) {
    std::vector<int32_t> values(get("m"));
    std::iota(values.begin(), values.end(), static_cast<int32_t>(sizes.past));
    operands[index] = {values.size() * 4, 0, test::toBytes(values)};
  }
  void lists(size_t index) {
    if (flag("dense"))
      return;
    const int64_t experts = static_cast<int64_t>(get("experts")), topK = static_cast<int64_t>(get("top_k"));
    std::mt19937 random(1);
    std::vector<int32_t> all(static_cast<size_t>(experts)), ids;
    std::iota(all.begin(), all.end(), 0);
    for (uint64_t t = 0; t < get("m"); ++t) {
      std::shuffle(all.begin(), all.end(), random);
      ids.insert(ids.end(), all.begin(), all.begin() + std::min(topK, experts));
    }
    test::Bytes content = test::expertLists(ids, experts);
    const uint64_t active = static_cast<uint64_t>(test::fromBytes<int32_t>(content)[0]);
    for (TimedOperand &operand : operands)
      operand.streamed = operand.streamed / get("experts") * active;
    operands[index] = {content.size(), 0, std::move(content)};
  }

  const Params &params;
  const Sizes &sizes;
};

} // namespace

std::vector<TimedOperand> timedOperands(const std::string &family, const Params &params, const Sizes &sizes) {
  static const std::map<std::string, void (Maker::*)()> makers = {
      {"linear", &Maker::linear},
      {"gate_up", &Maker::gateUp},
      {"down", &Maker::down},
      {"down_slots", &Maker::down},
      {"slot_sum", &Maker::slotSum},
      {"attention_gqa", &Maker::attentionGqa},
      {"attention_mla", &Maker::attentionMla},
      {"attention_merge", &Maker::attentionMerge},
      {"attention_up", &Maker::attentionUp},
      {"rms_norm", &Maker::rmsNorm},
      {"linear_group", &Maker::linearGroup},
      {"gqa_prepare", &Maker::gqaPrepare},
      {"mla_prepare", &Maker::mlaPrepare},
      {"router_topk", &Maker::routerTopk},
  };
  Maker maker(params, sizes);
  if (auto found = makers.find(family); found != makers.end())
    (maker.*found->second)();
  for (const auto &[index, bytes] : sizes.operands) {
    maker.operands.resize(std::max(maker.operands.size(), index + 1));
    maker.operands[index].bytes = bytes;
  }
  return maker.operands;
}

} // namespace ktc::cuda_timing
