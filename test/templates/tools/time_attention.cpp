// Timing of attention: see time_attention.h.
#include "test/templates/tools/time_attention.h"

#include "templates/specs.h"
#include "templates/x64/emitter.h"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <random>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace ktc::timing {
namespace {

// Seconds that this thread has run: unlike the time of day it stands still while others have the core.
double threadSeconds() {
  timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

// Seconds of the fastest of many runs that take `budget` seconds together: the others were disturbed.
template <typename Work> double fastest(Work work, double budget) {
  double best = 1e9;
  const double start = threadSeconds();
  do {
    const double begin = threadSeconds();
    work();
    best = std::min(best, threadSeconds() - begin);
  } while (threadSeconds() - start < budget);
  return best;
}

// A mapping filled with a byte; null if there is no memory. Never freed.
void *allocate(size_t bytes) {
  void *memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED)
    return nullptr;
  madvise(memory, bytes, MADV_HUGEPAGE);
  std::memset(memory, 0x2e, bytes);
  return memory;
}

// The kernel in executable memory; null if there is none. Never freed.
KtKernelFn loadCode(const x64::Kernel &kernel) {
  void *code = mmap(nullptr, kernel.code.size(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (code == MAP_FAILED)
    return nullptr;
  std::memcpy(code, kernel.code.data(), kernel.code.size());
  mprotect(code, kernel.code.size(), PROT_READ | PROT_EXEC);
  return reinterpret_cast<KtKernelFn>(code);
}

// Asks the operating system for the right to use AMX tiles.
bool requestTiles() {
  constexpr long requestPermission = 0x1023, tileData = 18;
  return syscall(SYS_arch_prctl, requestPermission, tileData) == 0;
}

// What the two families have in common.
struct Work {
  int64_t heads = 0, units = 0; // units per token
  int64_t keyLength = 0, valueLength = 0, window = 0;
  int64_t queryFloats = 0, rotaryFloats = 0, resultFloats = 0; // per token
  int64_t keyRow = 0, valueRow = 0;                            // elements of the cache per position
  KtType type = KT_TYPE_F16;
};

Work describe(const std::string &family, const Params &params) {
  Work work;
  if (family == "attention_gqa") {
    const AttentionGqaSpec spec = readAttentionGqa(params);
    work = {spec.heads,
            spec.dynamic ? spec.kvHeads : spec.heads,
            spec.headDim,
            spec.vDim,
            spec.window,
            spec.qStride,
            0,
            spec.yStride,
            spec.kvHeads * spec.headDim,
            spec.kvHeads * spec.vDim,
            spec.type};
  } else {
    const AttentionMlaSpec spec = readAttentionMla(params);
    const int64_t row = spec.latent + spec.rope, flat = spec.heads * spec.latent;
    work = {spec.heads, spec.dynamic ? 1 : spec.heads, row, spec.latent, 0, flat, spec.qStride, flat, row, 0,
            spec.type};
  }
  return work;
}

constexpr int peakRounds = 2000, peakChains = 12;

// Products on registers alone, without waiting for another: peakRounds loops of peakChains (tiles: 4).
struct PeakKernel : x64::Emitter {
  explicit PeakKernel(x64::Isa isa) : Emitter(x64::Target{isa}) {}
  x64::Kernel emit(bool tiles) {
    Label loop;
    prologue();
    if (tiles) {
      std::array<uint8_t, 64> shapes{1};
      for (int tile = 0; tile < 8; ++tile) {
        shapes[16 + 2 * tile] = 64;
        shapes[48 + tile] = 16;
      }
      ldtilecfg(constant(shapes));
      for (int tile = 0; tile < 8; ++tile)
        tilezero(Xbyak::Tmm(tile));
    }
    mov(ecx, peakRounds);
    L(loop);
    for (int i = 0; i < (tiles ? 4 : peakChains); ++i) {
      if (tiles)
        tdpbf16ps(Xbyak::Tmm(i), tmm6, tmm7);
      else
        vfmadd231ps(vec(i), vec(14), vec(15));
    }
    dec(ecx);
    jnz(loop);
    if (tiles)
      tilerelease();
    epilogue();
    return finish();
  }
};

// Multiplications (with their additions) per second.
double peakRate(x64::Isa isa, bool tiles) {
  const KtKernelFn run = loadCode(PeakKernel(isa).emit(tiles));
  KtKernelArgs args = {};
  const double each = fastest([&] { run(&args); }, 0.2);
  const double perRound = tiles ? 4.0 * 16 * 16 * 32 : double(peakChains) * (isa >= x64::Isa::Avx512 ? 16 : 8);
  return perRound * peakRounds / each;
}

// Random floats of moderate size, in memory of their own.
float *randomRows(int64_t count) {
  float *rows = static_cast<float *>(allocate(static_cast<size_t>(std::max<int64_t>(count, 1)) * 4));
  std::mt19937 generator(1);
  std::normal_distribution<float> distribution;
  for (int64_t i = 0; rows && i < count; ++i)
    rows[i] = distribution(generator);
  return rows;
}

// Elements of a cache: bits of random values near one half, which suit 16-bit types; bytes and scales of q8_0.
void *randomCache(KtType type, int64_t elements) {
  const KtTypeInfo *info = ktTypeInfo(type);
  const int64_t bytes = elements / info->blockElements * info->blockBytes;
  if (type == KT_TYPE_F32)
    return randomRows(elements);
  uint16_t *words = static_cast<uint16_t *>(allocate(static_cast<size_t>(bytes) + 64));
  std::mt19937 generator(2);
  for (int64_t i = 0; words && i < bytes / 2; ++i)
    words[i] = static_cast<uint16_t>(0x2c00 + generator() % 0x1300 + generator() % 2 * 0x8000);
  return words;
}

} // namespace

int timeAttention(const std::string &family, const Params &params, x64::Isa isa, const x64::Kernel &kernel,
                  int64_t past) {
  const Work work = describe(family, params);
  const int64_t m = intParam(params, "m", 1), rows = past + m;
  const bool gqa = family == "attention_gqa";
  if (isa == x64::Isa::Amx && !requestTiles())
    return std::fprintf(stderr, "kt-kernel: this machine has no AMX\n"), 1;
  float *q = randomRows(m * work.queryFloats), *rotary = randomRows(m * work.rotaryFloats);
  float *y = randomRows(m * work.resultFloats), *sinks = randomRows(work.heads);
  void *keys = randomCache(work.type, rows * work.keyRow),
       *values = randomCache(work.type, rows * work.valueRow);
  int32_t *positions = static_cast<int32_t *>(allocate(static_cast<size_t>(m) * 4));
  void *scratch = allocate(kernel.scratchBytes + 64);
  const KtKernelFn run = loadCode(kernel);
  if (!q || !rotary || !y || !sinks || !keys || !values || !positions || !scratch || !run)
    return std::fprintf(stderr, "kt-kernel: out of memory\n"), 1;
  double pairs = 0;
  for (int64_t i = 0; i < m; ++i) {
    positions[i] = static_cast<int32_t>(past + i);
    const int64_t seen = past + i + 1;
    pairs += static_cast<double>((work.window > 0 ? std::min(work.window, seen) : seen) * work.heads);
  }
  void *gqaOperands[] = {q, keys, values, y, positions, sinks, nullptr, nullptr};
  void *mlaOperands[] = {q, rotary, keys, y, positions, nullptr, nullptr, nullptr};
  const KtStep step = {static_cast<uint32_t>(m), static_cast<uint32_t>(past), 0, 0};
  const KtKernelArgs args = {gqa ? gqaOperands : mlaOperands,       &step, scratch, 0,
                             static_cast<uint32_t>(m * work.units), 0,     1};
  run(&args);
  const double each = fastest([&] { run(&args); }, 1.0);
  const bool tiles = isa == x64::Isa::Amx && work.type != KT_TYPE_F32 && work.type != KT_TYPE_F16;
  const double rate = pairs * static_cast<double>(work.keyLength + work.valueLength) / each;
  std::printf("%s %s %s m %ld past %ld: %.1f us, %.3f ns per row and position, %.1f Gmul/s, %.1f%% of %s\n",
              family.c_str(), ktTypeInfo(work.type)->name, x64::isaName(isa).data(), static_cast<long>(m),
              static_cast<long>(past), each * 1e6, each / pairs * 1e9, rate * 1e-9,
              rate / peakRate(isa, tiles) * 100, tiles ? "tdpbf16ps" : "FMA");
  return 0;
}

} // namespace ktc::timing
