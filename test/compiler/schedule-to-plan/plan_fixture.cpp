// The model file and schedule of plan tests; see the header.
#include "test/compiler/schedule-to-plan/plan_fixture.h"

#include "test/compiler/gguf-to-model/support/gguf_builder.h"

#include "mlir/Parser/Parser.h"

#include <fstream>
#include <random>

namespace ktc::test {

namespace {

// Fills the tensors of a built file with reproducible numbers that every format can hold.
void fillTensors(Bytes &bytes, const std::string &path) {
  kt::Result<GgufModel> parsed = GgufModel::parse(path, bytes);
  ASSERT_TRUE(parsed) << parsed.error().message;
  std::mt19937 random(7);
  std::uniform_real_distribution<float> uniform(-1, 1);
  for (const GgufTensor &tensor : parsed->tensors())
    for (uint64_t i = 0; tensor.type == KT_TYPE_F32 && i < tensor.elements(); ++i) {
      float number = tensor.name == "rope_freqs.weight" ? 1 + uniform(random) / 2 : uniform(random);
      memcpy(bytes.data() + tensor.offset + 4 * i, &number, sizeof(number));
    }
}

} // namespace

PlanTest::PlanTest()
    : handler(&context, [this](mlir::Diagnostic &diagnostic) { messages += diagnostic.str() + "\n"; }) {
  context.loadDialect<model::ModelDialect, sched::SchedDialect>();
  const testing::TestInfo *info = testing::UnitTest::GetInstance()->current_test_info();
  folder = std::filesystem::path(testing::TempDir()) /
           (std::string("plan_") + info->test_suite_name() + info->name());
  std::filesystem::remove_all(folder);
  std::filesystem::create_directories(folder);
  modelPath = (folder / "model.gguf").string();
  planPath = (folder / "model.ktp").string();

  GgufBuilder builder;
  builder.string("general.architecture", "deepseek2").u32("deepseek2.block_count", 1);
  builder.string("tokenizer.ggml.model", "gpt2").string("tokenizer.ggml.pre", "llama-bpe");
  builder.strings("tokenizer.ggml.tokens", {"a", "b", "ab", "<s>"}).strings("tokenizer.ggml.merges", {"a b"});
  builder.array<int32_t>("tokenizer.ggml.token_type", I32, {1, 1, 1, 3}).u32("tokenizer.ggml.bos_token_id", 3);
  builder.string("tokenizer.chat_template", "{{ messages }}").f32("general.sampling.temp", 0.5f);
  builder.tensor("token_embd.weight", {toy::width, toy::vocab})
      .tensor("rope_freqs.weight", {toy::ropeDims / 2});
  builder.tensor("blk.0.attn_kv_b.weight", {toy::latent, toy::kvRows});
  builder.tensor("kv_b_q8.weight", {toy::latent, toy::kvRows}, KT_TYPE_Q8_0);
  Bytes bytes = builder.build();
  fillTensors(bytes, modelPath);
  std::ofstream(modelPath, std::ios::binary).write(reinterpret_cast<const char *>(bytes.data()), bytes.size());
  kt::Result<GgufModel> opened = GgufModel::open(modelPath);
  if (opened)
    model = std::move(*opened);
  else
    ADD_FAILURE() << opened.error().message;
}

PlanTest::~PlanTest() { std::filesystem::remove_all(folder); }

std::string PlanTest::weightOp(const std::string &name) const {
  const GgufTensor *tensor = model.findTensor(name);
  if (!tensor)
    return "";
  std::string shape;
  for (uint32_t d = tensor->dimensions; d-- > 0;)
    shape += std::to_string(tensor->ne[d]) + "x";
  std::string element =
      tensor->type == KT_TYPE_F32 ? "f32" : "!kt." + std::string(ktTypeInfo(tensor->type)->name);
  return "model.weight @" + name + " : tensor<" + shape + element +
         "> {file = 0 : i32, offset = " + std::to_string(tensor->offset) +
         " : i64, bytes = " + std::to_string(tensor->bytes) + " : i64}\n";
}

std::string PlanTest::schedule(const std::string &declarations, const std::string &commands) const {
  std::string add =
      R"("add" {k = 32 : i64, m = 1 : i64, dynamic = 0 : i64, x_stride = 32 : i64, y_stride = 32 : i64,
                      gate = "none"})";
  return R"(module attributes {model.name = "toy", model.architecture = "deepseek2", model.trained_context = 64 : i64,
                               model.layers = 1 : i64} {
    sched.device @cpu "cpu" budget 0
    sched.lane @cpu.team on @cpu
    sched.arena @act "activation" on @cpu bytes 512
    sched.arena @kv "kv_cache" on @cpu bytes 4096
    sched.arena @io "io" on @cpu bytes 4096
    sched.kernel @add.0 )" +
         add + "\n" + weightOp("token_embd.weight") + declarations + R"(
    sched.entry @decode_1 capacity 1 {
      %tokens = sched.fixed @io at 0 bytes 4 {role = "tokens"}
      %positions = sched.fixed @io at 64 bytes 4 {role = "positions"}
      %logits = sched.fixed @io at 2048 bytes 16 {role = "logits"}
      %x = sched.alloc @act bytes 256 at 0
      %y = sched.alloc @act bytes 256 at 256
      )" +
         commands +
         R"(
      sched.fill %logits with 0 on @cpu.team bytes 0 per_token 16
    }
    sched.entry @prefill capacity 8 dynamic {
      %tokens = sched.fixed @io at 0 bytes 32 {role = "tokens"}
      %positions = sched.fixed @io at 64 bytes 32 {role = "positions"}
      %hidden = sched.fixed @io at 128 bytes 1024 {role = "hidden"}
      sched.fill %hidden with 7 on @cpu.team bytes 0 per_token 128
    }
    sched.entry @head capacity 2 dynamic {
      %logits = sched.fixed @io at 2048 bytes 32 {role = "logits"}
      sched.fill %logits with 1 on @cpu.team bytes 0 per_token 16
    }
  })";
}

kt::Status PlanTest::write(const std::string &text, const PlanOptions &options) {
  mlir::OwningOpRef<mlir::ModuleOp> module = mlir::parseSourceString<mlir::ModuleOp>(text, &context);
  if (!module)
    return kt::Error{"test schedule: " + messages};
  constexpr x64::Isa isas[] = {x64::Isa::Avx2, x64::Isa::Avx512};
  mlir::FailureOr<CodeImage> image =
      generateKernels(*module, isas, {{*cuda::parseTarget("sm_90"), *cuda::parseTarget("compute_80")}, {}, {}});
  if (mlir::failed(image))
    return kt::Error{"test kernels: " + messages};
  PlanOptions complete = options;
  if (complete.context == 0)
    complete.context = toy::context;
  return writePlan(*module, *image, model, complete, planPath);
}

ktrt::plan::PlanFile PlanTest::read() {
  ktrt::plan::PlanFile::Options options;
  options.hashWeights = true;
  kt::Result<ktrt::plan::PlanFile> plan = ktrt::plan::PlanFile::open(planPath, options);
  if (plan)
    return std::move(*plan);
  throw std::runtime_error(plan.error().message); // GoogleTest reports it as the test's failure
}

std::vector<float> PlanTest::floats(const std::string &name) const {
  std::span<const uint8_t> bytes = model.data(*model.findTensor(name));
  std::vector<float> values(bytes.size() / 4);
  memcpy(values.data(), bytes.data(), bytes.size());
  return values;
}

const ktrt::plan::Weight *PlanTest::findWeight(const ktrt::plan::PlanFile &plan, const std::string &name) {
  for (const ktrt::plan::Weight *weight : *plan.plan().weights())
    if (weight->name()->str() == name)
      return weight;
  return nullptr;
}

const uint8_t *PlanTest::bytesOf(const ktrt::plan::PlanFile &plan, const ktrt::plan::Weight &weight) {
  return weight.section() < 0 ? nullptr : plan.section(uint32_t(weight.section())) + weight.offset();
}

} // namespace ktc::test
