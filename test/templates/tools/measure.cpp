// Measuring kernels: see measure.h.
#include "test/templates/tools/measure.h"

#include <immintrin.h>

#include <cstring>
#include <ctime>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace ktc::timing {

double threadSeconds() {
  timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

double coreFrequency() {
  constexpr int rounds = 50000;
  auto chain = [] {
    uint64_t value = 3;
    for (int i = 0; i < rounds; ++i)
      asm volatile("imul %0, %0\n imul %0, %0\n imul %0, %0\n imul %0, %0" : "+r"(value));
  };
  return 12.0 * rounds / fastest(chain, 0.1);
}

char *allocate(size_t bytes, bool hugePages) {
  void *memory = mmap(nullptr, bytes + 64, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED)
    return nullptr;
  madvise(memory, bytes, hugePages ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
  std::memset(memory, 0x2e, bytes);
  return static_cast<char *>(memory);
}

KtKernelFn loadCode(const x64::Kernel &kernel) {
  void *code = mmap(nullptr, kernel.code.size(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (code == MAP_FAILED)
    return nullptr;
  std::memcpy(code, kernel.code.data(), kernel.code.size());
  mprotect(code, kernel.code.size(), PROT_READ | PROT_EXEC);
  return reinterpret_cast<KtKernelFn>(code);
}

bool requestTiles() {
  constexpr long requestPermission = 0x1023, tileData = 18;
  return syscall(SYS_arch_prctl, requestPermission, tileData) == 0;
}

namespace {

// Every tile is 16 rows of 64 bytes.
struct alignas(64) TileShapes {
  uint8_t palette = 1, startRow = 0, reserved[14] = {};
  uint16_t columns[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};

} // namespace

__attribute__((target("amx-tile,amx-int8"))) void multiplyTiles(int64_t count) {
  alignas(64) static const char ones[1024] = {1};
  static const TileShapes shapes;
  _tile_loadconfig(&shapes);
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  _tile_loadd(4, ones, 64);
  _tile_loadd(5, ones, 64);
  _tile_loadd(6, ones, 64);
  _tile_loadd(7, ones, 64);
  for (int64_t i = 0; i < count; i += 4) {
    _tile_dpbssd(0, 4, 6);
    _tile_dpbssd(1, 5, 6);
    _tile_dpbssd(2, 4, 7);
    _tile_dpbssd(3, 5, 7);
  }
  _tile_release();
}

} // namespace ktc::timing
