// The C API without a model: argument checks, messages, and structs of other sizes.
#include "runtime/api/ktrt.hpp"
#include "runtime/api/status.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <thread>

using namespace ktrt::api;

namespace {

int ignoreText(void *, const char *, size_t) { return 0; }
int ignoreLogits(void *, size_t, size_t, const float *) { return 0; }

// A file that is no plan, removed afterwards.
class NoPlan {
public:
  NoPlan() : path(std::filesystem::temp_directory_path() / ("ktrt-no-plan-" + std::to_string(::getpid()))) {
    std::ofstream(path) << "this is not a plan";
  }
  ~NoPlan() { std::filesystem::remove(path); }
  std::filesystem::path path;
};

} // namespace

TEST(Api, NamesItsVersion) {
  EXPECT_EQ(ktrtApiVersion(), KTRT_API_VERSION);
  EXPECT_STRNE(ktrtVersion(), "");
  EXPECT_STRNE(ktrtCommit(), "");
}

TEST(Api, EveryFunctionRefusesNull) {
  KtrtInfo info = KTRT_INIT(KtrtInfo);
  KtrtSampling sampling = KTRT_INIT(KtrtSampling);
  KtrtBenchOptions bench = KTRT_INIT(KtrtBenchOptions);
  KtrtBenchResult benchResult = KTRT_INIT(KtrtBenchResult);
  KtrtPerplexityResult perplexity = KTRT_INIT(KtrtPerplexityResult);
  size_t count = 0;
  int32_t token = 0;
  EXPECT_EQ(ktrtOpen(nullptr, nullptr, nullptr), KTRT_INVALID_ARGUMENT);
  EXPECT_EQ(ktrtGetInfo(nullptr, &info), KTRT_INVALID_ARGUMENT);
  EXPECT_EQ(ktrtTokenize(nullptr, "a", 1, 0, nullptr, 0, &count), KTRT_INVALID_ARGUMENT);
  EXPECT_EQ(ktrtDetokenize(nullptr, &token, 1, 0, nullptr, 0, &count), KTRT_INVALID_ARGUMENT);
  EXPECT_EQ(ktrtApplyChatTemplate(nullptr, nullptr, 0, 1, nullptr, 0, &count), KTRT_INVALID_ARGUMENT);
  EXPECT_EQ(ktrtTokenizeChat(nullptr, nullptr, 0, 1, nullptr, 0, &count), KTRT_INVALID_ARGUMENT);
  EXPECT_EQ(ktrtEvaluate(nullptr, &token, 1, 0, nullptr), KTRT_INVALID_ARGUMENT);
  EXPECT_EQ(ktrtEvaluateAll(nullptr, &token, 1, 0, ignoreLogits, nullptr), KTRT_INVALID_ARGUMENT);
  EXPECT_EQ(ktrtDefaultSampling(nullptr, &sampling), KTRT_INVALID_ARGUMENT);
  EXPECT_EQ(ktrtGenerate(nullptr, &token, 1, nullptr, nullptr), KTRT_INVALID_ARGUMENT);
  EXPECT_EQ(ktrtPerplexity(nullptr, &token, 1, nullptr, &perplexity), KTRT_INVALID_ARGUMENT);
  EXPECT_EQ(ktrtBench(nullptr, &bench, &benchResult), KTRT_INVALID_ARGUMENT);
  EXPECT_EQ(ktrtSetProfiling(nullptr, 1), KTRT_INVALID_ARGUMENT);
  EXPECT_EQ(ktrtDumpPlan(nullptr, ignoreText, nullptr), KTRT_INVALID_ARGUMENT);
  EXPECT_EQ(ktrtVerifyPlan(nullptr), KTRT_INVALID_ARGUMENT);
  EXPECT_STRNE(ktrtLastError(), "");
  ktrtClose(nullptr);
  ktrtSetStop(nullptr, 1);
}

TEST(Api, AStructWithoutSizeIsRefused) {
  KtrtOpenOptions options{}; // size 0
  KtrtModel *model = nullptr;
  EXPECT_EQ(ktrtOpen("anything", &options, &model), KTRT_INVALID_ARGUMENT);
  EXPECT_EQ(model, nullptr);
}

TEST(Api, OpeningSomethingElseNamesTheFile) {
  NoPlan file;
  ktrt::Model model;
  EXPECT_EQ(model.open(file.path.string(), KTRT_INIT(KtrtOpenOptions)), KTRT_ERROR);
  EXPECT_EQ(model.get(), nullptr);
  EXPECT_NE(std::string(ktrtLastError()).find(file.path.string()), std::string::npos) << ktrtLastError();
  EXPECT_EQ(ktrtVerifyPlan(file.path.c_str()), KTRT_ERROR);
  EXPECT_EQ(ktrtDumpPlan(file.path.c_str(), ignoreText, nullptr), KTRT_ERROR);
}

TEST(Api, OpeningNothingNamesTheFile) {
  ktrt::Model model;
  EXPECT_EQ(model.open("no-such-file.ktp", KTRT_INIT(KtrtOpenOptions)), KTRT_ERROR);
  EXPECT_NE(std::string(ktrtLastError()).find("no-such-file.ktp"), std::string::npos) << ktrtLastError();
}

TEST(Api, ErrorsBelongToTheirThread) {
  fail(KTRT_ERROR, "of this thread");
  std::thread([] {
    EXPECT_STREQ(ktrtLastError(), "");
    fail(KTRT_ERROR, "of the other thread");
  }).join();
  EXPECT_STREQ(ktrtLastError(), "of this thread");
}

TEST(Api, ExceptionsBecomeErrors) {
  EXPECT_EQ(guard([]() -> KtrtStatus { throw std::bad_alloc(); }), KTRT_ERROR);
  EXPECT_STRNE(ktrtLastError(), "");
}

// A caller that was built against a header with fewer fields.
TEST(Structs, ShorterOnesAreReadAndWrittenInPart) {
  KtrtOpenOptions options = KTRT_INIT(KtrtOpenOptions);
  options.isa = "avx2";
  options.threads = 7;
  options.size = offsetof(KtrtOpenOptions, threads);
  KtrtOpenOptions seen = readStruct(&options);
  EXPECT_STREQ(seen.isa, "avx2");
  EXPECT_EQ(seen.threads, 0u);
  EXPECT_EQ(seen.size, sizeof(KtrtOpenOptions));

  KtrtRate poison{1, 2, 3};
  KtrtBenchResult result{};
  result.size = offsetof(KtrtBenchResult, decode);
  result.decode = poison;
  KtrtBenchResult full{};
  full.prefill = {4, 5, 6};
  writeStruct(&result, full);
  EXPECT_EQ(result.prefill.median, 5);
  EXPECT_EQ(result.decode.median, 2); // untouched
  EXPECT_EQ(result.size, offsetof(KtrtBenchResult, decode));
}

// A caller that was built against a header with more fields.
TEST(Structs, LongerOnesAreReadUpToWhatIsKnown) {
  struct Longer {
    KtrtOpenOptions known;
    uint64_t later;
  } options{};
  options.known.size = sizeof(options);
  options.known.threads = 3;
  EXPECT_EQ(readStruct(&options.known).threads, 3u);
  EXPECT_EQ(readStruct<KtrtOpenOptions>(nullptr).size, sizeof(KtrtOpenOptions));
}
