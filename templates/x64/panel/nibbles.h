// Fields of 16 bytes whose low nibbles come before their high nibbles, and the tables some of them index:
// shared by the panel decoders of blocks of 32 and of IQ4_XS.
#pragma once

#include "templates/x64/emitter.h"

namespace ktc::x64 {

// Values of the IQ4 formats, and of FP4 (E2M1) doubled.
constexpr std::array<int8_t, 16> iq4PanelValues = {-127, -104, -83, -65, -49, -35, -22, -10,
                                                   1,    13,   25,  38,  53,  69,  89,  113};
constexpr std::array<int8_t, 16> fp4PanelValues = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

// The matrix of vgf2p8affineqb that makes bit from[i] of a byte its bit i, or 0 where from[i] is negative.
constexpr uint64_t byteMap(const std::array<int, 8> &from) {
  uint64_t matrix = 0;
  for (int bit = 0; bit < 8; ++bit)
    if (from[bit] >= 0)
      matrix |= uint64_t(1) << (8 * (7 - bit) + from[bit]);
  return matrix;
}

// Byte maps of the nibble from bit `low` on. Interleaved tables of sixteen bytes hold entry e, then e + 8: an
// index into them is the nibble rotated by one bit.
constexpr uint64_t nibbleMap(int low, bool interleaved) {
  return interleaved ? byteMap({low + 3, low, low + 1, low + 2, -1, -1, -1, -1})
                     : byteMap({low, low + 1, low + 2, low + 3, -1, -1, -1, -1});
}

// Sets k5 and k6 for emitNibbleCodes. Clobbers eax.
inline void emitNibbleMasks(Emitter &e) {
  e.mov(e.eax, 0x00ff);
  e.kmovw(e.k5, e.eax);
  e.mov(e.eax, 0xff00);
  e.kmovw(e.k6, e.eax);
}

// zmm0 = codes of the fields at `first` and, if `both`, at `second`, in element order; with byte maps as
// indices of interleaved tables, if asked for.
inline void emitNibbleCodes(Emitter &e, const Xbyak::RegExp &first, const Xbyak::RegExp &second, bool both,
                            bool interleaved) {
  if (both) {
    e.vbroadcasti32x4(e.zmm0, e.ptr[first]);
    e.vbroadcasti32x4(e.zmm0 | e.k6, e.ptr[second]);
  } else {
    e.vbroadcasti32x4(e.zmm0 | e.k5 | e.T_z, e.ptr[first]);
  }
  if (e.hasByteMaps()) {
    const uint64_t low = nibbleMap(0, interleaved), high = nibbleMap(4, interleaved);
    e.vgf2p8affineqb(e.zmm0, e.zmm0,
                     e.table(std::array<uint64_t, 8>{low, low, high, high, low, low, high, high}), 0);
    return;
  }
  e.vpsrlvq(e.zmm0, e.zmm0, e.table(std::array<uint64_t, 8>{0, 0, 4, 4, 0, 0, 4, 4}));
  e.vpandd(e.zmm0, e.zmm0, e.splat<uint8_t>(15));
}

} // namespace ktc::x64
