// Reading files into pinned memory and copying from there; see upload.h.
#include "runtime/cuda/upload.h"

#include "runtime/plan/message.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cinttypes>
#include <cstring>
#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

namespace ktrt::cuda {
namespace {

constexpr uint64_t kBlock = 1 << 20; // that a thread reads at once
constexpr uint64_t kAlignment = 256; // of pieces in a buffer

// A part of a piece that lies in a buffer.
struct Part {
  uint32_t file;
  uint64_t offset, bytes;
  uint64_t at; // in the buffer
  DeviceAddress destination;
};

struct Block {
  uint32_t file;
  uint64_t offset, bytes;
  uint8_t *target;
};

// Reads blocks, each by whichever thread is free.
struct Reading {
  const std::vector<int> *files;
  std::vector<Block> blocks;
  std::atomic<size_t> next{0};
  std::atomic<size_t> failed{SIZE_MAX}; // block, and why
  std::atomic<int> reason{0};           // errno; 0: the file ends too early

  void work() {
    for (size_t i; failed == SIZE_MAX && (i = next++) < blocks.size();) {
      const Block &block = blocks[i];
      for (uint64_t done = 0; done < block.bytes;) {
        ssize_t got =
            pread((*files)[block.file], block.target + done, block.bytes - done, off_t(block.offset + done));
        if (got < 0 && errno == EINTR)
          continue;
        if (got <= 0) {
          reason = got < 0 ? errno : 0;
          failed = i;
          break;
        }
        done += uint64_t(got);
      }
    }
  }
  static void *threadMain(void *reading) {
    static_cast<Reading *>(reading)->work();
    return nullptr;
  }
};

class Uploader {
public:
  Uploader(Gpu &gpu, const std::vector<std::string> &paths, const UploadOptions &options)
      : gpu(gpu), paths(paths), options(options) {}
  ~Uploader() {
    (void)gpu.synchronize(); // after an error copies may still read the buffers
    for (int file : files)
      if (file >= 0)
        close(file);
    for (Event event : travelled)
      if (event)
        gpu.driver().eventDestroy(event);
  }
  kt::Status run(std::vector<UploadPiece> &pieces);

private:
  kt::Status prepare(uint64_t bytes);
  kt::Status send(const std::vector<Part> &parts);
  kt::Status read(const std::vector<Part> &parts, uint8_t *buffer);

  Gpu &gpu;
  const std::vector<std::string> &paths;
  UploadOptions options;
  std::vector<int> files;
  GpuMemory buffers[2];
  Event travelled[2] = {};
  uint32_t turn = 0;
};

kt::Status Uploader::prepare(uint64_t bytes) {
  for (const std::string &path : paths) {
    files.push_back(open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (files.back() < 0)
      return failure("%s: cannot open: %s", path.c_str(), strerror(errno));
  }
  for (uint32_t i = 0; i < 2; ++i) {
    kt::Result<GpuMemory> buffer =
        GpuMemory::onHost(gpu, std::min(bytes, options.bufferBytes), "buffer for uploading weights");
    if (!buffer)
      return buffer.error();
    buffers[i] = std::move(*buffer);
    if (kt::Status status =
            gpu.driver().check(gpu.driver().eventCreate(&travelled[i], kEventWithoutTiming), "cuEventCreate");
        !status)
      return status;
  }
  return {};
}

kt::Status Uploader::run(std::vector<UploadPiece> &pieces) {
  std::sort(pieces.begin(), pieces.end(), [](const UploadPiece &a, const UploadPiece &b) {
    return a.file != b.file ? a.file < b.file : a.offset < b.offset;
  });
  uint64_t total = 0;
  for (const UploadPiece &piece : pieces)
    total += (piece.bytes + kAlignment - 1) / kAlignment * kAlignment;
  if (total == 0)
    return {};
  if (kt::Status status = prepare(total); !status)
    return status;
  const uint64_t capacity = buffers[0].bytes();
  std::vector<Part> parts;
  uint64_t filled = 0;
  for (const UploadPiece &piece : pieces)
    for (uint64_t done = 0; done < piece.bytes;) {
      if (filled == capacity) {
        if (kt::Status status = send(parts); !status)
          return status;
        parts.clear();
        filled = 0;
      }
      const uint64_t bytes = std::min(piece.bytes - done, capacity - filled);
      parts.push_back({piece.file, piece.offset + done, bytes, filled, piece.destination + done});
      done += bytes;
      filled = std::min(capacity, (filled + bytes + kAlignment - 1) / kAlignment * kAlignment);
    }
  if (kt::Status status = send(parts); !status)
    return status;
  return gpu.synchronize();
}

// Fills the buffer whose turn it is, once its last contents have arrived, and sends it off.
kt::Status Uploader::send(const std::vector<Part> &parts) {
  const Driver &driver = gpu.driver();
  const uint32_t which = turn++ % 2;
  if (turn > 2)
    if (kt::Status status = driver.check(driver.eventSynchronize(travelled[which]), "cuEventSynchronize");
        !status)
      return status;
  uint8_t *buffer = buffers[which].data();
  if (kt::Status status = read(parts, buffer); !status)
    return status;
  for (const Part &part : parts)
    if (kt::Status status =
            driver.check(driver.copyToDevice(part.destination, buffer + part.at, part.bytes, gpu.stream()),
                         "cuMemcpyHtoDAsync");
        !status)
      return status;
  return driver.check(driver.eventRecord(travelled[which], gpu.stream()), "cuEventRecord");
}

kt::Status Uploader::read(const std::vector<Part> &parts, uint8_t *buffer) {
  Reading reading;
  reading.files = &files;
  for (const Part &part : parts)
    for (uint64_t done = 0; done < part.bytes; done += kBlock)
      reading.blocks.push_back(
          {part.file, part.offset + done, std::min(kBlock, part.bytes - done), buffer + part.at + done});
  std::vector<pthread_t> threads;
  for (size_t i = 1; i < std::min<size_t>(options.threads, reading.blocks.size()); ++i) {
    pthread_t thread;
    if (pthread_create(&thread, nullptr, Reading::threadMain, &reading) == 0) // fewer threads read more slowly
      threads.push_back(thread);
  }
  reading.work();
  for (pthread_t thread : threads)
    pthread_join(thread, nullptr);
  if (reading.failed == SIZE_MAX)
    return {};
  const Block &block = reading.blocks[reading.failed];
  return failure("%s: cannot read %" PRIu64 " bytes at %" PRIu64 ": %s", paths[block.file].c_str(), block.bytes,
                 block.offset, reading.reason ? strerror(reading.reason) : "the file ends before");
}

} // namespace

kt::Status upload(Gpu &gpu, const std::vector<std::string> &paths, std::vector<UploadPiece> pieces,
                  const UploadOptions &options) {
  gpu.makeCurrent();
  return Uploader(gpu, paths, options).run(pieces);
}

} // namespace ktrt::cuda
