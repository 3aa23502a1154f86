// Finding linked weight files, and refusing those that the plan was not compiled from.
#include "runtime/memory/weights.h"

#include "runtime/memory/prefetch.h"
#include "runtime/plan/reader.h"
#include "test/runtime/plan/toy_plan.h"

#include <cstdlib>
#include <cstring>
#include <gtest/gtest.h>
#include <unistd.h>

using namespace ktrt;

namespace {

class WeightsTest : public testing::Test {
protected:
  void TearDown() override { unsetenv("KTRT_MODEL_DIR"); }

  // The bias that the plan finds, or 0 with `message` set.
  float bias(toy::Plan &plan, const std::filesystem::path &planDirectory) {
    std::string path = plan.write(planDirectory);
    auto file = plan::PlanFile::open(path);
    EXPECT_TRUE(file) << file.error().message;
    std::vector<const uint8_t *> bases;
    for (uint32_t i = 0; i < file->sections().size(); ++i)
      bases.push_back(file->section(i));
    auto weights = WeightMap::open(file->plan(), path, bases);
    message = weights ? "" : weights.error().message;
    float value = 0;
    if (weights)
      memcpy(&value, weights->address(0), 4);
    return value;
  }

  toy::TemporaryDirectory directory, other;
  toy::Plan plan;
  std::string message;
};

TEST_F(WeightsTest, InsideThePlan) { EXPECT_EQ(bias(plan, directory.path), toy::kBias); }

TEST_F(WeightsTest, RelativeToThePlan) {
  std::filesystem::create_directory(directory.path / "models");
  plan.linkBias(directory.path, "models/a.gguf");
  EXPECT_EQ(bias(plan, directory.path), toy::kBias) << message;
}

TEST_F(WeightsTest, AbsoluteAndMovedBesideThePlan) {
  plan.linkBias(other.path, (other.path / "a.gguf").string());
  EXPECT_EQ(bias(plan, directory.path), toy::kBias) << message;
  std::filesystem::rename(other.path / "a.gguf", directory.path / "a.gguf");
  EXPECT_EQ(bias(plan, directory.path), toy::kBias) << message;
}

TEST_F(WeightsTest, InTheModelDirectory) {
  plan.linkBias(other.path, (other.path / "a.gguf").string());
  std::filesystem::create_directory(other.path / "b");
  std::filesystem::rename(other.path / "a.gguf", other.path / "b" / "a.gguf");
  EXPECT_EQ(bias(plan, directory.path), 0);
  EXPECT_NE(message.find("/a.gguf' (files[0] of " + directory.path.string()), std::string::npos) << message;
  EXPECT_NE(message.find("not found; looked at: " + directory.path.string() + "/a.gguf, "), std::string::npos);
  EXPECT_NE(message.find("KTRT_MODEL_DIR"), std::string::npos);
  setenv("KTRT_MODEL_DIR", (other.path / "b").c_str(), 1);
  EXPECT_EQ(bias(plan, directory.path), toy::kBias) << message;
}

TEST_F(WeightsTest, OtherSize) {
  plan.linkBias(directory.path, "a.gguf", 2000000);
  std::string path = (directory.path / "a.gguf").string();
  ASSERT_EQ(truncate(path.c_str(), 1999999), 0);
  EXPECT_EQ(bias(plan, directory.path), 0);
  EXPECT_EQ(message, path +
                         ": not the file the plan was compiled from (files[0]): expected 2000000 bytes, found "
                         "1999999");
}

TEST_F(WeightsTest, OtherContents) {
  plan.linkBias(directory.path, "a.gguf", 2000000);
  std::string path = (directory.path / "a.gguf").string();
  std::vector<uint8_t> bytes = toy::readFile(path);
  bytes[1000] ^= 1;
  toy::writeFile(path, bytes);
  EXPECT_EQ(bias(plan, directory.path), 0);
  EXPECT_EQ(message.find(path + ": not the file the plan was compiled from (files[0]): expected hash "), 0u)
      << message;
}

TEST_F(WeightsTest, AWrongFileDoesNotHideTheRightOne) {
  plan.linkBias(directory.path, "a.gguf", 2000000);
  std::filesystem::rename(directory.path / "a.gguf", other.path / "a.gguf");
  toy::writeFile((directory.path / "a.gguf").string(), std::vector<uint8_t>(2000000));
  setenv("KTRT_MODEL_DIR", other.path.c_str(), 1);
  EXPECT_EQ(bias(plan, directory.path), toy::kBias) << message;
}

TEST(Prefetcher, ReadsAndStops) {
  toy::TemporaryDirectory directory;
  std::string path = (directory.path / "large").string();
  toy::writeFile(path, std::vector<uint8_t>(40'000'000, 1));
  auto file = MappedFile::open(path);
  ASSERT_TRUE(file);
  EXPECT_EQ(Prefetcher::start({}), nullptr);
  EXPECT_EQ(Prefetcher::start({{&*file, 0, ~uint64_t(0)}}), nullptr) << "more than memory holds";
  EXPECT_NE(Prefetcher::start({{&*file, 1000, 1'000'000}, {&*file, 5'000'000, 35'000'000}}), nullptr);
}

TEST(MappedFile, EmptyAndMissing) {
  toy::TemporaryDirectory directory;
  std::string path = (directory.path / "empty").string();
  toy::writeFile(path, {});
  auto file = MappedFile::open(path);
  ASSERT_TRUE(file);
  EXPECT_EQ(file->bytes(), 0u);
  file->prefetch(0, 100, true);
  EXPECT_EQ(MappedFile::open(directory.path.string()).error().message,
            directory.path.string() + ": not a regular file");
}

} // namespace
