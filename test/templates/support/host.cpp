// Which ISA levels the test machine can run: see host.h.
#include "test/templates/support/host.h"

#include <cpuid.h>
#include <cstdio>
#include <sys/syscall.h>
#include <unistd.h>

namespace ktc::test {

using x64::Isa;

// AVX-VNNI: leaf 7, sub-leaf 1, eax bit 4.
static bool hasAvxVnni() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  return __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a >> 4 & 1);
}

// Tiles, their int8 and bf16 products, and the right to use them, which is granted per process.
static bool hasAmx() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  constexpr long requestPermission = 0x1023, tileData = 18;
  return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (d >> 24 & 1) && (d >> 25 & 1) && (d >> 22 & 1) &&
         syscall(SYS_arch_prctl, requestPermission, tileData) == 0;
}

bool hostRuns(Isa isa) {
  const bool avx512 = __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
                      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vnni");
  const bool avx2 =
      __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2");
  switch (isa) {
  case Isa::Avx2:
    return avx2;
  case Isa::Avx2Vnni:
    return avx2 && hasAvxVnni();
  case Isa::Avx512:
    return avx2 && avx512;
  case Isa::Amx:
    return avx2 && avx512 && hasAmx();
  }
  return false;
}

std::vector<Isa> runnableIsas() {
  std::vector<Isa> isas;
  for (Isa isa : {Isa::Avx2, Isa::Avx2Vnni, Isa::Avx512, Isa::Amx}) {
    if (hostRuns(isa))
      isas.push_back(isa);
    else
      std::printf("[  SKIPPED ] this CPU does not run %s kernels\n", x64::isaName(isa).data());
  }
  return isas;
}

} // namespace ktc::test
