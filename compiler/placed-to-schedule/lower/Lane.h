// The lanes that lowering can put commands on, with the names of what belongs to them.
//
// A CPU lane is the thread team of the host, a GPU lane the stream of one device. Every device has an arena for
// temporary buffers and one for the KV cache of the attention that runs there; that of the head one for what
// the caller of an entry reads.
#pragma once

#include "dialects/schedule/Schedule.h"

#include <string>
#include <vector>

namespace ktc::lower {

// Names of the host's device, lane and arenas.
inline constexpr llvm::StringLiteral kCpuDevice = "cpu";
inline constexpr llvm::StringLiteral kCpuLane = "cpu.team";
inline constexpr llvm::StringLiteral kActivationArena = "act";
inline constexpr llvm::StringLiteral kKvArena = "kv";
inline constexpr llvm::StringLiteral kIoArena = "io";

struct Lane {
  std::string device; // "cpu", "cuda:0"
  std::string name;   // "cpu.team", "gpu.stream", "gpu1.stream"
  std::string activationArena, kvArena, ioArena;
  bool isGpu = false;
};

// The lane of `device`, which is "cpu" or "cuda:N".
Lane laneOf(llvm::StringRef device);

// The one of `lanes` that `op` is placed on; the first, that of the host, for an operation without placement.
const Lane &laneOf(mlir::Operation *op, llvm::ArrayRef<Lane> lanes);

// All lanes of a model: that of the host, then those of the GPUs that its operations are placed on, by number.
// Fails, with a diagnostic at the operation, for a device of another name and where prefill is placed elsewhere
// than decode.
mlir::FailureOr<std::vector<Lane>> collectLanes(llvm::ArrayRef<mlir::Operation *> functions);

} // namespace ktc::lower
