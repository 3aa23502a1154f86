// Opening and checking plan files; see reader.h.
#include "runtime/plan/reader.h"

#include "runtime/plan/hash.h"
#include "runtime/plan/message.h"
#include "runtime/plan/verifier.h"

#include <cinttypes>
#include <cstring>

namespace ktrt::plan {

static constexpr uint32_t kMaxSections = 1u << 16;
static constexpr uint32_t kMaxRecordBytes = 4096; // headers and section records of later versions

const char *sectionKindName(SectionKind kind) {
  switch (kind) {
  case SectionKind::Program:
    return "program";
  case SectionKind::Code:
    return "code";
  case SectionKind::Constants:
    return "constants";
  case SectionKind::Weights:
    return "weights";
  }
  return "unknown";
}

kt::Result<PlanFile> PlanFile::open(const std::string &path, const Options &options) {
  kt::Result<MappedFile> mapped = MappedFile::open(path);
  if (!mapped)
    return mapped.error();
  PlanFile plan;
  plan.file = std::move(*mapped);
  kt::Status status = plan.readHeader();
  if (status)
    status = plan.readSections();
  if (status)
    status = plan.checkHashes(options.hashWeights);
  if (status)
    status = plan.readProgram();
  if (status)
    status = verifyPlan(plan.plan(), plan.table);
  if (!status)
    return failure("%s: %s", path.c_str(), status.error().message.c_str());
  return plan;
}

kt::Status PlanFile::readHeader() {
  if (file.bytes() < sizeof(PlanHeader))
    return failure("not a plan: %" PRIu64 " bytes are less than a header", file.bytes());
  memcpy(&head, file.data(), sizeof(head));
  if (memcmp(head.magic, kMagic, sizeof(kMagic)) != 0)
    return failure("not a plan: it does not start with the magic of plan files");
  if (head.formatVersion != kFormatVersion)
    return failure("plan format version %u, this runtime reads version %u", head.formatVersion, kFormatVersion);
  if (head.headerBytes < sizeof(PlanHeader) || head.headerBytes > kMaxRecordBytes)
    return failure("header.headerBytes is %u, expected %zu to %u", head.headerBytes, sizeof(PlanHeader),
                   kMaxRecordBytes);
  if (head.sectionBytes < sizeof(PlanSection) || head.sectionBytes > kMaxRecordBytes)
    return failure("header.sectionBytes is %u, expected %zu to %u", head.sectionBytes, sizeof(PlanSection),
                   kMaxRecordBytes);
  if (head.fileBytes != file.bytes())
    return failure("the file is %s: expected %" PRIu64 " bytes, found %" PRIu64,
                   file.bytes() < head.fileBytes ? "truncated" : "longer than its header says", head.fileBytes,
                   file.bytes());
  if (head.sectionCount == 0 || head.sectionCount > kMaxSections)
    return failure("header.sectionCount is %u, expected 1 to %u", head.sectionCount, kMaxSections);
  return {};
}

kt::Status PlanFile::readSections() {
  uint64_t tableBytes = uint64_t(head.sectionCount) * head.sectionBytes;
  if (head.headerBytes > file.bytes() || tableBytes > file.bytes() - head.headerBytes)
    return failure("the table of %u sections does not fit into the file", head.sectionCount);
  const uint8_t *records = file.data() + head.headerBytes;
  if (hash64(records, tableBytes) != head.tableHash)
    return failure("the section table is damaged (its hash is wrong)");
  uint64_t end = head.headerBytes + tableBytes;
  table.resize(head.sectionCount);
  for (uint32_t i = 0; i < head.sectionCount; ++i) {
    PlanSection &section = table[i];
    memcpy(&section, records + uint64_t(i) * head.sectionBytes, sizeof(section));
    if (section.offset % kSectionAlignment != 0)
      return failure("sections[%u].offset is %" PRIu64 ", expected a multiple of %" PRIu64, i, section.offset,
                     kSectionAlignment);
    if (section.offset < end)
      return failure("sections[%u] starts at %" PRIu64 ", before the end of what precedes it at %" PRIu64, i,
                     section.offset, end);
    if (section.offset > file.bytes() || section.bytes > file.bytes() - section.offset)
      return failure("sections[%u]: bytes %" PRIu64 " + %" PRIu64 " are outside the file's %" PRIu64, i,
                     section.offset, section.bytes, file.bytes());
    end = section.offset + section.bytes;
  }
  return {};
}

kt::Status PlanFile::checkHashes(bool weights) const {
  for (uint32_t i = 0; i < table.size(); ++i) {
    if (table[i].kind == SectionKind::Weights && !weights)
      continue;
    uint64_t hash = hash64(section(i), table[i].bytes);
    if (hash != table[i].hash)
      return failure("sections[%u] (%s) is damaged: expected hash %016" PRIx64 ", found %016" PRIx64, i,
                     sectionKindName(table[i].kind), table[i].hash, hash);
  }
  return {};
}

kt::Status PlanFile::readProgram() {
  int index = -1;
  for (uint32_t i = 0; i < table.size(); ++i) {
    if (table[i].kind != SectionKind::Program)
      continue;
    if (index >= 0)
      return failure("sections[%u] is a second program", i);
    index = int(i);
  }
  if (index < 0)
    return failure("no section holds a program");
  uint64_t bytes = table[size_t(index)].bytes;
  if (bytes >= FLATBUFFERS_MAX_BUFFER_SIZE)
    return failure("sections[%d] (program) has %" PRIu64 " bytes, which is too large", index, bytes);
  flatbuffers::Verifier verifier(section(uint32_t(index)), bytes);
  if (!VerifyPlanBuffer(verifier))
    return failure("sections[%d] (program) is not a valid program", index);
  program = GetPlan(section(uint32_t(index)));
  return {};
}

} // namespace ktrt::plan
