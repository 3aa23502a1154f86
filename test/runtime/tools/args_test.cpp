// Command-line parsing: values, spellings, and what is said about mistakes.
#include "runtime/tools/args.h"

#include <gtest/gtest.h>

using namespace ktrt::tools;

namespace {

// A parser with one option of each kind.
struct Fixture {
  std::string plan, name;
  std::optional<std::string> text;
  std::vector<std::string> stops;
  uint32_t count = 7;
  uint64_t big = 0;
  float temperature = 0.8f;
  bool json = false;
  std::string errors, output;

  std::optional<int> parse(std::vector<std::string> words) {
    Arguments arguments("ktrt test", "Does nothing.");
    arguments.positional("PLAN", plan, "a plan");
    arguments.option("--name", "TEXT", &name, "a name");
    arguments.option("-p,--prompt", "TEXT", &text, "text");
    arguments.option("--stop", "TEXT", &stops, "stops");
    arguments.option("-n,--predict", "N", &count, "a count");
    arguments.option("--big", "N", &big, "a large count");
    arguments.option("--temp", "T", &temperature, "temperature");
    arguments.option("--json", nullptr, &json, "as JSON");
    words.insert(words.begin(), {"ktrt", "test"});
    std::vector<char *> argv;
    for (std::string &word : words)
      argv.push_back(word.data());
    testing::internal::CaptureStderr();
    testing::internal::CaptureStdout();
    auto code = arguments.parse(static_cast<int>(argv.size()), argv.data());
    errors = testing::internal::GetCapturedStderr();
    output = testing::internal::GetCapturedStdout();
    return code;
  }

  void expectError(std::vector<std::string> words, const std::string &part) {
    EXPECT_EQ(parse(std::move(words)), kExitUsage);
    EXPECT_NE(errors.find(part), std::string::npos) << errors;
    EXPECT_EQ(std::count(errors.begin(), errors.end(), '\n'), 1) << errors;
    EXPECT_EQ(output, "");
  }
};

} // namespace

TEST(Arguments, AllKindsInAnyOrder) {
  Fixture f;
  EXPECT_EQ(f.parse({"-n", "12", "a.ktp", "--temp=0.5", "--json", "--stop", "x", "--stop=y", "--big",
                     "18446744073709551615", "-p", "-dash first"}),
            std::nullopt);
  EXPECT_EQ(f.plan, "a.ktp");
  EXPECT_EQ(f.count, 12u);
  EXPECT_EQ(f.temperature, 0.5f);
  EXPECT_TRUE(f.json);
  EXPECT_EQ(f.stops, (std::vector<std::string>{"x", "y"}));
  EXPECT_EQ(f.big, UINT64_MAX);
  EXPECT_EQ(f.text, "-dash first");
}

TEST(Arguments, AbsentOptionsKeepTheirValue) {
  Fixture f;
  EXPECT_EQ(f.parse({"a.ktp"}), std::nullopt);
  EXPECT_EQ(f.count, 7u);
  EXPECT_EQ(f.text, std::nullopt);
  EXPECT_FALSE(f.json);
}

TEST(Arguments, EmptyValuesAreValues) {
  Fixture f;
  EXPECT_EQ(f.parse({"a.ktp", "-p", "", "--name="}), std::nullopt);
  EXPECT_EQ(f.text, "");
}

TEST(Arguments, DoubleDashEndsOptions) {
  Fixture f;
  EXPECT_EQ(f.parse({"--", "--strange-name.ktp"}), std::nullopt);
  EXPECT_EQ(f.plan, "--strange-name.ktp");
}

TEST(Arguments, HelpListsEverything) {
  Fixture f;
  EXPECT_EQ(f.parse({"--help"}), kExitDone);
  for (const char *part : {"usage: ktrt test PLAN", "-n, --predict N", "a large count", "--json", "--help"})
    EXPECT_NE(f.output.find(part), std::string::npos) << part;
  EXPECT_EQ(f.errors, "");
}

TEST(Arguments, Mistakes) {
  Fixture f;
  f.expectError({}, "missing PLAN");
  f.expectError({"a", "b"}, "unexpected argument 'b'");
  f.expectError({"a", "--tmp", "1"}, "unknown option '--tmp' (did you mean '--temp'?)");
  f.expectError({"a", "--zzzzzz"}, "unknown option '--zzzzzz'; see");
  f.expectError({"a", "-n"}, "option '-n' needs a value");
  f.expectError({"a", "--json=1"}, "takes no value");
  for (const char *bad : {"x", "", "-1", "+1", " 1", "1.5", "4294967296", "1x"})
    f.expectError({"a", "-n", bad}, "option '-n' expects a whole number");
  for (const char *bad : {"x", "", "nan", "inf", "0.5f", " 1"})
    f.expectError({"a", "--temp", bad}, "option '--temp' expects a number");
  f.expectError({"a", "--big", "18446744073709551616"}, "expects a whole number");
}

TEST(EditDistance, Examples) {
  EXPECT_EQ(editDistance("", ""), 0u);
  EXPECT_EQ(editDistance("abc", ""), 3u);
  EXPECT_EQ(editDistance("kitten", "sitting"), 3u);
  EXPECT_EQ(editDistance("--tmp", "--temp"), 1u);
}

TEST(ParseTokens, Lists) {
  EXPECT_EQ(parseTokens("1 2 3"), (std::vector<int32_t>{1, 2, 3}));
  EXPECT_EQ(parseTokens("1, 2,3\n"), (std::vector<int32_t>{1, 2, 3}));
  EXPECT_EQ(parseTokens(""), std::vector<int32_t>{});
  for (const char *bad : {"1 x", "-1", "2147483648", "1.0", "1;2"})
    EXPECT_EQ(parseTokens(bad), std::nullopt) << bad;
}
