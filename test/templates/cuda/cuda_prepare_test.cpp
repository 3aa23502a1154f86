// gqa_prepare and mla_prepare on the GPU.
#include "test/templates/cuda/cuda_sweep.h"
#include "test/templates/cuda/matrix_case.h"

namespace ktc::test {
namespace {

using Visit = std::function<void(const KernelCase &)>;

constexpr int64_t Context = 48;

// `count` distinct positions, the first and the last of the context among them.
std::vector<int32_t> positionsOf(int64_t count) {
  std::vector<int32_t> positions;
  for (int64_t i = 0; i < count; ++i)
    positions.push_back(int32_t((i * 7 + Context - 1) % Context));
  return positions;
}

struct Gqa {
  int64_t heads, kvHeads, headDim, vDim;
  std::string type = "bf16";
  bool norm = true, normQ = true, normK = true;
  int64_t dims = 0;
  std::string style = "neox";
  int64_t m = 1, tokens = 1, gap = 0;
};

KernelCase gqaCase(const Gqa &gqa) {
  const int64_t qStride = gqa.heads * gqa.headDim + gqa.gap, kStride = gqa.kvHeads * gqa.headDim + gqa.gap,
                vStride = gqa.kvHeads * gqa.vDim + gqa.gap;
  KernelCase result;
  result.family = "gqa_prepare";
  result.params = {{"heads", gqa.heads},
                   {"kv_heads", gqa.kvHeads},
                   {"head_dim", gqa.headDim},
                   {"v_dim", gqa.vDim},
                   {"q_stride", qStride},
                   {"k_stride", kStride},
                   {"v_stride", vStride},
                   {"kv_type", gqa.type},
                   {"norm", int64_t(gqa.norm)},
                   {"eps", 1e-6},
                   {"dims", gqa.dims},
                   {"style", gqa.style},
                   {"m", gqa.m},
                   {"dynamic", int64_t(gqa.m != gqa.tokens)}};
  const auto cache = [&](int64_t length) {
    return cacheBytes(std::vector<float>(size_t(Context * gqa.kvHeads * length), 1.0f), gqa.type);
  };
  result.operands = {toBytes(randomFloats(1, size_t(gqa.m * qStride))),
                     toBytes(randomFloats(2, size_t(gqa.m * kStride))),
                     toBytes(randomFloats(3, size_t(gqa.m * vStride))),
                     gqa.norm && gqa.normQ ? toBytes(randomFloats(4, size_t(gqa.headDim))) : Bytes(),
                     gqa.norm && gqa.normK ? toBytes(randomFloats(5, size_t(gqa.headDim))) : Bytes(),
                     gqa.dims ? toBytes(randomFloats(6, size_t(Context * gqa.dims))) : Bytes(),
                     toBytes(positionsOf(gqa.tokens)),
                     cache(gqa.headDim),
                     cache(gqa.vDim)};
  result.outputs = {0, 7, 8};
  result.units = uint32_t(gqa.tokens);
  result.step = {uint32_t(gqa.tokens), 0, 0, 1};
  return result;
}

struct Mla {
  int64_t heads, latent, rope;
  std::string type = "bf16", style = "norm";
  int64_t m = 1, tokens = 1, nope = 0; // elements of a query head before its rotary part
  std::string format = "";             // of weights for absorbed queries
  bool bfloatY = false;                // of them
};

void addAbsorbed(const Mla &mla, KernelCase &result) {
  const int64_t yRow = mla.latent + (mla.bfloatY ? mla.rope : 0);
  result.params.insert({{"nope", mla.nope}, {"format", mla.format}, {"y_type", typeName(mla.bfloatY)}});
  result.operands.resize(7);
  result.operands.push_back(weightRows(formatInfo(mla.format), mla.heads * mla.latent, mla.nope, 6));
  result.operands.push_back(activationBytes(randomFloats(7, size_t(mla.m * mla.heads * yRow)), mla.bfloatY));
  result.outputs = mla.bfloatY ? std::vector<size_t>{5, 8} : std::vector<size_t>{0, 5, 8};
}

KernelCase mlaCase(const Mla &mla) {
  const int64_t rowStride = mla.nope + mla.rope, stride = mla.heads * rowStride,
                kvStride = mla.latent + mla.rope + 8;
  KernelCase result;
  result.family = "mla_prepare";
  result.params = {{"heads", mla.heads},
                   {"latent", mla.latent},
                   {"rope", mla.rope},
                   {"eps", 1e-6},
                   {"style", mla.style},
                   {"q_stride", stride},
                   {"q_row_stride", rowStride},
                   {"kv_stride", kvStride},
                   {"kv_type", mla.type},
                   {"m", mla.m},
                   {"dynamic", int64_t(mla.m != mla.tokens)}};
  result.operands = {toBytes(randomFloats(1, size_t(mla.m * stride))),
                     toBytes(randomFloats(2, size_t(mla.m * kvStride))),
                     toBytes(randomFloats(3, size_t(mla.latent))),
                     toBytes(randomFloats(4, size_t(Context * mla.rope))),
                     toBytes(positionsOf(mla.tokens)),
                     cacheBytes(std::vector<float>(size_t(Context * (mla.latent + mla.rope)), 1.0f), mla.type)};
  result.outputs = {0, 5};
  if (!mla.format.empty())
    addAbsorbed(mla, result);
  result.units = uint32_t(mla.tokens);
  result.step = {uint32_t(mla.tokens), 0, 0, 1};
  return result;
}

// Cache elements as floats: a value on the edge between two of them may be rounded either way.
std::vector<float> cacheFloats(const Bytes &bytes, const std::string &type) {
  if (type == "f32")
    return fromBytes<float>(bytes);
  const uint32_t format = type == "f16" ? KT_TYPE_F16 : type == "bf16" ? KT_TYPE_BF16 : KT_TYPE_Q8_0;
  const KtTypeInfo &info = *ktTypeInfo(format);
  std::vector<float> values(bytes.size() / info.blockBytes * info.blockElements);
  reference::dequantize(format, bytes.data(), values.data(), values.size());
  return values;
}

void checkPrepare(const KernelCase &prepare) {
  const std::string type = stringParam(prepare.params, "kv_type", "");
  const double limit = type == "f32" ? 1e-10 : type == "f16" ? 1e-8 : 1e-6;
  checkCuda(prepare, [&](size_t operand, const Bytes &got, const Bytes &want) {
    if (operand == 0)
      closerThan(1e-10)(operand, got, want);
    else if (operand == 8 && prepare.family == "mla_prepare")
      closeAs(stringParam(prepare.params, "y_type", "f32") == "bf16")(operand, got, want);
    else
      EXPECT_LE(nmse(cacheFloats(got, type), cacheFloats(want, type)), limit) << "operand " << operand;
  });
}

void sweepGqa(const Visit &visit) {
  for (const char *type : {"f16", "bf16", "f32", "q8_0"}) {
    visit(gqaCase({32, 4, 128, 128, type, true, true, true, 128})); // Qwen3
    visit(gqaCase({8, 2, 64, 96, type, true, true, false, 32, "norm", 3, 3, 5}));
  }
  visit(gqaCase({64, 8, 64, 64, "bf16", false, false, false, 64, "neox", 2, 2})); // gpt-oss
  visit(gqaCase({32, 8, 128, 128, "f16", false, false, false, 128, "norm"}));     // Mixtral
  visit(gqaCase({32, 8, 128, 128, "bf16", false, false, false, 0}));              // no rotation
  visit(gqaCase({6, 3, 24, 40, "f32", true, false, true, 10, "neox", 2, 2}));
  visit(gqaCase({16, 1, 256, 256, "bf16", true, true, true, 256, "neox", 16, 16}));
  for (int64_t tokens : {1, 15, 31})
    visit(gqaCase({32, 4, 128, 128, "bf16", true, true, true, 128, "neox", 32, tokens}));
}

void sweepMla(const Visit &visit) {
  for (const char *type : {"f16", "bf16", "f32", "q8_0"})
    visit(mlaCase({16, 512, 64, type, "norm", 1, 1, 128}));  // DeepSeek-V2-Lite
  visit(mlaCase({128, 512, 64, "bf16", "norm", 2, 2, 128})); // DeepSeek-V3
  visit(mlaCase({8, 256, 32, "f16", "neox", 1, 1, 64}));     // tiny-books
  visit(mlaCase({4, 32, 8, "bf16", "norm", 16, 16}));
  visit(mlaCase({3, 40, 16, "f32", "neox", 5, 5}));
  for (const char *format : {"q8_0", "bf16", "q5_0", "f16"})
    for (bool bfloatY : {false, true})
      visit(mlaCase({16, 512, 64, "bf16", "norm", 1, 1, 128, format, bfloatY}));
  visit(mlaCase({128, 512, 64, "bf16", "norm", 1, 1, 128, "q8_0", true})); // DeepSeek-V3
  visit(mlaCase({16, 512, 64, "f16", "norm", 16, 16, 128, "q8_0", false}));
  visit(mlaCase({16, 512, 64, "q8_0", "norm", 5, 5, 256, "q4_k", true}));
  visit(mlaCase({8, 256, 32, "bf16", "neox", 2, 2, 64, "q8_0", true})); // tiny-books
  visit(mlaCase({3, 40, 16, "f32", "neox", 3, 3, 96, "q4_0", true}));
  for (int64_t tokens : {1, 16, 31})
    visit(mlaCase({16, 512, 64, "bf16", "norm", 32, tokens, 128}));
}

class CudaPrepare : public CudaTest {};

TEST_F(CudaPrepare, Gqa) { sweepGqa(checkPrepare); }
TEST_F(CudaPrepare, Mla) { sweepMla(checkPrepare); }

TEST(CudaPrepareInstances, Exist) {
  sweepGqa(expectInstances);
  sweepMla(expectInstances);
}

TEST(CudaPrepareInstances, RefuseBadParameters) {
  expectCudaRefused("gqa_prepare", {{"heads", 6}, {"kv_heads", 4}, {"head_dim", 64}}, "'heads'");
  expectCudaRefused("gqa_prepare", {{"heads", 6}, {"head_dim", 64}, {"dims", 65}}, "'dims'");
  expectCudaRefused("gqa_prepare", {{"heads", 6}, {"head_dim", 64}, {"norm", 1}}, "'eps'");
  expectCudaRefused("gqa_prepare", {{"heads", 6}, {"head_dim", 40}, {"kv_type", "q8_0"}}, "'head_dim'");
  expectCudaRefused("mla_prepare", {{"heads", 6}, {"latent", 64}, {"eps", 1e-6}}, "'rope'");
  const Params absorbed = mlaCase({6, 64, 8, "bf16", "norm", 1, 1, 32, "q8_0"}).params;
  const auto refuse = [&](const char *name, const ParamValue &value, const std::string &part) {
    Params params = absorbed;
    params[name] = value;
    expectCudaRefused("mla_prepare", params, part);
  };
  refuse("format", "f32", "'format'");
  refuse("nope", int64_t(0), "'nope'");
  refuse("nope", int64_t(40), "40");
  refuse("dynamic", int64_t(1), "static");
  expectCudaRefused("mla_prepare",
                    {{"heads", 6}, {"latent", 64}, {"rope", 8}, {"eps", 1e-6}, {"y_type", "bf16"}},
                    "'y_type' bf16 needs 'format'");
  expectCudaRefused("mla_prepare", {{"heads", 6}, {"latent", 60}, {"rope", 8}, {"eps", 1e-6}}, "'latent'");
}

// The references against the families that do one step each.
TEST(PrepareReference, IsNormRopeAndStore) {
  const int64_t heads = 2, headDim = 32, tokens = 3, width = heads * headDim;
  const KernelCase prepare =
      gqaCase({4, heads, headDim, headDim, "q8_0", true, true, true, 16, "neox", tokens, tokens});
  const std::vector<Bytes> got = runReference(prepare);
  const KernelCase norm = {
      "rms_norm",
      {{"k", headDim}, {"rows", heads}, {"eps", 1e-6}, {"m", tokens}},
      {prepare.operands[1], prepare.operands[4], Bytes(prepare.operands[1].size()), Bytes()},
      {2},
      uint32_t(tokens * heads),
      prepare.step};
  const KernelCase rope = {
      "rope",
      {{"dims", 16}, {"rows", heads}, {"x_row_stride", headDim}, {"style", "neox"}, {"m", tokens}},
      {runReference(norm)[2], prepare.operands[5], prepare.operands[6]},
      {0},
      uint32_t(tokens * heads),
      prepare.step};
  const KernelCase store = {"kv_store",
                            {{"width", width}, {"kv_type", "q8_0"}, {"m", tokens}},
                            {runReference(rope)[0], prepare.operands[7], prepare.operands[6]},
                            {1},
                            uint32_t(tokens),
                            prepare.step};
  expectEqual(7, got[7], runReference(store)[1]);
  EXPECT_NE(got[7], prepare.operands[7]);
  EXPECT_NE(got[8], prepare.operands[8]);
}

} // namespace
} // namespace ktc::test
