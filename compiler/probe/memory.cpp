// Reading loops over buffers; see memory.h.
#include "compiler/probe/memory.h"

#include "compiler/probe/team.h"
#include "runtime/abi/read_range.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <numeric>

namespace ktc {

namespace {

constexpr size_t kPiece = 1 << 20; // that is timed at once

std::atomic<uint64_t> sink; // keeps the loops from being removed

void readRange(const char *from, const char *to) {
  sink += kt::readRange(from, static_cast<uint64_t>(to - from) / 256 * 256);
}

void readRangePlain(const char *from, const char *to) {
  uint64_t sum = 0, word;
  for (; from + 8 <= to; from += 8) {
    std::memcpy(&word, from, 8);
    sum ^= word;
  }
  sink += sum;
}

uint8_t *map(size_t bytes, Pages pages) {
  int file = pages == Pages::File ? memfd_create("ktc-probe", MFD_CLOEXEC) : -1;
  if (pages == Pages::File && (file < 0 || ftruncate(file, static_cast<off_t>(bytes)) != 0)) {
    if (file >= 0)
      close(file);
    return nullptr;
  }
  void *memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                      pages == Pages::File ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS, file, 0);
  if (file >= 0)
    close(file);
  if (memory == MAP_FAILED)
    return nullptr;
  madvise(memory, bytes, pages == Pages::Huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE); // a wish
  return static_cast<uint8_t *>(memory);
}

size_t sliceOf(size_t bytes, size_t thread, size_t threads) { return bytes / 4096 * thread / threads * 4096; }

} // namespace

Buffer::Buffer(size_t wanted, Pages pages, const std::vector<int> &cpus) {
  bytes = wanted & ~size_t{4095};
  memory = bytes ? map(bytes, pages) : nullptr;
  if (!memory)
    return;
  // The byte is a sensible scale in every weight format, so that kernels meet no special numbers.
  runTogether(cpus, [&](int t) {
    size_t from = sliceOf(bytes, t, cpus.size()), to = sliceOf(bytes, t + 1, cpus.size());
    std::memset(memory + from, 0x2e, to - from);
  });
}

Buffer::~Buffer() {
  if (memory)
    munmap(memory, bytes);
}

double measureRead(const Buffer &buffer, const std::vector<int> &cpus, double seconds) {
  using Clock = std::chrono::steady_clock;
  if (!buffer)
    return 0;
  const char *data = reinterpret_cast<const char *>(buffer.data());
  auto *read = __builtin_cpu_supports("avx2") ? readRange : readRangePlain;
  std::vector<double> rates(cpus.size());
  runTogether(cpus, [&](int t) {
    const size_t from = sliceOf(buffer.size(), t, cpus.size()), to = sliceOf(buffer.size(), t + 1, cpus.size());
    const size_t piece = std::min(kPiece, to - from);
    std::vector<double> times;
    const auto start = Clock::now();
    auto begin = start;
    for (size_t at = from;;) {
      read(data + at, data + at + piece);
      const auto end = Clock::now();
      times.push_back(std::chrono::duration<double>(end - begin).count());
      begin = end;
      at = to - at >= 2 * piece ? at + piece : from;
      if (times.size() > 8 && std::chrono::duration<double>(end - start).count() > seconds)
        break;
    }
    auto middle = times.begin() + static_cast<std::ptrdiff_t>(times.size() / 2);
    std::nth_element(times.begin(), middle, times.end());
    rates[t] = static_cast<double>(piece) / *middle;
  });
  return std::accumulate(rates.begin(), rates.end(), 0.0);
}

} // namespace ktc
