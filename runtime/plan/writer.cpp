// Streaming plan writer; see writer.h.
#include "runtime/plan/writer.h"

#include "runtime/plan/hash.h"
#include "runtime/plan/message.h"

#include <algorithm>
#include <cerrno>
#include <cinttypes>
#include <cstring>
#include <fcntl.h>
#include <memory>
#include <unistd.h>

namespace ktrt::plan {

static uint64_t alignUp(uint64_t value, uint64_t alignment) {
  return (value + alignment - 1) & ~(alignment - 1);
}

uint64_t SectionSource::append(Piece piece, uint64_t alignment) {
  piece.offset = alignUp(size, alignment);
  size = piece.offset + piece.bytes;
  pieces.push_back(piece);
  return piece.offset;
}

uint64_t SectionSource::add(const void *data, uint64_t bytes, uint64_t alignment) {
  return append({static_cast<const uint8_t *>(data), -1, 0, 0, bytes}, alignment);
}

uint64_t SectionSource::addFile(int fd, uint64_t offset, uint64_t bytes, uint64_t alignment) {
  return append({nullptr, fd, offset, 0, bytes}, alignment);
}

// One file being written: a temporary beside the destination, removed again unless commit succeeds.
class PlanWriter {
public:
  PlanWriter(const std::string &path, const WriteProgress &progress)
      : path(path), temporary(formatText("%s.tmp-%d", path.c_str(), int(getpid()))), progress(progress) {}

  ~PlanWriter() {
    if (fd >= 0)
      close(fd);
    if (created)
      unlink(temporary.c_str());
  }

  kt::Status write(const std::vector<SectionSource> &sections) {
    if (sections.empty())
      return failure("%s: a plan needs at least one section", path.c_str());
    fd = open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0)
      return systemError("cannot create");
    created = true;
    std::vector<PlanSection> table;
    uint64_t position = layOut(sections, table);
    for (size_t i = 0; i < sections.size(); ++i)
      if (kt::Status status = writeSection(sections[i], table[i]); !status)
        return status;
    return finish(table, position);
  }

private:
  static constexpr size_t kBuffer = 1u << 20;

  kt::Error systemError(const char *what) { return failure("%s: %s: %s", path.c_str(), what, strerror(errno)); }

  // Fills in kinds, offsets and sizes. Returns the size of the file.
  uint64_t layOut(const std::vector<SectionSource> &sections, std::vector<PlanSection> &table) {
    uint64_t position = sizeof(PlanHeader) + sections.size() * sizeof(PlanSection);
    for (const SectionSource &section : sections) {
      position = alignUp(position, kSectionAlignment);
      table.push_back({section.kind(), 0, position, section.bytes(), 0});
      position += section.bytes();
      total += section.bytes();
    }
    return position;
  }

  kt::Status writeAt(const void *data, uint64_t bytes, uint64_t offset) {
    const uint8_t *from = static_cast<const uint8_t *>(data);
    while (bytes != 0) {
      ssize_t written = pwrite(fd, from, size_t(std::min<uint64_t>(bytes, 1u << 30)), off_t(offset));
      if (written < 0 && errno == EINTR)
        continue;
      if (written <= 0)
        return systemError("cannot write");
      from += written;
      offset += uint64_t(written);
      bytes -= uint64_t(written);
    }
    return {};
  }

  // Reads the next bytes of a piece that lives in a file.
  kt::Status readFrom(const SectionSource::Piece &piece, uint64_t offset, uint64_t bytes) {
    uint64_t done = 0;
    while (done < bytes) {
      ssize_t got =
          pread(piece.fd, buffer.get() + done, size_t(bytes - done), off_t(piece.fileOffset + offset + done));
      if (got < 0 && errno == EINTR)
        continue;
      if (got < 0)
        return systemError("cannot read what goes into it");
      if (got == 0)
        return failure("%s: a source file ends %" PRIu64 " bytes early", path.c_str(),
                       piece.bytes - offset - done);
      done += uint64_t(got);
    }
    return {};
  }

  kt::Status writeSection(const SectionSource &source, PlanSection &section) {
    XXH64_state_t state;
    XXH64_reset(&state, 0);
    uint64_t at = 0;
    static constexpr uint8_t zeros[kSectionAlignment] = {};
    for (const SectionSource::Piece &piece : source.pieces) {
      XXH64_update(&state, zeros, piece.offset - at); // the gap: a hole in the file, read as zeros
      for (uint64_t done = 0; done < piece.bytes;) {
        uint64_t bytes = std::min<uint64_t>(piece.bytes - done, kBuffer);
        const uint8_t *data = piece.data ? piece.data + done : buffer.get();
        if (!piece.data)
          if (kt::Status status = readFrom(piece, done, bytes); !status)
            return status;
        XXH64_update(&state, data, bytes);
        if (kt::Status status = writeAt(data, bytes, section.offset + piece.offset + done); !status)
          return status;
        done += bytes;
        written += bytes;
        if (progress)
          progress(written, total);
      }
      at = piece.offset + piece.bytes;
    }
    section.hash = XXH64_digest(&state);
    return {};
  }

  kt::Status finish(const std::vector<PlanSection> &table, uint64_t bytes) {
    PlanHeader header{};
    memcpy(header.magic, kMagic, sizeof(kMagic));
    header.formatVersion = kFormatVersion;
    header.headerBytes = sizeof(PlanHeader);
    header.fileBytes = bytes;
    header.sectionCount = uint32_t(table.size());
    header.sectionBytes = sizeof(PlanSection);
    header.tableHash = hash64(table.data(), table.size() * sizeof(PlanSection));
    if (ftruncate(fd, off_t(bytes)) != 0)
      return systemError("cannot write");
    if (kt::Status status = writeAt(&header, sizeof(header), 0); !status)
      return status;
    if (kt::Status status = writeAt(table.data(), table.size() * sizeof(PlanSection), sizeof(header)); !status)
      return status;
    if (fsync(fd) != 0)
      return systemError("cannot write");
    int closed = close(fd);
    fd = -1;
    if (closed != 0 || rename(temporary.c_str(), path.c_str()) != 0)
      return systemError("cannot write");
    created = false;
    return {};
  }

  std::string path, temporary;
  const WriteProgress &progress;
  std::unique_ptr<uint8_t[]> buffer = std::make_unique<uint8_t[]>(kBuffer);
  int fd = -1;
  bool created = false;
  uint64_t written = 0, total = 0;
};

kt::Status writePlan(const std::string &path, const std::vector<SectionSource> &sections,
                     const WriteProgress &progress) {
  return PlanWriter(path, progress).write(sections);
}

} // namespace ktrt::plan
