// What generated kernels reach on this machine: the efficiencies that predictions need and that no data sheet
// gives.
//
// Matrix kernels are measured by format on matrices of the shape of small experts, streaming from memory and in
// cache; other families in cache, one on each core. All cores work at the same time, as they do for a model:
// hardware threads share units, and a core alone runs at a higher clock. Fits are lines through two
// measurements, so that no number here belongs to one machine.
#include "compiler/cost/work.h"
#include "compiler/probe/kernel_timer.h"
#include "compiler/probe/measure.h"

#include <algorithm>
#include <functional>

namespace ktc {

using policy::FormatRates;

namespace {

constexpr int64_t kDepth = 2048;     // columns of measured matrices
constexpr int64_t kCachedRows = 128; // of matrices in cache, per thread

size_t weightBytes(const KtTypeInfo &format, int64_t n, int64_t k) {
  return static_cast<size_t>(n * (k / format.blockElements) * format.blockBytes);
}

// A `linear` kernel of `n` rows for `m` tokens (exactly, or at most with `dynamic`); its weights are operand 1.
std::unique_ptr<TimedKernel> linearKernel(const KtTypeInfo &format, x64::Isa isa, int64_t n, int64_t m,
                                          bool dynamic, bool prefetch, uint8_t *weights, int threads) {
  Params params = {{"format", std::string(format.name)},
                   {"n", n},
                   {"k", kDepth},
                   {"m", m},
                   {"dynamic", int64_t{dynamic}},
                   {"prefetch", int64_t{prefetch}},
                   {"x_stride", kDepth},
                   {"y_stride", n}};
  auto made = TimedKernel::make("linear", params, isa, threads);
  if (!made)
    return nullptr;
  TimedKernel &kernel = **made;
  // Large enough for rows of every activation type.
  kernel.ownOperand(static_cast<size_t>(m * kDepth) * 4 + ktQ8RowBytes(kDepth) * m);
  kernel.operand(weights);
  kernel.ownOperand(static_cast<size_t>(m * n) * 4);
  kernel.absent();
  kernel.units = static_cast<uint32_t>((n + KT_ROWS_PER_UNIT - 1) / KT_ROWS_PER_UNIT);
  kernel.step.nTokens = static_cast<uint32_t>(m);
  return std::move(*made);
}

// Measures one format at one level.
class FormatProbe {
public:
  FormatProbe(const KtTypeInfo &format, x64::Isa isa, const ProbeContext &context)
      : format(format), isa(isa), context(context), threads(static_cast<int>(context.cpus.size())) {}

  FormatRates run() {
    FormatRates rates;
    rates.stream = stream();
    line(1, tokensSeconds(1, false), 8, tokensSeconds(8, false), rates.tileWeights, rates.tileProducts);
    // Levels and formats without panels go by tiles here too, at any number of tokens.
    // As many as a chunk may have: their packed rows no longer fit in the first cache level.
    line(16, tokensSeconds(16, true), 512, tokensSeconds(512, true), rates.panelWeights, rates.panelProducts);
    return rates;
  }

  // Fewest tokens for which the panel path beats small tiles (17: it never does up to a panel); 0 at levels
  // without.
  int crossover() {
    if (isa < x64::Isa::Avx512)
      return 0;
    double panel = tokensSeconds(16, true);
    for (int m = 1; m <= 16; ++m)
      if (tokensSeconds(m, false) > panel)
        return m;
    return 17;
  }

  // Seconds of a dispatch to all threads that reads about `bytes` bytes of weights from memory; sets `read` to
  // how many. 0 if it cannot be measured.
  double dispatchSeconds(size_t bytes, double &read) {
    int64_t n = std::max<int64_t>(static_cast<int64_t>(bytes / weightBytes(format, 4, kDepth)), threads) * 4;
    size_t stride = weightBytes(format, n, kDepth);
    read = static_cast<double>(stride);
    if (!context.weights || stride > context.weights.size())
      return 0;
    auto kernel = linearKernel(format, isa, n, 1, false, context.prefetch, context.weights.data(), threads);
    std::vector<size_t> offsets(threads, context.offsets.front()); // the team walks together
    return kernel ? teamSeconds(*kernel, context.cpus, context.seconds * 4,
                                {1, context.weights.size(), stride, &offsets})
                  : 0;
  }

  // Bytes/s of one token with weights from memory. Every thread reads its own part, in calls of a megabyte.
  double stream() {
    int64_t n = static_cast<int64_t>((size_t{1} << 20) / weightBytes(format, 4, kDepth)) * 4;
    size_t stride = weightBytes(format, n, kDepth), slice = context.weights.size() / threads / 4096 * 4096;
    if (!context.weights || stride > slice)
      return 0;
    auto make = [&](int thread) {
      return linearKernel(format, isa, n, 1, false, context.prefetch, context.weights.data() + slice * thread,
                          1);
    };
    return static_cast<double>(stride) *
           callRate(make, context.cpus, 0.5, context.seconds, {1, slice, stride, &context.offsets});
  }

  // Seconds that a short dispatch with weights in cache takes longer with all threads, and a barrier, than its
  // share takes one of them.
  double teamOverhead() {
    const int64_t rows = kCachedRows * threads;
    std::vector<uint8_t> weights(weightBytes(format, rows, kDepth) + KT_BUFFER_ALIGNMENT, 0x2e);
    auto kernel = linearKernel(format, isa, rows, 1, false, context.prefetch, weights.data(), threads);
    auto make = [&](int) {
      return linearKernel(format, isa, kCachedRows, 1, false, context.prefetch, weights.data(), 1);
    };
    double alone = callRate(make, context.cpus, kBusy, context.seconds / 4) / threads;
    return kernel && alone > 0 ? teamSeconds(*kernel, context.cpus, context.seconds) - 1 / alone : 0;
  }

private:
  // Seconds per weight for `m` tokens, all threads, weights in cache.
  double tokensSeconds(int m, bool panel) {
    std::vector<uint8_t> weights(weightBytes(format, kCachedRows, kDepth) + KT_BUFFER_ALIGNMENT, 0x2e);
    auto make = [&](int) {
      return linearKernel(format, isa, kCachedRows, m, panel, context.prefetch, weights.data(), 1);
    };
    double rate = callRate(make, context.cpus, kBusy, context.seconds / 4);
    return rate > 0 ? 1 / (rate * kCachedRows * kDepth) : 0;
  }

  // The line a + m * b through two times per weight, as rates.
  static void line(int m1, double t1, int m2, double t2, double &weights, double &products) {
    if (t1 <= 0 || t2 <= 0)
      return;
    double slope = std::max((t2 - t1) / (m2 - m1), t2 / m2 * 0.05);
    products = 1 / slope;
    weights = 1 / std::max(t1 - m1 * slope, t1 * 0.01);
  }

  const KtTypeInfo &format;
  x64::Isa isa;
  const ProbeContext &context;
  const int threads;
};

// Items per second and core of a kernel outside of the matrix families, called by all cores.
double coreRate(const char *family, const Params &params, x64::Isa isa, const ProbeContext &context,
                const std::function<void(TimedKernel &)> &addOperands, uint32_t units, uint32_t tokens,
                uint32_t past) {
  auto make = [&](int) -> std::unique_ptr<TimedKernel> {
    auto made = TimedKernel::make(family, params, isa, 1);
    if (!made)
      return nullptr;
    addOperands(**made);
    (*made)->step = {tokens, past, 0, 0};
    (*made)->units = units;
    return std::move(*made);
  };
  DispatchShape shape;
  shape.family = family;
  shape.params = params;
  const double calls = callRate(make, context.cpus, kBusy, context.seconds / 2);
  return workOf(shape, tokens, past).items * calls / static_cast<double>(context.cpus.size());
}

std::vector<int32_t> countUp(int count, int from = 0) {
  std::vector<int32_t> values(count);
  for (int i = 0; i < count; ++i)
    values[i] = from + i;
  return values;
}

void rowRates(x64::Isa isa, const ProbeContext &context, std::map<std::string, double> &rates) {
  constexpr int64_t k = 2048, m = 4;
  const Params count = {{"m", m}, {"dynamic", int64_t{0}}};
  auto with = [&](Params params) {
    params.insert(count.begin(), count.end());
    return params;
  };
  auto measure = [&](const char *family, uint32_t units, const Params &params,
                     const std::function<void(TimedKernel &)> &operands) {
    if (double rate = coreRate(family, params, isa, context, operands, units, m, 0))
      rates[family] = rate;
  };
  const size_t rows = k * m * 4, q8 = ktQ8RowBytes(k) * m;
  measure("quantize", m, with({{"k", k}, {"rows", int64_t{1}}, {"x_stride", k}, {"x_row_stride", k}}),
          [&](TimedKernel &kernel) { kernel.ownOperand(rows), kernel.ownOperand(q8); });
  measure("rms_norm", m,
          with({{"k", k},
                {"eps", 1e-6},
                {"rows", int64_t{1}},
                {"x_stride", k},
                {"x_row_stride", k},
                {"y_stride", k},
                {"y_row_stride", k}}),
          [&](TimedKernel &kernel) {
            kernel.ownOperand(rows), kernel.ownOperand(k * 4), kernel.ownOperand(rows), kernel.ownOperand(q8);
          });
  measure("rope", 16 * m,
          with({{"dims", int64_t{128}},
                {"rows", int64_t{16}},
                {"x_stride", k},
                {"x_row_stride", int64_t{128}},
                {"style", std::string("neox")}}),
          [&](TimedKernel &kernel) {
            kernel.ownOperand(rows), kernel.ownOperand(64 * 64 * 8), kernel.numbers(countUp(m));
          });
  measure("kv_store", m,
          with({{"width", k}, {"x_stride", k}, {"kv_type", std::string("f16")}, {"cache_stride", k}}),
          [&](TimedKernel &kernel) {
            kernel.ownOperand(rows), kernel.ownOperand(rows), kernel.numbers(countUp(m));
          });
  measure("add", m, with({{"k", k}, {"x_stride", k}, {"y_stride", k}, {"gate", std::string("none")}}),
          [&](TimedKernel &kernel) { kernel.ownOperand(rows), kernel.ownOperand(rows), kernel.absent(); });
  measure("router_topk", m,
          with({{"experts", int64_t{128}},
                {"top_k", int64_t{8}},
                {"gating", std::string("softmax")},
                {"norm", int64_t{1}},
                {"scale", 1.0}}),
          [&](TimedKernel &kernel) {
            auto *logits = reinterpret_cast<float *>(kernel.ownOperand(128 * m * 4));
            for (int i = 0; i < 128 * m; ++i)
              logits[i] = static_cast<float>(i * 37 % 101) / 50; // all different, in no order
            kernel.absent(), kernel.ownOperand(8 * m * 4), kernel.ownOperand(8 * m * 4);
          });
  measure("expert_group", 1, with({{"experts", int64_t{128}}, {"top_k", int64_t{8}}}),
          [&](TimedKernel &kernel) {
            kernel.numbers(countUp(8 * m)), kernel.ownOperand(ktExpertListBytes(128, 8 * m));
          });
}

void attentionRates(x64::Isa isa, const ProbeContext &context, std::map<std::string, double> &rates) {
  const std::string type = "bf16";
  for (int64_t m : {int64_t{1}, int64_t{128}}) {
    const std::string suffix = m == 1 ? "" : kPrefillSuffix;
    const auto tokens = static_cast<uint32_t>(m);
    const uint32_t past = 512 - tokens;
    const std::vector<int32_t> positions = countUp(static_cast<int>(m), static_cast<int>(past));
    const Params gqa = {{"heads", int64_t{8}},
                        {"kv_heads", int64_t{1}},
                        {"head_dim", int64_t{128}},
                        {"v_dim", int64_t{128}},
                        {"scale", 0.1},
                        {"kv_type", type},
                        {"q_stride", int64_t{1024}},
                        {"y_stride", int64_t{1024}},
                        {"window", int64_t{0}},
                        {"m", m},
                        {"dynamic", int64_t{m > 1}}};
    const size_t cache = 512 * 128 * 4, rows = static_cast<size_t>(m) * 1024 * 4;
    if (double rate = coreRate(
            "attention_gqa", gqa, isa, context,
            [&](TimedKernel &kernel) {
              kernel.ownOperand(rows), kernel.ownOperand(cache), kernel.ownOperand(cache);
              kernel.ownOperand(rows), kernel.numbers(positions);
            },
            m > 1 ? tokens : 8, tokens, past))
      rates["attention_gqa" + suffix] = rate;
    const Params mla = {
        {"heads", int64_t{4}},      {"latent", int64_t{512}},   {"rope", int64_t{64}},         {"scale", 0.1},
        {"kv_type", type},          {"q_stride", int64_t{256}}, {"q_row_stride", int64_t{64}}, {"m", m},
        {"dynamic", int64_t{m > 1}}};
    if (double rate = coreRate(
            "attention_mla", mla, isa, context,
            [&](TimedKernel &kernel) {
              const size_t latents = static_cast<size_t>(m) * 4 * 512 * 4;
              kernel.ownOperand(latents), kernel.ownOperand(latents);
              kernel.ownOperand(512 * 576 * 4), kernel.ownOperand(latents);
              kernel.numbers(positions);
            },
            m > 1 ? tokens : 4, tokens, past))
      rates["attention_mla" + suffix] = rate;
  }
}

} // namespace

void measureFormats(const ProbeContext &context, const std::string &isaName, policy::CpuMachine &cpu) {
  std::optional<x64::Isa> isa = x64::parseIsa(isaName);
  if (!isa)
    return;
  for (uint32_t id = 0; id < 64; ++id) {
    const KtTypeInfo *format = ktTypeInfo(id);
    if (!format || !format->supported)
      continue;
    FormatProbe probe(*format, *isa, context);
    cpu.formats[isaName][format->name] = probe.run();
    if (format->id == KT_TYPE_Q4_K)
      if (int tokens = probe.crossover())
        cpu.panelCrossover[isaName] = tokens;
  }
}

double measureStreamGain(const ProbeContext &from, const ProbeContext &to, const std::string &isaName) {
  std::optional<x64::Isa> isa = x64::parseIsa(isaName);
  if (!isa)
    return 0;
  const KtTypeInfo &format = *ktTypeInfo(KT_TYPE_Q4_K);
  FormatProbe before(format, *isa, from), after(format, *isa, to);
  std::vector<double> gains;
  for (int round = 0; round < 9; ++round) {
    double rate = before.stream();
    gains.push_back(rate > 0 ? after.stream() / rate : 0);
  }
  std::nth_element(gains.begin(), gains.begin() + 4, gains.end());
  return gains[4];
}

void measureFamilies(const ProbeContext &context, const std::string &isaName, policy::CpuMachine &cpu) {
  std::optional<x64::Isa> isa = x64::parseIsa(isaName);
  if (!isa)
    return;
  rowRates(*isa, context, cpu.coreRates);
  attentionRates(*isa, context, cpu.coreRates);
  // What a dispatch costs beyond its work: in cache against one thread alone, and streaming, where the part of
  // the time that does not grow with the bytes counts.
  FormatProbe probe(*ktTypeInfo(KT_TYPE_Q4_K), *isa, context);
  double few = 0, many = 0, shortTime = probe.dispatchSeconds(size_t{2} << 20, few);
  double longTime = probe.dispatchSeconds(size_t{16} << 20, many);
  cpu.dispatchLatency = std::max(context.barrier, probe.teamOverhead());
  if (shortTime > 0 && longTime > shortTime && many > few)
    cpu.dispatchLatency =
        std::max(cpu.dispatchLatency, shortTime - few * (longTime - shortTime) / (many - few));
}

} // namespace ktc
