// The plan writer: layout, hashes, streaming, and that failures leave nothing behind.
#include "runtime/plan/writer.h"

#include "runtime/plan/hash.h"
#include "toy_plan.h"

#include <cstring>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

using namespace ktrt::plan;

namespace {

size_t filesIn(const std::filesystem::path &directory) {
  return size_t(std::distance(std::filesystem::directory_iterator(directory), {}));
}

TEST(Writer, LaysOutPiecesAndSections) {
  toy::TemporaryDirectory directory;
  const char text[] = "0123456789";
  std::string source = (directory.path / "source").string(), path = (directory.path / "plan.ktp").string();
  toy::writeFile(source, std::vector<uint8_t>(3'000'000, 0x77));
  int fd = open(source.c_str(), O_RDONLY);
  ASSERT_GE(fd, 0);

  std::vector<SectionSource> sections;
  SectionSource &first = sections.emplace_back(SectionKind::Constants);
  EXPECT_EQ(first.add(text, 10, 1), 0u);
  EXPECT_EQ(first.add(text, 3, 1), 10u);
  EXPECT_EQ(first.add(text, 5), 64u) << "13 rounded up to 64";
  EXPECT_EQ(first.bytes(), 69u);
  SectionSource &second = sections.emplace_back(SectionKind::Weights);
  EXPECT_EQ(second.addFile(fd, 100, 2'500'000), 0u);
  EXPECT_EQ(second.add(text, 1, 4096), 2'502'656u) << "2500000 rounded up to 4096";
  sections.emplace_back(SectionKind::Code); // empty

  uint64_t last = 0, total = 0;
  kt::Status status = writePlan(path, sections, [&](uint64_t done, uint64_t all) {
    EXPECT_GE(done, last);
    last = done;
    total = all;
  });
  close(fd);
  ASSERT_TRUE(status) << status.error().message;
  EXPECT_GT(last, 0u);
  EXPECT_GE(total, last);
  EXPECT_EQ(filesIn(directory.path), 2u) << "no temporary is left";

  std::vector<uint8_t> bytes = toy::readFile(path);
  PlanHeader header;
  PlanSection table[3];
  memcpy(&header, bytes.data(), sizeof(header));
  memcpy(table, bytes.data() + sizeof(header), sizeof(table));
  EXPECT_EQ(header.fileBytes, bytes.size());
  EXPECT_EQ(header.sectionCount, 3u);
  EXPECT_EQ(header.tableHash, hash64(table, sizeof(table)));
  EXPECT_EQ(table[0].offset, 4096u);
  EXPECT_EQ(table[1].offset, 8192u);
  EXPECT_EQ(table[2].bytes, 0u);
  for (const PlanSection &section : table)
    EXPECT_EQ(section.hash, hash64(bytes.data() + section.offset, section.bytes));
  EXPECT_EQ(std::string(bytes.begin() + 4096, bytes.begin() + 4096 + 13), "0123456789012");
  EXPECT_EQ(bytes[4096 + 13], 0);
  EXPECT_EQ(bytes[4096 + 64], '0');
  EXPECT_EQ(bytes[8192 + 2'499'999], 0x77);
  EXPECT_EQ(bytes[8192 + 2'500'000], 0);
  EXPECT_EQ(bytes[8192 + 2'502'656], '0');
}

TEST(Writer, ShortSourceLeavesNothing) {
  toy::TemporaryDirectory directory;
  std::string source = (directory.path / "source").string(), path = (directory.path / "plan.ktp").string();
  toy::writeFile(source, std::vector<uint8_t>(1000));
  int fd = open(source.c_str(), O_RDONLY);
  std::vector<SectionSource> sections;
  sections.emplace_back(SectionKind::Weights).addFile(fd, 100, 1000);
  kt::Status status = writePlan(path, sections);
  close(fd);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().message, path + ": a source file ends 100 bytes early");
  EXPECT_EQ(filesIn(directory.path), 1u);
}

TEST(Writer, FailuresKeepTheOldPlan) {
  toy::TemporaryDirectory directory;
  std::string path = (directory.path / "plan.ktp").string();
  toy::writeFile(path, {1, 2, 3});
  std::vector<SectionSource> sections;
  sections.emplace_back(SectionKind::Weights).addFile(-1, 0, 10);
  kt::Status status = writePlan(path, sections);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().message, path + ": cannot read what goes into it: Bad file descriptor");
  EXPECT_EQ(toy::readFile(path).size(), 3u);
  EXPECT_EQ(filesIn(directory.path), 1u);

  EXPECT_FALSE(writePlan(path, {}));
  std::string nowhere = (directory.path / "missing" / "plan.ktp").string();
  status = writePlan(nowhere, sections);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().message, nowhere + ": cannot create: No such file or directory");

  // A directory in the way: everything is written, but the rename fails.
  std::filesystem::create_directory(directory.path / "taken");
  sections.clear();
  sections.emplace_back(SectionKind::Constants).add("x", 1);
  EXPECT_FALSE(writePlan((directory.path / "taken").string(), sections));
  EXPECT_EQ(filesIn(directory.path), 2u);
}

} // namespace
