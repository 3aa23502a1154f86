// Session: one loaded plan, ready to evaluate tokens. The layer that the C API and the tools stand on.
//
// Opening a session does everything that can be decided before the first token: it verifies the plan, maps the
// weights, picks the ISA level, loads the code, allocates the arenas, starts the thread team and resolves every
// command to plain addresses. After that a replay takes no locks and allocates nothing.
//
// Threads: a session belongs to one caller at a time. The calling thread works as thread 0 of the team. Only
// the cancellation flag may be touched from elsewhere (a signal handler, another thread).
#pragma once

#include "runtime/abi/kt_abi.h"
#include "runtime/abi/result.hpp"
#include "runtime/executor/timeline.h"
#include "runtime/plan/reader.h"
#include "runtime/text/best_logits.h"

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace ktrt {

struct SessionOptions {
  uint32_t threads = 0; // of the CPU team; 0 = physical cores this process may use
  std::string isa; // "avx2", "avx2vnni", "avx512", "amx": at most this level; empty = $KTRT_ISA or the best
  uint32_t contextLimit =
      0; // positions this session may use; 0 = the plan's context, more than that is an error
  bool verifyWeights = false; // also hash packed weights while opening (reads all of them)
  bool populate = false;      // read all weights into memory before open returns; else a background thread does
  bool hugePages = true;      // advise huge pages for arenas
  bool pinThreads = true;     // bind each worker to one core
  bool pinCaller = false; // bind the calling thread too; right for a tool, wrong inside somebody's application
  bool perfMap = false;   // write a perf map file, so that `perf` shows kernel names
  uint32_t spinMicros = ~0u;                 // how long a waiting thread spins before it parks; ~0 = default
  uint32_t signalTimeoutMillis = 10000;      // a lane that waits longer for another lane fails the replay
  const std::atomic<bool> *cancel = nullptr; // checked between replays; outlives the session
};

// What one command cost, summed over replays since profiling was switched on.
struct CommandProfile {
  uint32_t entry;          // index into the plan's entries
  uint32_t lane;           // index into the plan's lanes
  uint32_t command;        // index into the lane program
  std::string_view kind;   // "dispatch", "copy", "fill", "signal", "wait"
  std::string_view family; // kernel family; empty unless a dispatch
  std::string_view kernel; // kernel name; empty unless a dispatch
  std::string_view path;   // module path; empty unless a dispatch
  uint64_t replays;
  uint64_t nanos;     // on thread 0, including its wait for the others at the next barrier
  uint64_t bytesRead; // per replay, as predicted by the compiler
  uint64_t chosen;    // experts, if there are hints on them
  uint64_t guessed;   // of those, in the hint
  uint64_t ahead;     // bytes that thread 0 has prefetched by the hint
  uint64_t busyNanos; // in the command, mean over the threads; 0 on a GPU
};

class Session {
public:
  // Opens the plan at `path`. The error names the file and what is wrong with it or with this machine.
  static kt::Result<std::unique_ptr<Session>> open(const std::string &path, const SessionOptions &options = {});
  ~Session();
  Session(const Session &) = delete;
  Session &operator=(const Session &) = delete;

  // ---- what was loaded
  // ----------------------------------------------------------------------------------------
  const plan::PlanFile &planFile() const;
  const plan::Plan &plan() const; // tokenizer, chat template, sampling defaults, provenance …
  const plan::Model &model() const;
  uint32_t vocab() const;
  uint32_t contextLimit() const; // positions this session may use
  uint32_t threads() const;      // of all CPU lanes together
  // Logical CPUs that the threads are meant for, one per thread. A caller that is bound to one of them no
  // longer sees the others in its affinity mask.
  const std::vector<uint32_t> &cpus() const;
  std::string_view isa() const; // level of the loaded kernels, e.g. "avx512"

  // ---- evaluation
  // --------------------------------------------------------------------------------------------- Evaluates
  // `tokens` at positions nPast, nPast + 1, … and keeps their keys and values. nPast may be anything up to
  // kvLength(): rows from there on are overwritten. Prompts of any length are cut into replays.
  // Returns the logits of the last token: vocab() floats, valid until the next evaluation. Fails if a token is
  // not in the vocabulary, the context would overflow (nothing is evaluated then), or on cancellation.
  kt::Result<const float *> evaluate(std::span<const int32_t> tokens, uint32_t nPast);

  // Like evaluate, but leaves the logits where they are, which may be the memory of a GPU: lastLogits() brings
  // them, and lastBest() has the largest without that.
  kt::Status advance(std::span<const int32_t> tokens, uint32_t nPast);
  // Logits of the last token of the last advance(), as evaluate() returns them. Fails if there was none since
  // the last other replay, or if copying fails.
  kt::Result<const float *> lastLogits();
  // The largest of them, valid as long; empty if the plan does not pick them out.
  BestLogits lastBest() const;

  // Like evaluate, but hands out the logits of every position: rows row0 .. row0 + rows - 1 (counted from the
  // first token of this call), `logits` is float[rows][vocab()], valid during the call. Return false to stop
  // early, which is not an error.
  using LogitsCallback = std::function<bool(uint32_t row0, uint32_t rows, const float *logits)>;
  kt::Status evaluateAll(std::span<const int32_t> tokens, uint32_t nPast, const LogitsCallback &callback);

  // Positions whose keys and values are in the cache.
  uint32_t kvLength() const;
  // Forgets all positions from n on. No-op if n >= kvLength().
  void kvTruncate(uint32_t n);

  // True if the last error of this session was a cancellation.
  bool cancelled() const;

  // ---- single replays (benchmarks, tests)
  // ----------------------------------------------------------------------- Index of the entry of that name, or
  // -1.
  int findEntry(std::string_view name) const;
  // Exact token counts that have a decode entry, ascending; and the most tokens one prefill replay takes.
  const std::vector<uint32_t> &decodeSizes() const;
  uint32_t prefillCapacity() const;
  // Buffers of an entry that its caller fills or reads; null where the entry has none or a GPU has it.
  int32_t *tokensOf(uint32_t entry);
  int32_t *positionsOf(uint32_t entry);
  float *logitsOf(uint32_t entry);
  // Replays one entry as it is: the caller has filled tokens and positions. nTokens must be the capacity of an
  // exact entry or 1..capacity of a dynamic one. Does not change kvLength().
  kt::Status run(uint32_t entry, uint32_t nTokens, uint32_t nPast, uint32_t rowOffset = 0);

  // ---- measurement
  // ---------------------------------------------------------------------------------------------- Weight and
  // KV bytes that decoding one token at position nPast reads.
  uint64_t bytesPerToken(uint32_t nPast) const;
  // Bytes per second that GPU `device` of the plan reads and writes in its memory, measured in this call. The
  // plan uses the GPU.
  kt::Result<double> measureGpuBandwidth(uint32_t device);
  uint64_t lastReplayNanos() const; // wall time of the last replay
  uint64_t replayCount() const;
  // Switches per-command timing on (clearing earlier numbers) or off. Costs two clock reads per command while
  // on, nothing while off.
  void setProfiling(bool on);
  std::vector<CommandProfile> profile() const; // commands that ran while profiling, in plan order
  // The last replay, which must have been profiled; empty otherwise.
  Timeline timeline() const;

private:
  struct Impl;
  explicit Session(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl;
};

} // namespace ktrt
