// Quantises 32 floats that are in registers to one block of a q8 row, or 256 in memory to one of a q8k row
// (kt_abi.h).
//
// Used by quantize and by the fused output of rms_norm, so that both give the bytes of the reference.
#pragma once

#include "templates/x64/emitter.h"

namespace ktc::x64 {

// Where the block goes. The pointers move on to the next block.
struct Q8Output {
  Xbyak::Reg64 q, scales, sums;
};

// `first` is the index of the first of 32 / lanes consecutive vector registers with the floats; they are
// clobbered, as are the four registers from `firstTemporary`. All indices must be below 16.
void emitQuantizeBlock(Emitter &e, int first, int firstTemporary, const Q8Output &to);

// Sets `to` to the parts of the q8 row (group 32) or q8k row (group 256) of k elements at to.q.
void emitQ8Parts(Emitter &e, int64_t k, int64_t group, const Q8Output &to);

// The 256 floats at `from` to one block of a q8k row. Advances `from` to its end; clobbers
// `counter` and vector registers 0-7.
void emitQuantizeGroup(Emitter &e, const Xbyak::Reg64 &from, const Xbyak::Reg32 &counter, const Q8Output &to);

} // namespace ktc::x64
