// Damaged plan files: every truncation and byte flip gives an error, never a crash, also when hashes are right
// again.
#include "runtime/plan/reader.h"

#include "runtime/plan/dump.h"
#include "runtime/plan/hash.h"
#include "toy_plan.h"

#include <cstring>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

using namespace ktrt::plan;

namespace {

class ReaderTest : public testing::Test {
protected:
  void SetUp() override {
    toy::Plan plan;
    path = plan.write(directory.path);
    bytes = toy::readFile(path);
    auto file = PlanFile::open(path);
    ASSERT_TRUE(file) << file.error().message;
    sections.assign(file->sections().begin(), file->sections().end());
  }

  // Message of opening `changed`, without the path; "" if it opens.
  std::string open(const std::vector<uint8_t> &changed, bool hashWeights = false) {
    std::string name = (directory.path / "changed.ktp").string();
    toy::writeFile(name, changed);
    PlanFile::Options options;
    options.hashWeights = hashWeights;
    auto file = PlanFile::open(name, options);
    if (file) {
      dumpPlan(*file); // everything that the verifier accepts can be printed
      return "";
    }
    EXPECT_EQ(file.error().message.substr(0, name.size() + 2), name + ": ");
    return file.error().message.substr(name.size() + 2);
  }

  // The file with one number of the header replaced.
  template <typename T> std::vector<uint8_t> patched(size_t offset, T value) {
    std::vector<uint8_t> changed = bytes;
    memcpy(changed.data() + offset, &value, sizeof(value));
    return changed;
  }
  // The file with one field of a section record replaced and all hashes right.
  template <typename T> std::vector<uint8_t> patchedSection(uint32_t section, size_t field, T value) {
    std::vector<uint8_t> changed = patched(sizeof(PlanHeader) + section * sizeof(PlanSection) + field, value);
    toy::repairHashes(changed);
    return changed;
  }

  toy::TemporaryDirectory directory;
  std::string path;
  std::vector<uint8_t> bytes;
  std::vector<PlanSection> sections;
};

TEST_F(ReaderTest, OpensAnIntactPlan) {
  EXPECT_EQ(open(bytes, true), "");
  auto file = PlanFile::open(path);
  ASSERT_TRUE(file);
  EXPECT_EQ(file->plan().model()->vocab(), toy::kVocab);
  EXPECT_EQ(file->sections().size(), size_t(toy::SectionCount));
  EXPECT_EQ(file->section(toy::Packed)[0], 0x5a);
  PlanFile moved = std::move(*file);
  EXPECT_EQ(moved.plan().model()->vocab(), toy::kVocab);
}

TEST_F(ReaderTest, FilesThatAreNoPlans) {
  auto missing = PlanFile::open((directory.path / "missing.ktp").string());
  ASSERT_FALSE(missing);
  EXPECT_NE(missing.error().message.find("missing.ktp: cannot open: No such file"), std::string::npos);
  EXPECT_FALSE(PlanFile::open(directory.path.string()));
  EXPECT_EQ(open({}), "not a plan: 0 bytes are less than a header");
  EXPECT_EQ(open(std::vector<uint8_t>(5000, 'x')),
            "not a plan: it does not start with the magic of plan files");
}

TEST_F(ReaderTest, HeaderFields) {
  EXPECT_EQ(open(patched<uint32_t>(8, 2)), "plan format version 2, this runtime reads version 1");
  EXPECT_EQ(open(patched<uint32_t>(12, 39)), "header.headerBytes is 39, expected 40 to 4096");
  EXPECT_EQ(open(patched<uint32_t>(12, ~0u)), "header.headerBytes is 4294967295, expected 40 to 4096");
  EXPECT_EQ(open(patched<uint32_t>(24, 0)), "header.sectionCount is 0, expected 1 to 65536");
  EXPECT_EQ(open(patched<uint32_t>(24, ~0u)), "header.sectionCount is 4294967295, expected 1 to 65536");
  EXPECT_EQ(open(patched<uint32_t>(24, 60000)), "the table of 60000 sections does not fit into the file");
  EXPECT_EQ(open(patched<uint32_t>(28, 8)), "header.sectionBytes is 8, expected 32 to 4096");
  EXPECT_EQ(open(patched<uint64_t>(32, 1)), "the section table is damaged (its hash is wrong)");
  std::vector<uint8_t> longer = bytes;
  longer.push_back(0);
  EXPECT_EQ(open(longer).substr(0, 37), "the file is longer than its header sa");
}

// A later version may use longer headers and records: what this one does not know is skipped.
TEST_F(ReaderTest, LongerRecordsAreSkipped) {
  constexpr uint32_t headerBytes = sizeof(PlanHeader) + 24, sectionBytes = sizeof(PlanSection) + 16;
  std::vector<uint8_t> changed = bytes;
  memset(changed.data() + sizeof(PlanHeader), 0, 4096 - sizeof(PlanHeader));
  for (uint32_t i = 0; i < sections.size(); ++i)
    memcpy(changed.data() + headerBytes + i * sectionBytes, &sections[i], sizeof(PlanSection));
  memcpy(changed.data() + 12, &headerBytes, 4);
  memcpy(changed.data() + 28, &sectionBytes, 4);
  toy::repairHashes(changed);
  EXPECT_EQ(open(changed, true), "");
}

TEST_F(ReaderTest, SectionTable) {
  EXPECT_EQ(open(patchedSection<uint64_t>(1, 8, sections[1].offset + 1)),
            "sections[1].offset is " + std::to_string(sections[1].offset + 1) +
                ", expected a multiple of 4096");
  EXPECT_EQ(open(patchedSection<uint64_t>(1, 8, 4096)).substr(0, 48),
            "sections[1] starts at 4096, before the end of wh");
  EXPECT_EQ(open(patchedSection<uint64_t>(0, 8, 0)).substr(0, 40), "sections[0] starts at 0, before the end ");
  EXPECT_NE(open(patchedSection<uint64_t>(3, 16, ~uint64_t(0))).find("are outside the file's"),
            std::string::npos);
  EXPECT_NE(open(patchedSection<uint64_t>(3, 8, uint64_t(1) << 62)).find("are outside the file's"),
            std::string::npos);
  EXPECT_EQ(open(patchedSection<uint32_t>(0, 0, 2)), "no section holds a program");
  EXPECT_EQ(open(patchedSection<uint32_t>(2, 0, 1)), "sections[2] is a second program");
  EXPECT_EQ(open(patchedSection<uint32_t>(2, 0, 99)),
            "weights[0] ('bias'): section 2 holds neither weights nor constants");
}

TEST_F(ReaderTest, HashesOfSections) {
  std::vector<uint8_t> changed = bytes;
  changed[sections[toy::Code].offset] ^= 1;
  EXPECT_EQ(open(changed).substr(0, 30), "sections[1] (code) is damaged:");
  changed = bytes;
  changed[sections[toy::Packed].offset + 77] ^= 1;
  EXPECT_EQ(open(changed, false), "") << "packed weights are hashed on request only";
  EXPECT_EQ(open(changed, true).substr(0, 33), "sections[3] (weights) is damaged:");
}

TEST_F(ReaderTest, Truncation) {
  std::vector<size_t> sizes;
  for (size_t i = 0; i < 64; ++i)
    sizes.push_back(bytes.size() * i / 64);
  for (const PlanSection &section : sections)
    for (uint64_t at : {section.offset, section.offset + section.bytes})
      for (int delta : {-1, 0, 1})
        if (at + uint64_t(delta) < bytes.size())
          sizes.push_back(at + uint64_t(delta));
  for (size_t size = 0; size <= sizeof(PlanHeader) + sections.size() * sizeof(PlanSection) + 1; ++size)
    sizes.push_back(size);
  for (size_t size : sizes) {
    std::vector<uint8_t> changed(bytes.begin(), bytes.begin() + ptrdiff_t(size));
    EXPECT_NE(open(changed), "") << size;
    // And with a header that agrees with the size, so that later checks see it.
    if (size < sizeof(PlanHeader))
      continue;
    uint64_t fileBytes = size;
    memcpy(changed.data() + 16, &fileBytes, 8);
    toy::repairHashes(changed);
    std::string message = open(changed);
    if (size < sections.back().offset + sections.back().bytes) {
      EXPECT_NE(message, "") << size;
    }
  }
}

// A copy of the plan in which single bytes are changed in place: rewriting it for every byte would take
// minutes.
class FlipTest : public ReaderTest {
protected:
  void SetUp() override {
    ReaderTest::SetUp();
    name = (directory.path / "flipped.ktp").string();
    toy::writeFile(name, bytes);
    fd = ::open(name.c_str(), O_RDWR);
    ASSERT_GE(fd, 0);
  }
  void TearDown() override { close(fd); }

  void store(size_t at, const uint8_t *from, size_t count) {
    ASSERT_EQ(pwrite(fd, from + at, count, off_t(at)), ssize_t(count));
  }

  // True if the file opens with byte `at` changed; with `repair` its hashes are made right first.
  bool opens(size_t at, uint8_t mask, bool repair) {
    std::vector<uint8_t> &changed = scratch = bytes;
    changed[at] ^= mask;
    store(at, changed.data(), 1);
    if (repair) {
      toy::repairHashes(changed);
      store(0, changed.data(), kSectionAlignment);
    }
    auto file = PlanFile::open(name);
    if (file)
      dumpPlan(*file); // whatever the verifier accepts can be printed
    store(at, bytes.data(), 1);
    if (repair)
      store(0, bytes.data(), kSectionAlignment);
    return bool(file);
  }

  std::string name;
  int fd = -1;
  std::vector<uint8_t> scratch;
};

// Flips in header, table, program, code and constants are noticed; padding and packed weights are not hashed at
// open.
TEST_F(FlipTest, EveryByte) {
  auto covered = [&](size_t at) {
    if (at < sizeof(PlanHeader) + sections.size() * sizeof(PlanSection))
      return true;
    for (const PlanSection &section : sections)
      if (at >= section.offset && at - section.offset < section.bytes)
        return section.kind != SectionKind::Weights;
    return false;
  };
  for (size_t at = 0; at < bytes.size(); ++at)
    if (covered(at) || at % 97 == 0) { // every byte that matters, a sample of the rest
      EXPECT_EQ(opens(at, uint8_t(1u << at % 8), false), !covered(at)) << at;
    }
}

// With the hashes repaired, damage reaches the flatbuffer verifier and ours. What counts here is that nothing
// crashes (the sanitizer build runs this too).
TEST_F(FlipTest, ProgramBehindTheHashes) {
  const PlanSection &program = sections[toy::Program];
  size_t refused = 0;
  for (uint64_t i = 0; i < program.bytes; ++i)
    refused += !opens(program.offset + i, i % 2 ? 0xff : uint8_t(1u << i / 2 % 8), true);
  EXPECT_GT(refused, program.bytes / 4);
}

TEST_F(ReaderTest, RandomProgram) {
  const PlanSection &program = sections[toy::Program];
  uint32_t random = 1;
  for (int round = 0; round < 300; ++round) {
    std::vector<uint8_t> changed = bytes;
    for (int i = 0; i < 1 + round % 20; ++i) {
      random = random * 1664525 + 1013904223;
      changed[program.offset + random % program.bytes] = uint8_t(random >> 24);
    }
    toy::repairHashes(changed);
    open(changed);
  }
}

} // namespace
