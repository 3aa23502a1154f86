// The GPU compiler: targets, the resource report, the cache, and NVRTC itself where there is one (KTC_NVRTC).
#include "compiler/schedule-to-kernels/cuda/compiler.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <unistd.h>

namespace ktc::cuda {
namespace {

const Params AddParams = {{"k", int64_t(256)}, {"m", int64_t(2)}, {"dynamic", int64_t(0)}};

// A folder that disappears with the test.
struct TemporaryFolder {
  std::filesystem::path path;
  TemporaryFolder() {
    char name[] = "/tmp/ktc-cuda-test-XXXXXX";
    path = mkdtemp(name);
  }
  ~TemporaryFolder() { std::filesystem::remove_all(path); }
  std::vector<std::filesystem::path> files() const {
    std::vector<std::filesystem::path> all;
    for (const auto &entry : std::filesystem::directory_iterator(path))
      all.push_back(entry.path());
    return all;
  }
};

Target target(std::string_view name) { return *parseTarget(name); }

TEST(CudaTarget, Names) {
  EXPECT_EQ(target("sm_90").name, "sm_90a");
  EXPECT_EQ(target("sm_86").sm.number, 86u);
  EXPECT_TRUE(target("compute_80").ptx);
  kt::Result<Target> unknown = parseTarget("sm_75");
  ASSERT_FALSE(static_cast<bool>(unknown));
  EXPECT_EQ(unknown.error().message, "unknown GPU target 'sm_75', expected one of sm_80, sm_86, sm_89, sm_90a, "
                                     "sm_100, sm_120, compute_80");
}

TEST(CudaTarget, OfAGpu) {
  EXPECT_EQ(targetFor(8, 0)->name, "sm_80");
  EXPECT_EQ(targetFor(8, 7)->name, "sm_86");
  EXPECT_EQ(targetFor(9, 0)->name, "sm_90a");
  EXPECT_EQ(targetFor(12, 1)->name, "sm_120");
  EXPECT_EQ(targetFor(11, 0)->name, "compute_80");
  EXPECT_FALSE(static_cast<bool>(targetFor(7, 5)));
}

TEST(CudaResources, Report) {
  ResourceUsage usage = readResourceUsage(
      "ptxas info    : 0 bytes gmem\n"
      "ptxas info    : Compiling entry function 'kernel' for 'sm_90a'\n"
      "ptxas info    : Function properties for kernel\n"
      "    8 bytes stack frame, 4 bytes spill stores, 12 bytes spill loads\n"
      "ptxas info    : Used 40 registers, used 1 barriers, 2048 bytes smem, 400 bytes cmem[0]\n");
  EXPECT_EQ(usage.registers, 40u);
  EXPECT_EQ(usage.sharedBytes, 2048u);
  EXPECT_EQ(usage.stackBytes, 8u);
  EXPECT_EQ(usage.spillBytes, 16u);
  EXPECT_EQ(readResourceUsage("").registers, 0u);
}

TEST(CudaKey, DependsOnSourceHeadersAndOptions) {
  const std::string options[] = {"a", "b"}, joined[] = {"ab"};
  const std::string key = kernelKey("#include \"add.cuh\"\n", options);
  EXPECT_EQ(key.size(), 32u);
  EXPECT_EQ(key, kernelKey("#include \"add.cuh\"\n", options));
  EXPECT_NE(key, kernelKey("#include \"add.cuh\"\n\n", options));
  EXPECT_NE(key, kernelKey("#include \"add.cuh\"\n", joined));
}

TEST(CudaCache, StoresFindsAndDropsDamage) {
  TemporaryFolder folder;
  KernelCache cache(folder.path / "made");
  const CompiledKernel kernel = {{1, 2, 3}, "log", {40, 1, 2, 3}, false};
  EXPECT_FALSE(cache.find("key", "13.0").has_value());
  cache.store("key", "13.0", kernel);
  std::optional<CompiledKernel> found = cache.find("key", "13.0");
  ASSERT_TRUE(found.has_value());
  EXPECT_TRUE(found->fromCache);
  EXPECT_EQ(found->image, kernel.image);
  EXPECT_EQ(found->log, kernel.log);
  EXPECT_EQ(found->usage.spillBytes, 3u);
  EXPECT_FALSE(cache.find("key", "12.9").has_value());
  EXPECT_TRUE(cache.find("key", "").has_value());

  const std::filesystem::path file = folder.path / "made" / "key.13.0";
  const auto bytes = std::filesystem::file_size(file);
  std::fstream(file, std::ios::in | std::ios::out | std::ios::binary).seekp(long(bytes) - 1).put(7);
  EXPECT_FALSE(cache.find("key", "13.0").has_value());
  cache.store("key", "13.0", kernel);
  EXPECT_TRUE(cache.find("key", "13.0").has_value());
  std::filesystem::resize_file(file, bytes - 1);
  EXPECT_FALSE(cache.find("key", "13.0").has_value());
  KernelCache none("");
  none.store("key", "13.0", kernel);
  EXPECT_FALSE(none.find("key", "13.0").has_value());
}

TEST(CudaCompiler, SaysWhatItLookedFor) {
  Compiler compiler({"/nowhere/libnvrtc.so.13", ""});
  kt::Result<GpuKernel> kernel = compiler.make("add", AddParams, target("sm_80"));
  ASSERT_FALSE(static_cast<bool>(kernel));
  EXPECT_NE(kernel.error().message.find("/nowhere/libnvrtc.so.13"), std::string::npos)
      << kernel.error().message;
  EXPECT_NE(kernel.error().message.find("nvidia-cuda-nvrtc"), std::string::npos);
}

TEST(CudaCompiler, RefusesAnotherLibrary) {
  Compiler compiler({"libdl.so.2", ""});
  ASSERT_FALSE(static_cast<bool>(compiler.library()));
  EXPECT_NE(compiler.library().error().message.find("has no function nvrtcGetErrorString"), std::string::npos)
      << compiler.library().error().message;
}

class WithNvrtc : public ::testing::Test {
protected:
  void SetUp() override {
    if (!compiler.library())
      GTEST_SKIP() << "no NVRTC";
  }
  TemporaryFolder folder;
  Compiler compiler{{"", folder.path}};
};

TEST_F(WithNvrtc, CompilesForEveryTarget) {
  for (const Target &target : targets()) {
    SCOPED_TRACE(target.name);
    kt::Result<GpuKernel> kernel = compiler.make("add", AddParams, target);
    ASSERT_TRUE(static_cast<bool>(kernel)) << kernel.error().message;
    const std::string_view image(reinterpret_cast<const char *>(kernel->compiled.image.data()),
                                 kernel->compiled.image.size());
    if (target.ptx) {
      EXPECT_NE(image.find(".target sm_80"), std::string_view::npos);
      EXPECT_NE(image.find(".entry kernel("), std::string_view::npos);
    } else {
      EXPECT_EQ(image.substr(1, 3), "ELF");
      EXPECT_GT(kernel->compiled.usage.registers, 0u) << kernel->compiled.log;
    }
    EXPECT_EQ(kernel->compiled.usage.spillBytes, 0u);
    EXPECT_EQ(kernel->instance.launch.gridX, 2u);
  }
  EXPECT_EQ(folder.files().size(), targets().size());
}

TEST_F(WithNvrtc, UsesAndRepairsTheCache) {
  const Target sm = target("sm_90a");
  kt::Result<GpuKernel> first = compiler.make("add", AddParams, sm);
  ASSERT_TRUE(static_cast<bool>(first)) << first.error().message;
  EXPECT_FALSE(first->compiled.fromCache);
  kt::Result<GpuKernel> second = compiler.make("add", AddParams, sm);
  ASSERT_TRUE(second && second->compiled.fromCache);
  EXPECT_EQ(second->compiled.image, first->compiled.image);

  std::ofstream(folder.files().at(0)) << "garbage";
  kt::Result<GpuKernel> third = compiler.make("add", AddParams, sm);
  ASSERT_TRUE(third && !third->compiled.fromCache);
  EXPECT_EQ(third->compiled.image, first->compiled.image);

  Compiler withoutNvrtc({"/nowhere/libnvrtc.so", folder.path});
  kt::Result<GpuKernel> cached = withoutNvrtc.make("add", AddParams, sm);
  ASSERT_TRUE(static_cast<bool>(cached)) << cached.error().message;
}

TEST_F(WithNvrtc, ErrorsHoldTheLog) {
  kt::Result<CompiledKernel> kernel = compiler.compile(
      "broken_k=1", "extern \"C\" __global__ void kernel() { undeclared = 1; }", target("sm_80"));
  ASSERT_FALSE(static_cast<bool>(kernel));
  EXPECT_EQ(kernel.error().message.find("broken_k=1 for sm_80: NVRTC "), 0u) << kernel.error().message;
  EXPECT_NE(kernel.error().message.find("undeclared"), std::string::npos);
  EXPECT_NE(kernel.error().message.find("kernel.cu(1)"), std::string::npos);
}

TEST_F(WithNvrtc, ReportsSpills) {
  // 64 live values in 24 registers: __launch_bounds__ alone cannot force that, maxnreg can.
  const std::string source =
      "extern \"C\" __global__ void __maxnreg__(24) kernel(float *p) {\n"
      "  float v[64];\n"
      "#pragma unroll\n"
      "  for (int i = 0; i < 64; ++i) v[i] = p[i * 32 + threadIdx.x];\n"
      "  __syncthreads();\n"
      "#pragma unroll\n"
      "  for (int i = 0; i < 64; ++i) p[(63 - i) * 32 + threadIdx.x] = v[i] * v[(i * 7) % 64];\n"
      "}\n";
  kt::Result<CompiledKernel> kernel = compiler.compile("spills", source, target("sm_90a"));
  ASSERT_TRUE(static_cast<bool>(kernel)) << kernel.error().message;
  EXPECT_GT(kernel->usage.spillBytes, 0u) << kernel->log;
  EXPECT_LE(kernel->usage.registers, 24u);
}

} // namespace
} // namespace ktc::cuda
