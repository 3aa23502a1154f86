// Measuring loops with instructions of each ISA level, and the check which levels run here.
//
// Target attributes and assembly let the file compile for any x86-64; each function is called only when
// detectIsa found its level.
#include "compiler/policy/probe.h"

#include <cpuid.h>
#include <immintrin.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>

namespace ktc::policy {
namespace {

// Where results go, so that loops are not removed.
std::atomic<uint64_t> sink;

__attribute__((target("avx2"))) void readRange(const char *from, const char *to) {
  __m256i sums[4] = {};
  for (; from + 256 <= to; from += 256)
    for (int i = 0; i < 8; ++i)
      sums[i % 4] =
          _mm256_xor_si256(sums[i % 4], _mm256_loadu_si256(reinterpret_cast<const __m256i *>(from) + i));
  __m256i all = _mm256_xor_si256(_mm256_xor_si256(sums[0], sums[1]), _mm256_xor_si256(sums[2], sums[3]));
  sink += static_cast<uint64_t>(_mm256_extract_epi64(all, 0));
}

void readRangePlain(const char *from, const char *to) {
  uint64_t sum = 0, word;
  for (; from + 8 <= to; from += 8) {
    std::memcpy(&word, from, 8);
    sum ^= word;
  }
  sink += sum;
}

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

// Operations/s of `loop` on all threads: calibrated to a sixteenth of `limit` on one thread, best of three.
double measureLoop(int threads, double limit, double (*loop)(int)) {
  int rounds = 1000;
  for (; rounds < (1 << 28); rounds *= 2) {
    double seconds = runTogether(1, [&](int) { loop(rounds); });
    if (seconds > limit / 16)
      break;
  }
  double best = 0;
  for (int pass = 0; pass < 3; ++pass) {
    std::atomic<uint64_t> operations{0};
    double seconds = runTogether(threads, [&](int) { operations += static_cast<uint64_t>(loop(rounds)); });
    best = std::max(best, static_cast<double>(operations) / seconds);
  }
  return best;
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

double measureInt8(const std::string &isa, int threads, double seconds) {
  if (isa == "avx2")
    return measureLoop(threads, seconds, int8Avx2);
  if (isa == "avx2vnni")
    return measureLoop(threads, seconds, int8Avx2Vnni);
  if (isa == "avx512")
    return measureLoop(threads, seconds, int8Avx512);
  if (isa == "amx")
    return measureLoop(threads, seconds, [](int rounds) { return amxLoop(rounds, false); });
  return 0;
}

double measureBf16(const std::string &isa, int threads, double seconds) {
  if (isa == "avx512") {
    unsigned a = 0, b, c, d;
    bool supported = __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a >> 5 & 1);
    return supported ? measureLoop(threads, seconds, bf16Avx512) : 0;
  }
  if (isa == "amx")
    return measureLoop(threads, seconds, [](int rounds) { return amxLoop(rounds, true); });
  return 0;
}

double measureReadBandwidth(int threads, uint64_t bytes, double seconds) {
  bytes &= ~uint64_t{4095};
  void *memory =
      bytes ? mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) : MAP_FAILED;
  if (memory == MAP_FAILED)
    return 0;
  madvise(memory, bytes, MADV_HUGEPAGE); // fewer TLB misses; only a wish
  char *buffer = static_cast<char *>(memory);
  bool avx2 = __builtin_cpu_supports("avx2");
  auto slice = [&](int thread) { return bytes / 4096 * thread / threads * 4096; };
  // Every thread touches its own part first, so that its pages lie on its NUMA node.
  runTogether(threads, [&](int t) { std::memset(buffer + slice(t), t + 1, slice(t + 1) - slice(t)); });
  double best = 0, spent = 0;
  for (int pass = 0; pass < 20 && (pass < 2 || spent < seconds); ++pass) {
    double taken = runTogether(
        threads, [&](int t) { (avx2 ? readRange : readRangePlain)(buffer + slice(t), buffer + slice(t + 1)); });
    best = std::max(best, static_cast<double>(bytes) / taken);
    spent += taken;
  }
  munmap(memory, bytes);
  return best;
}

} // namespace ktc::policy
