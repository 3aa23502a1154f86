// Transposition of a square of 32-bit lanes: see transpose.h.
//
// Two steps of unpacking make 4x4 squares inside every 128-bit part; what is left is to move whole parts.
#include "templates/x64/blocks/transpose.h"

namespace ktc::x64 {

void emitTranspose(Emitter &e) {
  const int lanes = e.lanes();
  auto v = [&](int i) { return e.vec(i); };
  auto t = [&](int i) { return e.vec(lanes + i); };
  for (int i = 0; i < lanes; i += 2) {
    e.vunpcklps(t(i), v(i), v(i + 1));
    e.vunpckhps(t(i + 1), v(i), v(i + 1));
  }
  // Register 4a + c: column c of every part, rows 4a to 4a + 3.
  for (int i = 0; i < lanes; i += 4) {
    e.vunpcklpd(v(i), t(i), t(i + 2));
    e.vunpckhpd(v(i + 1), t(i), t(i + 2));
    e.vunpcklpd(v(i + 2), t(i + 1), t(i + 3));
    e.vunpckhpd(v(i + 3), t(i + 1), t(i + 3));
  }
  for (int c = 0; c < 4; ++c) {
    if (!e.wide()) {
      e.vperm2f128(t(0), v(c), v(4 + c), 0x20);
      e.vperm2f128(v(4 + c), v(c), v(4 + c), 0x31);
      e.vmovaps(v(c), t(0));
      continue;
    }
    e.vshuff32x4(t(0), v(c), v(4 + c), 0x88);
    e.vshuff32x4(t(1), v(c), v(4 + c), 0xdd);
    e.vshuff32x4(t(2), v(8 + c), v(12 + c), 0x88);
    e.vshuff32x4(t(3), v(8 + c), v(12 + c), 0xdd);
    e.vshuff32x4(v(c), t(0), t(2), 0x88);
    e.vshuff32x4(v(8 + c), t(0), t(2), 0xdd);
    e.vshuff32x4(v(4 + c), t(1), t(3), 0x88);
    e.vshuff32x4(v(12 + c), t(1), t(3), 0xdd);
  }
}

} // namespace ktc::x64
