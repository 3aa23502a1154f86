// Outputs appear whole or not at all.
#include "runtime/tools/files.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <unistd.h>

using namespace ktrt::tools;
namespace fs = std::filesystem;

namespace {

class Files : public testing::Test {
protected:
  void SetUp() override {
    directory = fs::temp_directory_path() / ("ktrt-files-" + std::to_string(getpid()));
    fs::create_directories(directory);
  }
  void TearDown() override { fs::remove_all(directory); }
  size_t entries() const {
    return static_cast<size_t>(std::distance(fs::directory_iterator(directory), fs::directory_iterator()));
  }
  fs::path directory;
};

} // namespace

TEST_F(Files, CommitReplacesAtOnce) {
  std::string path = directory / "out";
  std::ofstream(path) << "old";
  OutputFile file;
  ASSERT_TRUE(file.open(path));
  ASSERT_TRUE(file.write("new!", 4));
  EXPECT_EQ(*readInput(path), "old");
  ASSERT_TRUE(file.commit());
  EXPECT_EQ(*readInput(path), "new!");
  EXPECT_EQ(entries(), 1u);
}

TEST_F(Files, WithoutCommitNothingRemains) {
  {
    OutputFile file;
    ASSERT_TRUE(file.open(directory / "out"));
    ASSERT_TRUE(file.write("half", 4));
    EXPECT_EQ(entries(), 1u);
  }
  EXPECT_EQ(entries(), 0u);
}

TEST_F(Files, ErrorsNameTheFile) {
  std::string path = directory / "missing" / "out";
  OutputFile file;
  kt::Status status = file.open(path);
  ASSERT_FALSE(status);
  EXPECT_NE(status.error().message.find(path), std::string::npos);
  auto input = readInput(path);
  ASSERT_FALSE(input);
  EXPECT_NE(input.error().message.find(path), std::string::npos);
}

TEST_F(Files, DirectoriesAreNoInput) { EXPECT_FALSE(readInput(directory)); }

TEST_F(Files, ReadsAnySize) {
  std::string contents(200001, '\0');
  contents.back() = 'x';
  std::ofstream(directory / "in", std::ios::binary) << contents;
  EXPECT_EQ(*readInput(directory / "in"), contents);
}
