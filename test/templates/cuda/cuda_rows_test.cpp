// rms_norm, quantize, rope and kv_store on the GPU.
#include "templates/reference/quantize_row.h"
#include "templates/specs.h"
#include "test/templates/cuda/cuda_sweep.h"

#include <cmath>

namespace ktc::test {
namespace {

using Visit = std::function<void(const KernelCase &)>;

// ---- rms_norm
// ---------------------------------------------------------------------------------------------------

struct Norm {
  int64_t k, m = 1, tokens = 1; // more capacity than tokens: dynamic
  int64_t group = 32, rows = 1, adds = 0;
  bool gate = false, weights = true, rowOffset = false;
  int64_t gap = 0; // between rows of x and of y
};

KernelCase normCase(const Norm &norm) {
  KernelCase result;
  const int64_t rowStride = norm.k + norm.gap, stride = norm.rows * rowStride,
                rowOffset = norm.rowOffset ? 3 : 0;
  result.family = "rms_norm";
  result.params = {{"k", norm.k},
                   {"eps", 1e-6},
                   {"rows", norm.rows},
                   {"m", norm.m},
                   {"dynamic", int64_t(norm.tokens != norm.m)},
                   {"x_stride", stride},
                   {"x_row_stride", rowStride},
                   {"y_stride", stride},
                   {"y_row_stride", rowStride},
                   {"group", norm.group},
                   {"row_offset", int64_t(norm.rowOffset)},
                   {"adds", norm.adds},
                   {"add_gate", norm.gate ? "sigmoid" : "none"}};
  const size_t elements = size_t(norm.m * stride), added = size_t(norm.m * norm.k);
  const bool quantizable = norm.k % norm.group == 0;
  result.operands = {
      toBytes(randomFloats(1, elements + size_t(rowOffset * stride), 2.0f)),
      norm.weights ? toBytes(randomFloats(2, size_t(norm.k))) : Bytes(),
      Bytes(elements * 4, 0x11),
      quantizable ? Bytes(size_t(norm.m * norm.rows) * quantizedRowBytes(norm.k, norm.group), 0x22) : Bytes(),
      Bytes(elements * 2, 0x33),
      norm.adds > 0 ? toBytes(randomFloats(3, added)) : Bytes(),
      norm.adds > 1 ? toBytes(randomFloats(4, added)) : Bytes(),
      norm.gate ? toBytes(randomFloats(5, size_t(norm.m))) : Bytes()};
  result.outputs = {2, 4};
  if (quantizable)
    result.outputs.push_back(3);
  if (norm.adds > 0)
    result.outputs.push_back(0);
  result.units = uint32_t(norm.tokens * norm.rows);
  result.step = {uint32_t(norm.tokens), 0, uint32_t(rowOffset), 1};
  return result;
}

// Quantised rows must be, byte for byte, those of the float32 rows that the kernel wrote beside them.
void checkNorm(const KernelCase &norm) {
  std::vector<Bytes> reference = cudaCompileOnly() ? norm.operands : runReference(norm);
  kt::Result<std::vector<Bytes>> got = runCuda(norm);
  ASSERT_TRUE(static_cast<bool>(got)) << got.error().message;
  const int64_t k = intParam(norm.params, "k", 0), group = intParam(norm.params, "group", 32);
  if (!cudaCompileOnly() && !norm.operands[3].empty()) {
    const int64_t rows = intParam(norm.params, "rows", 1), stride = intParam(norm.params, "y_row_stride", k);
    const std::vector<float> y = fromBytes<float>((*got)[2]);
    Bytes rowsWanted = norm.operands[3];
    for (int64_t row = 0; row < int64_t(norm.step.nTokens) * rows; ++row) {
      Bytes quantized(quantizedRowBytes(k, group), 0x22);
      reference::quantizeRow(&y[size_t(row * stride)], size_t(k), size_t(group), quantized.data());
      std::copy(quantized.begin(), quantized.end(), rowsWanted.begin() + row * int64_t(quantized.size()));
    }
    reference[3] = rowsWanted;
  }
  checkCuda(
      norm,
      [](size_t operand, const Bytes &actual, const Bytes &want) {
        if (operand == 3)
          expectEqual(operand, actual, want);
        else if (operand == 4)
          closerThan(1e-5, {4})(operand, actual, want);
        else
          closerThan(1e-10)(operand, actual, want);
      },
      reference);
}

void sweepNorms(const Visit &visit) {
  for (int64_t k : {32, 256, 1024, 2048, 2880, 4096, 5120, 7168, 8192, 16384})
    visit(normCase({.k = k, .group = k % 256 == 0 ? 256 : 32, .adds = k % 3}));
  for (int64_t adds : {0, 1, 2})
    for (bool gate : {false, true})
      for (int64_t m : {1, 2, 16})
        if (!gate || adds > 0)
          visit(normCase({.k = 2048, .m = m, .tokens = m, .group = 256, .adds = adds, .gate = gate}));
  for (int64_t k : {1, 31, 33, 100, 250, 2052})
    visit(normCase({.k = k, .m = 2, .tokens = 2, .gap = 3}));
  for (int64_t tokens : {1, 7, 63})
    visit(normCase({.k = 512, .m = 64, .tokens = tokens, .rows = 3, .gap = 8}));
  visit(normCase({.k = 7168, .m = 64, .tokens = 33, .group = 256, .adds = 2}));
  visit(normCase({.k = 128, .m = 4, .tokens = 4, .rows = 32}));
  visit(normCase({.k = 2048, .m = 2, .tokens = 2, .rowOffset = true}));
  visit(normCase({.k = 2048, .weights = false}));
}

// Products of the normed rows; without `keepsRows` nobody wants the rows as float32.
KernelCase productsCase(const Norm &norm, int64_t products, bool keepsRows) {
  KernelCase result = normCase(norm);
  result.params["products"] = products;
  result.operands.push_back(toBytes(randomFloats(6, size_t(products * norm.k), 0.1f)));
  result.operands.push_back(Bytes(size_t(norm.m * products) * 4, 0x44));
  result.outputs.push_back(9);
  if (!keepsRows) {
    result.operands[2].clear();
    std::erase(result.outputs, size_t(2));
    result.operands[3].clear(); // cannot be compared without them
    std::erase(result.outputs, size_t(3));
  }
  return result;
}

void sweepProducts(const Visit &visit) {
  for (int64_t m : {1, 2, 3, 4, 5, 16})
    for (bool keepsRows : {false, true})
      visit(productsCase({.k = 2048, .m = m, .tokens = m, .group = 256}, 64, keepsRows));
  visit(productsCase({.k = 7168, .group = 256}, 256, true)); // DeepSeek-V3
  visit(productsCase({.k = 4096, .m = 2, .tokens = 2, .group = 256}, 128, false));
  visit(productsCase({.k = 2880}, 32, true));
  visit(productsCase({.k = 256, .m = 3, .tokens = 3, .weights = false}, 16, true));
  visit(productsCase({.k = 64, .gap = 8}, 1, true));
  visit(productsCase({.k = 12288, .group = 256}, 8, false));
}

// ---- quantize, rope, kv_store
// -----------------------------------------------------------------------------------

KernelCase quantizeCase(int64_t k, int64_t group, int64_t m, int64_t tokens, int64_t rows, float deviation) {
  KernelCase result;
  result.family = "quantize";
  result.params = {{"k", k}, {"group", group}, {"rows", rows}, {"m", m}, {"dynamic", int64_t(m != tokens)}};
  std::vector<float> x = randomFloats(7, size_t(m * rows * k), deviation);
  std::fill(x.begin(), x.begin() + group, 0.0f); // a block of zeros
  result.operands = {toBytes(x), Bytes(size_t(m * rows) * quantizedRowBytes(k, group), 0x44)};
  result.outputs = {1};
  result.units = uint32_t(tokens * rows);
  result.step = {uint32_t(tokens), 0, 0, 1};
  return result;
}

constexpr int Context = 40;

KernelCase ropeCase(int64_t dims, int64_t rows, const std::string &style, int64_t gap, bool dynamic) {
  const std::vector<int32_t> positions = {Context - 1, 0, 3, 11};
  const int64_t rowStride = dims + gap, stride = rows * rowStride + gap;
  KernelCase result;
  result.family = "rope";
  result.params = {{"dims", dims},   {"rows", rows},         {"x_row_stride", rowStride},  {"x_stride", stride},
                   {"style", style}, {"m", dynamic ? 9 : 4}, {"dynamic", int64_t(dynamic)}};
  result.operands = {toBytes(randomFloats(1, size_t(4 * stride))),
                     toBytes(randomFloats(2, size_t(Context * dims))), toBytes(positions)};
  result.outputs = {0};
  result.units = uint32_t(4 * rows);
  result.step = {4, 0, 0, 1};
  return result;
}

KernelCase storeCase(int64_t width, const std::string &type, int64_t gap, float deviation) {
  const std::vector<int32_t> positions = {4, 5, 0};
  KernelCase result;
  result.family = "kv_store";
  result.params = {{"width", width},
                   {"x_stride", width + gap},
                   {"kv_type", type},
                   {"cache_stride", width + 2 * gap},
                   {"m", 3}};
  std::vector<float> cache(size_t(Context * (width + 2 * gap)), 1.0f);
  result.operands = {toBytes(randomFloats(1, size_t(3 * (width + gap)), deviation)), cacheBytes(cache, type),
                     toBytes(positions)};
  result.outputs = {1};
  result.units = 3;
  result.step = {3, 0, 0, 1};
  return result;
}

void sweepQuantize(const Visit &visit) {
  for (float deviation : {1.0f, 1e-38f, 1e30f}) {
    visit(quantizeCase(2048, 256, 1, 1, 1, deviation));
    visit(quantizeCase(1408, 32, 3, 3, 2, deviation));
  }
  visit(quantizeCase(40960, 256, 4, 3, 1, 1.0f));
  visit(quantizeCase(32, 32, 64, 17, 8, 1.0f));
}
void sweepRope(const Visit &visit) {
  for (const char *style : {"norm", "neox"}) {
    visit(ropeCase(64, 16, style, 128, false));
    visit(ropeCase(128, 36, style, 0, true));
    visit(ropeCase(6, 3, style, 5, false));
  }
}
void sweepStore(const Visit &visit) {
  for (const char *type : {"f16", "bf16", "f32", "q8_0"})
    for (int64_t width : {32, 512, 576})
      for (int64_t gap : {0, 16})
        visit(storeCase(width, type, gap, 1.0f));
  visit(storeCase(33, "f16", 3, 1e4f));
  visit(storeCase(64, "q8_0", 0, 1e-20f));
}

class CudaRows : public CudaTest {};

TEST_F(CudaRows, RmsNorm) { sweepNorms(checkNorm); }
TEST_F(CudaRows, RmsNormProducts) { sweepProducts(checkNorm); }
TEST_F(CudaRows, QuantizeSameBytes) {
  sweepQuantize([](const KernelCase &quantize) { checkCuda(quantize, expectEqual); });
}
TEST_F(CudaRows, Rope) {
  sweepRope([](const KernelCase &rope) { checkCuda(rope, closerThan(1e-12)); });
}
TEST_F(CudaRows, KvStoreSameBytes) {
  sweepStore([](const KernelCase &store) { checkCuda(store, expectEqual); });
}

TEST(CudaRowsInstances, Exist) {
  for (auto sweep : {sweepNorms, sweepProducts, sweepQuantize, sweepRope, sweepStore})
    sweep(expectInstances);
}

TEST(CudaRowsInstances, RefuseBadParameters) {
  const Params norm = {{"k", 64}, {"eps", 1e-6}, {"m", 1}};
  const auto with = [&](const char *name, ParamValue value) {
    Params params = norm;
    params[name] = value;
    return params;
  };
  expectCudaRefused("rms_norm", with("adds", 3), "'adds'");
  expectCudaRefused("rms_norm", with("k", 65536), "'k'");
  expectCudaRefused("rms_norm", with("add_gate", "sigmoid"), "'add_gate'");
  Params products = with("products", 4);
  products["dynamic"] = 1;
  expectCudaRefused("rms_norm", products, "'products'");
  products = with("products", 4);
  products["k"] = 68;
  expectCudaRefused("rms_norm", products, "multiples of 8");
  products["k"] = 16384;
  expectCudaRefused("rms_norm", products, "k of at most 12288");
  Params rows = with("adds", 1);
  rows["rows"] = 2;
  expectCudaRefused("rms_norm", rows, "'adds'");
  expectCudaRefused("quantize", {{"k", 33}}, "'k'");
  expectCudaRefused("rope", {{"dims", 7}}, "'dims'");
  expectCudaRefused("kv_store", {{"width", 40}, {"kv_type", "q8_0"}}, "'width'");
}

// CPU kernels do not silently leave out what only GPU kernels do.
TEST(CudaRowsInstances, CpuRefusesWhatIsOfTheGpu) {
  for (const char *name : {"adds", "products"}) {
    const Params norm = {{"k", 64}, {"eps", 1e-6}, {name, 1}};
    kt::Result<x64::Kernel> kernel = x64::generate("rms_norm", norm, Isa::Avx2);
    ASSERT_FALSE(static_cast<bool>(kernel)) << name;
    EXPECT_NE(kernel.error().message.find("'" + std::string(name) + "'"), std::string::npos);
  }
}

} // namespace
} // namespace ktc::test
