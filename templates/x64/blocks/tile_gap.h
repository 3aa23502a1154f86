// Room between two tile instructions.
#pragma once

#include "templates/x64/emitter.h"

namespace ktc::x64 {

// Code to stand between two tile instructions that have no other work between them. While the other thread of a
// core is busy, neighbouring tile instructions hardly overlap: a product of four tiles with its loads takes 240
// cycles, with eight instructions of any kind between two of them 160. Alone on the core neither costs
// anything.
inline void emitTileGap(Emitter &e) {
  for (int i = 0; i < 8; ++i)
    e.nop();
}

} // namespace ktc::x64
