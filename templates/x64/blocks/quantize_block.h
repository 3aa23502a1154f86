// Quantises 32 floats that are in registers to one block of a q8 row (kt_abi.h).
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

// Sets `to` to the parts of the q8 row of k elements at to.q.
void emitQ8Parts(Emitter &e, int64_t k, const Q8Output &to);

} // namespace ktc::x64
