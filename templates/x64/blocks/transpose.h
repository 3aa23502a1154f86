// Square transpositions of 32-bit lanes in registers, for kernels that put rows side by side.
#pragma once

#include "templates/x64/emitter.h"

namespace ktc::x64 {

// Lane j of register i and lane i of register j change places, for the registers 0..lanes-1. All other vector
// registers are clobbered.
void emitTranspose(Emitter &e);

} // namespace ktc::x64
