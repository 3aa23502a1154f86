// Vector exp for float32, and the activation functions made of it.
//
// Shared by the gated activations and by softmax. Works on ymm and zmm (the emitter's own width decides the
// mnemonics of zmm only: a ymm works in every kernel).
#pragma once

#include "templates/x64/emitter.h"

namespace ktc::x64 {

// v = exp(v) per lane, within 2 ulp; arguments are clamped to [-87.3, 88.7], so the result is never 0, denormal
// or infinite, and NaN stays NaN. Clobbers t0 and t1; all three must differ and have the same width.
void emitExp(Emitter &e, const Emitter::Vec &v, const Emitter::Vec &t0, const Emitter::Vec &t1);

// x = 2^x per lane, exactly 1 for 0 and exactly 0 far below; without AVX-512 only for x <= 0. 2^r on 0..1 is a
// polynomial with the constant term 1, fitted for the least relative error: 8e-8, or 3e-6 if `coarse`. Clobbers
// t0 and t1.
void emitPowerOfTwo(Emitter &e, const Emitter::Vec &x, const Emitter::Vec &t0, const Emitter::Vec &t1,
                    bool coarse = false);

// v = v / (1 + exp(-v)). Large negative arguments give 0 (or a denormal), not NaN. Clobbers t0..t2.
void emitSilu(Emitter &e, const Emitter::Vec &v, const Emitter::Vec &t0, const Emitter::Vec &t1,
              const Emitter::Vec &t2);

// v = 0.5 v (1 + tanh(sqrt(2/pi) (v + 0.044715 v^3))), computed as v * sigmoid(2 z). Clobbers t0..t2.
void emitGeluTanh(Emitter &e, const Emitter::Vec &v, const Emitter::Vec &t0, const Emitter::Vec &t1,
                  const Emitter::Vec &t2);

// gate = g sigmoid(1.702 g) (u + 1) with g = min(gate, 7) and u = up limited to -7..7 (gpt-oss). Clobbers up
// and t0..t2; all five differ and have the same width. NaN stays NaN.
void emitSwigluOai(Emitter &e, const Emitter::Vec &gate, const Emitter::Vec &up, const Emitter::Vec &t0,
                   const Emitter::Vec &t1, const Emitter::Vec &t2);

// v = 1 / (1 + exp(-v)). Clobbers t0..t1.
void emitSigmoid(Emitter &e, const Emitter::Vec &v, const Emitter::Vec &t0, const Emitter::Vec &t1);

} // namespace ktc::x64
