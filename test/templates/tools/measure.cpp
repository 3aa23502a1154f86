// Measuring kernels: see measure.h.
#include "test/templates/tools/measure.h"

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

} // namespace ktc::timing
