// Horizontal sums of many accumulators at once, as the score tiles of attention end in.
#pragma once

#include "templates/x64/emitter.h"

namespace ktc::x64 {

// Sums the lanes of each of the `lanes` registers from `first` on; lane i of register `first` becomes the sum
// of register first + i. Every sum adds its lanes in the same order, wherever it stands. Clobbers the registers
// and `tmp`.
void emitLaneSums(Emitter &e, int first, const Emitter::Vec &tmp);

} // namespace ktc::x64
