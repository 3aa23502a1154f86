// Whole plans: written from a schedule, read back and checked with the runtime's reader.
#include "test/compiler/schedule-to-plan/plan_fixture.h"

#include "runtime/plan/hash.h"

#include <fstream>

namespace ktc::test {

using namespace ktrt::plan;
using testing::HasSubstr;

constexpr const char *useEmbedding = R"(
      %w = sched.weight @token_embd.weight
      %none = sched.none
      %row = sched.view %w at 128
      sched.dispatch @add.0 on @cpu.team (%row, %x, %none) writes [1] units 2 per_token 1 {path = "model.first", bytes_read = 128 : i64}
      sched.copy %x to %y on @cpu.team bytes 64 per_token 4 barrier
      sched.signal 3 on @cpu.team
      sched.wait 3 on @cpu.team
)";

static size_t linkedFiles(const PlanFile &file) {
  return file.plan().files() ? file.plan().files()->size() : 0;
}

TEST_F(PlanTest, SerialisesEveryCommand) {
  kt::Status status = write(schedule("", useEmbedding));
  ASSERT_TRUE(status) << status.error().message;
  PlanFile file = read();
  const Plan &plan = file.plan();
  ASSERT_EQ(plan.entries()->size(), 3u);
  const Entry &entry = *plan.entries()->Get(0);
  EXPECT_EQ(entry.name()->str(), "decode_1");
  EXPECT_EQ(entry.signals(), 4u);
  EXPECT_FALSE(entry.dynamic());
  EXPECT_EQ(entry.positions()->offset(), 64u);
  EXPECT_EQ(entry.logits()->offset(), 2048u);
  ASSERT_EQ(entry.programs()->size(), 1u);
  const auto &commands = *entry.programs()->Get(0)->commands();
  ASSERT_EQ(commands.size(), 5u);

  const Dispatch &dispatch = *commands.Get(0)->body_as_Dispatch();
  EXPECT_FALSE(commands.Get(0)->barrier_before());
  EXPECT_EQ(dispatch.units(), 2u);
  EXPECT_EQ(dispatch.units_per_token(), 1u);
  EXPECT_EQ(dispatch.path()->str(), "model.first");
  ASSERT_EQ(dispatch.operands()->size(), 3u);
  EXPECT_EQ(dispatch.operands()->Get(0)->kind(), OperandKind::Weight);
  EXPECT_EQ(dispatch.operands()->Get(0)->offset(), 128u);
  EXPECT_EQ(dispatch.operands()->Get(1)->kind(), OperandKind::Arena);
  EXPECT_EQ(dispatch.operands()->Get(2)->kind(), OperandKind::None);
  const Copy &copy = *commands.Get(1)->body_as_Copy();
  EXPECT_TRUE(commands.Get(1)->barrier_before());
  EXPECT_EQ(copy.destination()->offset(), 256u);
  EXPECT_EQ(copy.bytes(), 64u);
  EXPECT_EQ(copy.bytes_per_token(), 4u);
  EXPECT_EQ(commands.Get(2)->body_as_Signal()->signal(), 3u);
  EXPECT_EQ(commands.Get(3)->body_as_Wait()->signal(), 3u);
  EXPECT_EQ(plan.entries()->Get(1)->programs()->Get(0)->commands()->Get(0)->body_as_Fill()->value(), 7);
}

TEST_F(PlanTest, DescribesKernelsModelAndText) {
  PlanOptions options;
  options.compiler = "ktc test";
  options.transforms = {"fewer experts"};
  kt::Status status = write(schedule("", useEmbedding), options);
  ASSERT_TRUE(status) << status.error().message;
  PlanFile file = read();
  const Plan &plan = file.plan();
  ASSERT_EQ(plan.kernels()->size(), 1u);
  const Kernel &kernel = *plan.kernels()->Get(0);
  EXPECT_THAT(kernel.name()->str(), HasSubstr("add_dynamic=0_gate=none_k=32"));
  ASSERT_EQ(kernel.variants()->size(), 2u);
  EXPECT_EQ(kernel.variants()->Get(1)->isa()->str(), "avx512");
  EXPECT_EQ(file.sections()[kernel.variants()->Get(1)->section()].kind, SectionKind::Code);

  const ktrt::plan::Model &info = *plan.model();
  EXPECT_EQ(info.name()->str(), "toy");
  EXPECT_EQ(info.vocab(), uint32_t(toy::vocab));
  EXPECT_EQ(info.embedding(), uint32_t(toy::width));
  EXPECT_EQ(info.context(), uint32_t(toy::context));
  EXPECT_EQ(info.kv_bytes_per_token(), 4096u / toy::context);
  EXPECT_EQ(info.weight_bytes(), uint64_t(toy::width * toy::vocab * 4));
  EXPECT_EQ(info.weight_bytes_per_token(), 128u);
  EXPECT_EQ(plan.devices()->Get(0)->planned_bytes(), info.weight_bytes() + 512 + 4096 + 4096);

  EXPECT_EQ(plan.tokenizer()->tokens()->size(), 4u);
  EXPECT_TRUE(plan.tokenizer()->add_bos());
  EXPECT_EQ(plan.tokenizer()->bos(), 3);
  EXPECT_EQ(plan.chat_template()->str(), "{{ messages }}");
  EXPECT_EQ(plan.sampling()->temperature(), 0.5f);
  EXPECT_EQ(plan.sampling()->top_k(), 40u);
  EXPECT_EQ(plan.provenance()->compiler()->str(), "ktc test");
  EXPECT_EQ(plan.provenance()->transforms()->Get(0)->str(), "fewer experts");
}

TEST_F(PlanTest, PacksSmallModelsByDefault) {
  ASSERT_TRUE(write(schedule("", useEmbedding)));
  PlanFile file = read();
  const Weight *weight = findWeight(file, "token_embd.weight");
  ASSERT_NE(weight, nullptr);
  EXPECT_EQ(linkedFiles(file), 0u);
  ASSERT_GE(weight->section(), 0);
  EXPECT_EQ(file.sections()[size_t(weight->section())].kind, SectionKind::Weights);
  EXPECT_EQ(weight->offset() % 64, 0u);
  EXPECT_EQ(weight->shape()->Get(0), uint64_t(toy::width));
  EXPECT_EQ(weight->shape()->Get(1), uint64_t(toy::vocab));
  std::span<const uint8_t> expected = model.data(*model.findTensor("token_embd.weight"));
  EXPECT_EQ(memcmp(bytesOf(file, *weight), expected.data(), expected.size()), 0);
  EXPECT_EQ(file.plan().weights()->size(), 1u); // what entries do not use stays out
}

TEST_F(PlanTest, LinksFiles) {
  PlanOptions options;
  options.weights = WeightStorage::Link;
  ASSERT_TRUE(write(schedule("", useEmbedding), options));
  PlanFile file = read();
  ASSERT_EQ(linkedFiles(file), 1u);
  const WeightFile &linked = *file.plan().files()->Get(0);
  EXPECT_EQ(linked.path()->str(), modelPath); // given absolute
  EXPECT_EQ(linked.bytes(), model.files()[0].bytes);
  kt::Result<MappedFile> mapping = MappedFile::open(modelPath);
  ASSERT_TRUE(mapping);
  EXPECT_EQ(linked.hash(), sampleHash(mapping->bytes().data(), mapping->bytes().size()));
  const Weight *weight = findWeight(file, "token_embd.weight");
  ASSERT_NE(weight, nullptr);
  EXPECT_EQ(weight->file(), 0);
  EXPECT_EQ(weight->section(), -1);
  EXPECT_EQ(weight->offset(), model.findTensor("token_embd.weight")->offset);
}

TEST_F(PlanTest, KeepsRelativePathsRelativeToThePlan) {
  std::filesystem::path before = std::filesystem::current_path();
  std::filesystem::current_path(folder);
  std::filesystem::create_directories("plans");
  kt::Result<GgufModel> opened = GgufModel::open("model.gguf");
  ASSERT_TRUE(opened);
  model = std::move(*opened);
  planPath = "plans/model.ktp";
  PlanOptions options;
  options.weights = WeightStorage::Link;
  kt::Status status = write(schedule("", useEmbedding), options);
  EXPECT_TRUE(status) << status.error().message;
  EXPECT_EQ(read().plan().files()->Get(0)->path()->str(), "../model.gguf");
  std::filesystem::current_path(before);
}

// Every failure must leave the folder as it was.
class PlanFailureTest : public PlanTest {
protected:
  void expectFailure(const std::string &text, const std::string &message, const PlanOptions &options = {}) {
    kt::Status status = write(text, options);
    ASSERT_FALSE(status);
    EXPECT_THAT(status.error().message, HasSubstr(message));
    std::vector<std::string> left;
    for (const auto &entry : std::filesystem::directory_iterator(folder))
      left.push_back(entry.path().filename().string());
    EXPECT_THAT(left, testing::ElementsAre("model.gguf"));
  }
};

TEST_F(PlanFailureTest, NamesTheCommand) {
  expectFailure(
      schedule("", R"(%w = sched.alloc @act bytes 64
      %none = sched.none
      sched.dispatch @add.0 on @cpu.team (%w, %x, %none) writes [1] units 0 per_token 1 {path = "model.bad", bytes_read = 0 : i64})"),
      "entry 'decode_1', command 0 (sched.dispatch for model.bad): a buffer of 64 bytes has no offset");
}

TEST_F(PlanFailureTest, WantsPlannedMemory) {
  expectFailure(schedule("", R"(%z = sched.alloc @act bytes 64
      sched.fill %z with 0 on @cpu.team bytes 64 per_token 0)"),
                "command 0 (sched.fill): a buffer of 64 bytes has no offset; run sched-plan-memory first");
}

TEST_F(PlanFailureTest, ChecksRangesOfWeights) {
  std::string far =
      "model.weight @far.weight : tensor<32xf32> {file = 0 : i32, offset = 1000000 : i64, bytes = 128 : i64}\n";
  expectFailure(schedule(far, R"(%w = sched.weight @far.weight
      sched.copy %w to %x on @cpu.team bytes 64 per_token 0)"),
                "weight 'far.weight': bytes 1000000 + 128 are outside the");
}

TEST_F(PlanFailureTest, RunsTheRuntimesVerifier) {
  expectFailure(schedule("", "sched.wait 0 on @cpu.team"), "the compiler made a plan that the runtime refuses");
}

TEST_F(PlanFailureTest, WantsRopeTablesForTheWholeContext) {
  std::string table =
      R"(sched.constant @rope.0 "rope_table" bytes 512 {rope = #model.rope<style = "norm", dims = 8, base = 1.0e4>, context = 16 : i64}
)";
  PlanOptions options;
  options.context = 17;
  expectFailure(schedule(table), "a context of 17 positions was asked for, but constant 'rope.0' covers 16",
                options);
}

// A GPU beside the CPU: its lane, memory, code and order.
TEST_F(PlanTest, SerialisesAGpu) {
  if (!cuda::openNvrtc(""))
    GTEST_SKIP() << "no NVRTC";
  constexpr const char *declarations = R"(
    sched.device @cuda.0 "cuda" budget 1000000
    sched.lane @gpu.stream on @cuda.0
    sched.arena @shared "activation" on @cpu bytes 1024 mapped
    sched.arena @gpu.act "activation" on @cuda.0 bytes 512
    sched.kernel @add.1 "add" {k = 32 : i64, m = 1 : i64, dynamic = 0 : i64}
)";
  constexpr const char *commands = R"(
      %w = sched.weight @token_embd.weight
      %none = sched.none
      %h = sched.alloc @shared bytes 256 at 512
      %g = sched.alloc @gpu.act bytes 256 at 256
      sched.dispatch @add.0 on @cpu.team (%w, %h, %none) writes [1] units 1 per_token 0 {path = "a", bytes_read = 128 : i64}
      sched.signal 0 on @cpu.team
      sched.wait 0 on @gpu.stream
      sched.dispatch @add.1 on @gpu.stream (%h, %g, %none) writes [1] units 1 per_token 0 {path = "b", bytes_read = 0 : i64, after = array<i32: 0>}
      sched.dispatch @add.1 on @gpu.stream (%w, %g, %none) writes [1] units 1 per_token 0 {path = "c", bytes_read = 128 : i64, after = array<i32: 0, 1>}
)";
  kt::Status status = write(schedule(declarations, commands));
  ASSERT_TRUE(status) << status.error().message;
  PlanFile file = read();
  const Plan &plan = file.plan();
  EXPECT_EQ(plan.devices()->Get(1)->kind(), DeviceKind::Cuda);
  EXPECT_EQ(plan.lanes()->Get(1)->kind(), LaneKind::CudaStream);
  EXPECT_TRUE(plan.arenas()->Get(3)->mapped());
  EXPECT_FALSE(plan.arenas()->Get(4)->mapped());
  EXPECT_EQ(plan.devices()->Get(1)->planned_bytes(), 512u + 4 * 32 * 4);

  ASSERT_EQ(plan.kernels()->Get(0)->variants()->size(), 2u);
  EXPECT_EQ(plan.kernels()->Get(0)->variants()->Get(0)->launch(), nullptr);
  const auto &variants = *plan.kernels()->Get(1)->variants();
  ASSERT_EQ(variants.size(), 2u);
  EXPECT_EQ(variants.Get(0)->isa()->str(), "sm_90a");
  EXPECT_EQ(variants.Get(1)->isa()->str(), "compute_80");
  ASSERT_NE(variants.Get(0)->launch(), nullptr);
  EXPECT_EQ(variants.Get(0)->launch()->grid_x(), 1u);
  EXPECT_EQ(variants.Get(0)->launch()->threads(), 32u);
  const uint8_t *cubin = file.section(variants.Get(0)->section()) + variants.Get(0)->offset();
  EXPECT_EQ(std::string(reinterpret_cast<const char *>(cubin) + 1, 3), "ELF");
  const uint8_t *ptx = file.section(variants.Get(1)->section()) + variants.Get(1)->offset();
  EXPECT_THAT(std::string(reinterpret_cast<const char *>(ptx)), HasSubstr(".entry kernel("));

  const Entry &entry = *plan.entries()->Get(0);
  ASSERT_EQ(entry.programs()->size(), 2u);
  const auto &gpu = *entry.programs()->Get(1)->commands();
  ASSERT_EQ(gpu.size(), 3u);
  ASSERT_NE(gpu.Get(2)->after(), nullptr);
  EXPECT_EQ(std::vector<uint32_t>(gpu.Get(2)->after()->begin(), gpu.Get(2)->after()->end()),
            (std::vector<uint32_t>{0, 1}));
  EXPECT_EQ(plan.weights()->Get(gpu.Get(2)->body_as_Dispatch()->operands()->Get(0)->index())->device(), 1u);
}

} // namespace ktc::test
