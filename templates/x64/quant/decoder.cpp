// Parts common to all block decoders: see decoder.h.
#include "templates/x64/quant/decoder.h"

#include "templates/param_check.h"

namespace ktc::x64 {

using Vec = Emitter::Vec;

void BlockDecoder::broadcastHalf(const Vec &dst, const RegExp &src) {
  if (e.wide()) {
    e.vpbroadcastw(Emitter::ymmOf(dst), e.ptr[src]);
    e.vcvtph2ps(dst, Emitter::ymmOf(dst));
  } else {
    e.vpbroadcastw(Emitter::xmmOf(dst), e.ptr[src]);
    e.vcvtph2ps(dst, Emitter::xmmOf(dst));
  }
}

std::unique_ptr<BlockDecoder> makeDecoder(Emitter &emitter, const KtTypeInfo &format) {
  for (auto make : {makeSmallBlockDecoder, makeKQuantDecoder, makeTableDecoder})
    if (std::unique_ptr<BlockDecoder> decoder = make(emitter, format))
      return decoder;
  throw ParamError(std::string(format.name) + " has no block decoder");
}

Xbyak::Address doublingIndex(Emitter &e) {
  return e.table(std::array<uint32_t, 16>{0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7});
}

void emitNibbles16(Emitter &e, const Vec &dst, const Xbyak::RegExp &first, const Xbyak::RegExp &second,
                   bool both) {
  if (e.wide() && both) {
    e.vbroadcasti32x4(dst, e.ptr[first]);
    e.vbroadcasti32x4(dst | e.k6, e.ptr[second]);
  } else if (e.wide()) {
    e.vbroadcasti32x4(dst | e.k5 | e.T_z, e.ptr[first]);
  } else {
    e.vbroadcasti128(dst, e.ptr[first]);
  }
  // 128-bit lanes alternate: low nibbles, high nibbles.
  e.vpsrlvq(dst, dst, e.table(std::array<uint64_t, 8>{0, 0, 4, 4, 0, 0, 4, 4}));
  e.bitAnd(dst, dst, e.splat<uint8_t>(15));
}

void emitHalfMasks(Emitter &e) {
  if (!e.wide())
    return;
  e.mov(e.eax, 0x00ff);
  e.kmovw(e.k5, e.eax);
  e.mov(e.eax, 0xff00);
  e.kmovw(e.k6, e.eax);
}

} // namespace ktc::x64
