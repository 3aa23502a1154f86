// Machine code of a schedule: layout of the image, sharing, diagnostics, text and file forms.
#include "compiler/schedule-to-kernels/code_image.h"
#include "compiler/schedule-to-kernels/dump_kernels.h"

#include "mlir/IR/Diagnostics.h"
#include "mlir/IR/MLIRContext.h"
#include "mlir/Parser/Parser.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

namespace ktc {

using testing::HasSubstr;

constexpr const char *schedule = R"(
  sched.kernel @add.0 "add" {k = 64 : i64, m = 1 : i64, dynamic = 0 : i64, x_stride = 64 : i64, y_stride = 64 : i64, gate = "none"}
  sched.kernel @rms_norm.0 "rms_norm" {k = 64 : i64, eps = 1.0e-6 : f64, rows = 1 : i64, m = 1 : i64, dynamic = 0 : i64, x_stride = 64 : i64, x_row_stride = 64 : i64, y_stride = 64 : i64, y_row_stride = 64 : i64, row_offset = 0 : i64}
  sched.kernel @add.1 "add" {k = 64 : i64, m = 1 : i64, dynamic = 0 : i64, x_stride = 64 : i64, y_stride = 64 : i64, gate = "none"}
)";

class CodeImageTest : public testing::Test {
protected:
  CodeImageTest()
      : handler(&context, [this](mlir::Diagnostic &diagnostic) { messages += diagnostic.str() + "\n"; }) {
    context.loadDialect<model::ModelDialect, sched::SchedDialect>();
  }

  mlir::FailureOr<CodeImage> generate(const char *text, std::vector<x64::Isa> isas,
                                      const GpuOptions &gpu = {}) {
    module = mlir::parseSourceString<mlir::ModuleOp>(text, &context);
    if (!module)
      return mlir::failure();
    return generateKernels(*module, isas, gpu);
  }

  mlir::MLIRContext context;
  std::string messages;
  mlir::ScopedDiagnosticHandler handler;
  mlir::OwningOpRef<mlir::ModuleOp> module;
};

TEST_F(CodeImageTest, PlacesKernelsAlignedAndSharesEqualCode) {
  auto image = generate(schedule, {x64::Isa::Avx2, x64::Isa::Avx512});
  ASSERT_TRUE(mlir::succeeded(image)) << messages;
  ASSERT_EQ(image->kernels.size(), 3u);
  ASSERT_EQ(image->segments.size(), 2u);
  EXPECT_EQ(image->kernels[1].symbol, "rms_norm.0");
  EXPECT_EQ(std::get<double>(image->kernels[1].params.at("eps")), 1.0e-6);
  EXPECT_EQ(std::get<std::string>(image->kernels[0].params.at("gate")), "none");
  for (const CodeSegment &segment : image->segments) {
    ASSERT_EQ(segment.kernels.size(), 3u);
    EXPECT_EQ(segment.kernels[0].offset, segment.kernels[2].offset);
    EXPECT_NE(segment.kernels[0].offset, segment.kernels[1].offset);
    for (const KernelCode &kernel : segment.kernels) {
      EXPECT_EQ(kernel.offset % KT_BUFFER_ALIGNMENT, 0u);
      EXPECT_LE(kernel.offset + kernel.bytes, segment.bytes.size());
      EXPECT_GT(kernel.codeBytes, 0u);
      EXPECT_LE(kernel.codeBytes, kernel.bytes);
    }
  }
  EXPECT_NE(image->segments[0].bytes, image->segments[1].bytes);
}

TEST_F(CodeImageTest, ReportsEveryFailureOnItsKernel) {
  EXPECT_TRUE(mlir::failed(generate(R"(
    sched.kernel @dance.0 "dance" {m = 1 : i64}
    sched.kernel @add.0 "add" {k = -1 : i64, m = 1 : i64})",
                                    {x64::Isa::Avx2})));
  EXPECT_THAT(messages, HasSubstr("cannot be generated for avx2: unknown kernel family 'dance'"));
  EXPECT_THAT(messages, HasSubstr("kernel add_k=-1_m=1"));
}

TEST_F(CodeImageTest, PrintsSizesAndDisassembly) {
  auto image = generate(schedule, {x64::Isa::Avx2});
  ASSERT_TRUE(mlir::succeeded(image)) << messages;
  std::string text;
  llvm::raw_string_ostream stream(text);
  printKernels(*image, stream, false);
  EXPECT_THAT(
      text, HasSubstr("kernel add.0 \"add\" {dynamic = 0, gate = none, k = 64, m = 1, x_stride = 64, y_stride "
                      "= 64}\n  avx2: "));
  EXPECT_THAT(text, testing::Not(HasSubstr("ret")));
  printKernels(*image, stream, true);
  EXPECT_THAT(text, HasSubstr("vzeroupper"));
  EXPECT_THAT(text, HasSubstr(": ret"));
}

static std::string readFile(const std::filesystem::path &path) {
  std::ifstream stream(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

TEST_F(CodeImageTest, DumpsFiles) {
  auto image = generate(schedule, {x64::Isa::Avx512});
  ASSERT_TRUE(mlir::succeeded(image)) << messages;
  std::filesystem::path directory = std::filesystem::path(testing::TempDir()) / "code_image_test";
  std::filesystem::remove_all(directory);
  kt::Status status = dumpKernels(*image, (directory / "kernels").string());
  ASSERT_TRUE(status) << status.error().message;
  EXPECT_EQ(readFile(directory / "kernels" / "rms_norm.0.avx512.bin").size(),
            image->segments[0].kernels[1].bytes);
  EXPECT_THAT(readFile(directory / "kernels" / "rms_norm.0.avx512.asm"), HasSubstr(": ret"));
  EXPECT_THAT(readFile(directory / "kernels" / "kernels.txt"), HasSubstr("kernel add.1 \"add\""));
  // A file in the way of the directory.
  kt::Status blocked = dumpKernels(*image, (directory / "kernels" / "kernels.txt").string());
  ASSERT_FALSE(blocked);
  EXPECT_THAT(blocked.error().message, HasSubstr("cannot write: Not a directory"));
  std::filesystem::remove_all(directory);
}

// ---- kernels of GPU lanes
// --------------------------------------------------------------------------------------

constexpr const char *hybrid = R"(
  sched.device @cpu "cpu" budget 0
  sched.device @gpu "cuda" budget 0
  sched.lane @cpu.team on @cpu
  sched.lane @gpu.stream on @gpu
  sched.arena @act "activation" on @cpu bytes 4096 mapped
  sched.kernel @cpu.only "add" {k = 64 : i64, m = 1 : i64, dynamic = 0 : i64}
  sched.kernel @both "add" {k = 128 : i64, m = 1 : i64, dynamic = 0 : i64}
  sched.kernel @gpu.only "add" {k = 256 : i64, m = 4 : i64, dynamic = 1 : i64}
  sched.kernel @unused "add" {k = 512 : i64, m = 1 : i64, dynamic = 0 : i64}
  sched.entry @decode_1 capacity 1 {
    %x = sched.alloc @act bytes 1024 at 0
    %y = sched.alloc @act bytes 1024 at 1024
    %none = sched.none
    sched.dispatch @cpu.only on @cpu.team (%x, %y, %none) writes [1] units 1 per_token 0 {path = "a", bytes_read = 0 : i64}
    sched.dispatch @both on @cpu.team (%x, %y, %none) writes [1] units 1 per_token 0 {path = "b", bytes_read = 0 : i64}
    sched.dispatch @both on @gpu.stream (%x, %y, %none) writes [1] units 1 per_token 0 {path = "c", bytes_read = 0 : i64}
    sched.dispatch @gpu.only on @gpu.stream (%x, %y, %none) writes [1] units 1 per_token 0 {path = "d", bytes_read = 0 : i64}
  }
)";

TEST_F(CodeImageTest, GpuLanesNeedATarget) {
  EXPECT_TRUE(mlir::failed(generate(hybrid, {x64::Isa::Avx2})));
  EXPECT_THAT(messages, HasSubstr("'sched.kernel' op runs on a GPU lane, but there is no GPU target"));
}

TEST_F(CodeImageTest, SaysThatNvrtcIsMissing) {
  GpuOptions gpu = {{*cuda::parseTarget("sm_90")}, {"/nowhere/libnvrtc.so", ""}, {}};
  EXPECT_TRUE(mlir::failed(generate(hybrid, {x64::Isa::Avx2}, gpu)));
  EXPECT_THAT(messages,
              HasSubstr("cannot be generated for sm_90a: GPU kernels need NVRTC, which was not found"));
}

TEST_F(CodeImageTest, GivesEveryLaneTheCodeOfItsDevice) {
  if (!cuda::openNvrtc(""))
    GTEST_SKIP() << "no NVRTC";
  std::vector<size_t> progress;
  GpuOptions gpu = {{*cuda::parseTarget("sm_90"), *cuda::parseTarget("compute_80")}, {}, {}};
  gpu.progress = [&](size_t done, size_t total) { progress.push_back(done * 100 + total); };
  auto image = generate(hybrid, {x64::Isa::Avx2}, gpu);
  ASSERT_TRUE(mlir::succeeded(image)) << messages;
  EXPECT_THAT(progress, testing::ElementsAre(104, 204, 304, 404));
  ASSERT_EQ(image->gpuSegments.size(), 2u);
  const CodeSegment &cpu = image->segments[0];
  for (auto [kernel, onCpu, onGpu] :
       {std::tuple(0, true, false), {1, true, true}, {2, false, true}, {3, true, false}}) {
    SCOPED_TRACE(kernel);
    EXPECT_EQ(cpu.kernels[kernel].bytes != 0, onCpu);
    for (const GpuSegment &segment : image->gpuSegments) {
      EXPECT_EQ(segment.kernels[kernel].bytes != 0, onGpu);
      EXPECT_EQ(segment.kernels[kernel].offset % KT_BUFFER_ALIGNMENT, 0u);
    }
  }
  const GpuSegment &sm90 = image->gpuSegments[0];
  EXPECT_EQ(sm90.kernels[2].launch.gridX, 4u);
  EXPECT_GT(sm90.kernels[2].usage.registers, 0u);
  EXPECT_EQ(sm90.image(1)[1], 'E');
  EXPECT_EQ(image->gpuSegments[1].image(1).back(), 0) << "PTX is text for the driver, with its final zero";

  std::string text;
  llvm::raw_string_ostream stream(text);
  printKernels(*image, stream, false);
  EXPECT_THAT(text,
              testing::ContainsRegex("kernel gpu.only .*\n  sm_90a: [0-9]+ bytes of cubin, [0-9]+ registers, 0 "
                                     "bytes of shared memory, 0 spilled, grid 4x1x1 of 64 threads, at 0x"));
  EXPECT_THAT(text, HasSubstr(" bytes of PTX, grid 1x1x1 of 32 threads"));

  std::filesystem::path directory = std::filesystem::path(testing::TempDir()) / "gpu_image_test";
  std::filesystem::remove_all(directory);
  kt::Status status = dumpKernels(*image, directory.string());
  ASSERT_TRUE(status) << status.error().message;
  EXPECT_EQ(readFile(directory / "gpu.only.sm_90a.cubin").size(), sm90.kernels[2].bytes);
  EXPECT_THAT(readFile(directory / "gpu.only.sm_90a.cu"), HasSubstr("#include \"add.cuh\""));
  EXPECT_THAT(readFile(directory / "gpu.only.sm_90a.log"), HasSubstr("registers"));
  EXPECT_THAT(readFile(directory / "both.compute_80.ptx"), HasSubstr(".entry kernel("));
  EXPECT_FALSE(std::filesystem::exists(directory / "gpu.only.avx2.bin"));
  EXPECT_TRUE(std::filesystem::exists(directory / "both.avx2.bin"));
  std::filesystem::remove_all(directory);
}

} // namespace ktc
