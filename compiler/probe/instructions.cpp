// Measuring loops with instructions of each ISA level, and the check which levels run here.
//
// Target attributes and assembly let the file compile for any x86-64; each function is called only when
// detectIsa found its level.
#include "compiler/probe/measure.h"
#include "compiler/probe/team.h"

#include <cpuid.h>
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <numeric>

namespace ktc {
namespace {

// Where results go, so that loops are not removed.
std::atomic<uint64_t> sink;

// Each loop keeps ten accumulators in flight, which hides the latency of the multiply-add on current cores.
// Written as assembly, because compilers keep an array of accumulators in memory.
constexpr int kChains = 10;

// clang-format off
#define KT_TEN_TIMES(x) x(0) x(1) x(2) x(3) x(4) x(5) x(6) x(7) x(8) x(9)
#define KT_VECTOR_CLOBBERS                                                                                   \
  "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12"
// A loop of `rounds` times ten `step`s on accumulators 0..9, with `zero` applied to registers 0..11 first.
#define KT_LOOP(zero, step)                                                                                  \
  asm volatile(KT_TEN_TIMES(zero) zero(10) zero(11) : : : KT_VECTOR_CLOBBERS);                               \
  for (int r = 0; r < rounds; ++r)                                                                           \
    asm volatile(KT_TEN_TIMES(step) : : : KT_VECTOR_CLOBBERS);                                               \
  asm volatile("vzeroupper" : : : KT_VECTOR_CLOBBERS)

#define KT_ZERO_YMM(i) "vpxor %%ymm" #i ", %%ymm" #i ", %%ymm" #i "\n\t"
#define KT_ZERO_ZMM(i) "vpxord %%zmm" #i ", %%zmm" #i ", %%zmm" #i "\n\t"
#define KT_AVX2(i)                                                                                           \
  "vpmaddubsw %%ymm10, %%ymm11, %%ymm12\n\tvpmaddwd %%ymm10, %%ymm12, %%ymm12\n\t"                           \
  "vpaddd %%ymm12, %%ymm" #i ", %%ymm" #i "\n\t"
#define KT_AVX2_VNNI(i) "%{vex%} vpdpbusd %%ymm10, %%ymm11, %%ymm" #i "\n\t"
#define KT_AVX512(i) "vpdpbusd %%zmm10, %%zmm11, %%zmm" #i "\n\t"
#define KT_AVX512_BF16(i) "vdpbf16ps %%zmm10, %%zmm11, %%zmm" #i "\n\t"
// clang-format on

// Empty input and output lists make `asm` extended, where `%%` is a register's `%`. Each returns the operations
// done.
double int8Avx2(int rounds) {
  KT_LOOP(KT_ZERO_YMM, KT_AVX2);
  return 64.0 * kChains * rounds; // 32 multiply-adds per step
}

double int8Avx2Vnni(int rounds) {
  KT_LOOP(KT_ZERO_YMM, KT_AVX2_VNNI);
  return 64.0 * kChains * rounds;
}

double int8Avx512(int rounds) {
  KT_LOOP(KT_ZERO_ZMM, KT_AVX512);
  return 128.0 * kChains * rounds;
}

double bf16Avx512(int rounds) {
  KT_LOOP(KT_ZERO_ZMM, KT_AVX512_BF16);
  return 64.0 * kChains * rounds; // 32 multiply-adds per step
}

// Rows and bytes per row of the eight tiles; every tile is 16 rows of 64 bytes.
struct alignas(64) TileConfig {
  uint8_t palette = 1, startRow = 0, reserved[14] = {};
  uint16_t columns[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};

__attribute__((target("amx-tile,amx-int8,amx-bf16"))) double amxLoop(int rounds, bool bf16) {
  alignas(64) char data[1024] = {};
  TileConfig config;
  _tile_loadconfig(&config);
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  _tile_loadd(4, data, 64);
  _tile_loadd(5, data, 64);
  _tile_loadd(6, data, 64);
  _tile_loadd(7, data, 64);
  for (int r = 0; r < rounds; ++r) {
    if (bf16) {
      _tile_dpbf16ps(0, 4, 6);
      _tile_dpbf16ps(1, 4, 7);
      _tile_dpbf16ps(2, 5, 6);
      _tile_dpbf16ps(3, 5, 7);
    } else {
      _tile_dpbssd(0, 4, 6);
      _tile_dpbssd(1, 4, 7);
      _tile_dpbssd(2, 5, 6);
      _tile_dpbssd(3, 5, 7);
    }
  }
  _tile_stored(0, data, 64);
  sink += static_cast<uint8_t>(data[0]);
  _tile_release();
  double depth = bf16 ? 32 : 64;
  return 4.0 * rounds * 2 * 16 * 16 * depth;
}

// Operations/s of `loop` on all threads: the sum of the fastest of many short runs of each, which other
// programs did not interrupt.
double measureLoop(const std::vector<int> &cpus, double limit, double (*loop)(int)) {
  using Clock = std::chrono::steady_clock;
  constexpr int kRounds = 5000; // about a tenth of a millisecond
  std::vector<double> rates(cpus.size());
  runTogether(cpus, [&](int thread) {
    const auto start = Clock::now();
    for (auto begin = start; std::chrono::duration<double>(begin - start).count() < limit;) {
      double operations = loop(kRounds);
      const auto end = Clock::now();
      rates[thread] = std::max(rates[thread],
                               operations / std::max(std::chrono::duration<double>(end - begin).count(), 1e-9));
      begin = end;
    }
  });
  return std::accumulate(rates.begin(), rates.end(), 0.0);
}

// Asks the kernel for the right to use AMX tiles; granted per process.
bool requestAmx() {
  constexpr int kRequestPermission = 0x1023, kTileData = 18;
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}

} // namespace

std::vector<std::string> detectIsa() {
  std::vector<std::string> levels;
  unsigned a, b, c, d, a1 = 0, b1, c1, d1, edx = 0, ebx = 0, ecx = 0;
  __builtin_cpu_init();
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma"))
    return levels;
  levels.push_back("avx2");
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d)) {
    ebx = b;
    ecx = c;
    edx = d;
  }
  if (__get_cpuid_count(7, 1, &a1, &b1, &c1, &d1) && (a1 >> 4 & 1))
    levels.push_back("avx2vnni");
  // __builtin_cpu_supports includes whether the operating system saves the registers.
  bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") && (ebx >> 30 & 1) &&
                (ecx >> 11 & 1); // BW, VNNI
  if (avx512)
    levels.push_back("avx512");
  bool amx = (edx >> 24 & 1) && (edx >> 25 & 1) && (edx >> 22 & 1); // tile, int8, bf16
  if (avx512 && amx && requestAmx())
    levels.push_back("amx");
  return levels;
}

double measureInt8(const std::string &isa, const std::vector<int> &cpus, double seconds) {
  if (isa == "avx2")
    return measureLoop(cpus, seconds, int8Avx2);
  if (isa == "avx2vnni")
    return measureLoop(cpus, seconds, int8Avx2Vnni);
  if (isa == "avx512")
    return measureLoop(cpus, seconds, int8Avx512);
  if (isa == "amx")
    return measureLoop(cpus, seconds, [](int rounds) { return amxLoop(rounds, false); });
  return 0;
}

double measureBf16(const std::string &isa, const std::vector<int> &cpus, double seconds) {
  if (isa == "avx512") {
    unsigned a = 0, b, c, d;
    bool supported = __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a >> 5 & 1);
    return supported ? measureLoop(cpus, seconds, bf16Avx512) : 0;
  }
  if (isa == "amx")
    return measureLoop(cpus, seconds, [](int rounds) { return amxLoop(rounds, true); });
  return 0;
}

} // namespace ktc
