// Family `embed`: y[t] = dequantised row of token t.
//
// Uses the block decoders of the matrix loop. Per span the scales, offsets and bytes go to the frame in plain
// order and come back sixteen (wide) or eight weights at a time; speed hardly matters for one row per token.
#include "templates/x64/matrix/matrix_kernel.h"

#include <algorithm>

namespace ktc::x64 {

namespace {

class EmbedKernel : public Emitter {
public:
  EmbedKernel(const Params &params, const Target &target);
  Kernel build();

private:
  enum Slot : size_t { Scales = 0, Offsets = 64, Bytes = 128, FrameEnd = Bytes + 256 };

  void emitQuantizedRow();
  void emitSpan(int blocks);
  void emitSixteen(int sixteenth);
  void emitFloatRow();
  void emitFloatStep(int count);
  DecodeRegisters decodeRegisters() const;

  const Reg64 source = rsi, target = r10;
  const KtTypeInfo &format;
  std::unique_ptr<BlockDecoder> decoder;
  int64_t k, yStep;
};

EmbedKernel::EmbedKernel(const Params &params, const Target &target)
    : Emitter(target), format(needFormat(params, "format")) {
  k = needInt(params, "k", 1, maxRowElements);
  needInt(params, "vocab");
  needInt(params, "m", 1, maxTokensPerReplay);
  needWholeBlocks(format, k);
  yStep = 4 * optionalInt(params, "y_stride", k);
  if (!ktTypeTakesF32Activations(format.id))
    decoder = makeDecoder(*this, format);
}

DecodeRegisters EmbedKernel::decodeRegisters() const {
  return {{vec(0), vec(1)}, {vec(2), vec(3)}, vec(4), {vec(5), vec(6), vec(7)}, vec(8)};
}

// Sixteen weights of the span in the frame: S * u (+ or - M).
void EmbedKernel::emitSixteen(int sixteenth) {
  using Offset = BlockDecoder::Offset;
  const Vec value = vec(9), scale = vec(10), offset = vec(11);
  const bool doubled = wide() || decoder->scalePerSixteen();
  const size_t lane = 4 * size_t(doubled ? sixteenth : sixteenth / 2);
  vbroadcastss(scale, ptr[frame(Scales + lane)]);
  if (decoder->offset() == Offset::Added || decoder->offset() == Offset::Subtracted)
    vbroadcastss(offset, ptr[frame(Offsets + lane)]);
  else
    vmulps(offset, scale, splat(decoder->offset() == Offset::Multiple ? decoder->offsetMultiple() : 0.0f));
  for (int i = 0; i < 16; i += lanes()) {
    const Address bytes = ptr[frame(Bytes + size_t(sixteenth) * 16 + size_t(i))];
    decoder->signedWeights() ? vpmovsxbd(value, bytes) : vpmovzxbd(value, bytes);
    vcvtdq2ps(value, value);
    decoder->offset() == Offset::Subtracted ? vfmsub213ps(value, scale, offset)
                                            : vfmadd213ps(value, scale, offset);
    vmovups(ptr[target + (size_t(sixteenth) * 16 + size_t(i)) * 4], value);
  }
}

void EmbedKernel::emitSpan(int blocks) {
  const DecodeRegisters regs = decodeRegisters();
  decoder->emitScales(regs, source, blocks);
  for (int part = 0; part < (wide() ? 1 : 2); ++part) {
    vmovups(ptr[frame(Scales + size_t(part) * 32)], regs.scale[part]);
    vmovups(ptr[frame(Offsets + size_t(part) * 32)], regs.offset[part]);
  }
  const int step = wide() ? 2 : 1;
  for (int block = 0; block < blocks; block += step) {
    decoder->emitWeights(regs, source, block / step, blocks);
    moveInt(ptr[frame(Bytes + size_t(block) * 32)], regs.weights);
  }
  for (int sixteenth = 0; sixteenth < 2 * blocks; ++sixteenth)
    emitSixteen(sixteenth);
}

void EmbedKernel::emitQuantizedRow() {
  const int64_t spans = k / (spanBlocks * 32);
  const int tail = static_cast<int>(k % (spanBlocks * 32) / 32);
  decoder->emitConstants(decodeRegisters());
  if (spans > 0) {
    Label loop;
    mov(ecx, static_cast<uint32_t>(spans));
    L(loop);
    emitSpan(spanBlocks);
    add(source, static_cast<uint32_t>(decoder->spanBytes()));
    add(target, spanBlocks * 32 * 4);
    dec(ecx);
    jnz(loop);
  }
  if (tail > 0)
    emitSpan(tail);
}

// 16-bit tails go one by one: a row may end where the file does.
void EmbedKernel::emitFloatStep(int count) {
  const Vec value = vec(0);
  if (format.id == KT_TYPE_F32) {
    loadPartial(value, source, count);
  } else {
    const bool isHalf = format.id == KT_TYPE_F16;
    if (count == lanes()) {
      isHalf ? vcvtph2ps(value, ptr[source]) : vpmovzxwd(value, ptr[source]);
    } else {
      vpxor(xmm0, xmm0, xmm0);
      vpinsrw(xmm0, xmm0, word[source], 0);
      isHalf ? vcvtph2ps(value, wide() ? static_cast<Xmm>(ymm0) : xmm0)
             : vpmovzxwd(value, wide() ? static_cast<Xmm>(ymm0) : xmm0);
    }
    if (!isHalf)
      vpslld(value, value, 16);
  }
  storePartial(target, value, count, vec(1));
  add(source, count * format.blockBytes);
  add(target, count * 4);
}

void EmbedKernel::emitFloatRow() {
  for (auto [step, steps] : {std::pair<int, int64_t>{lanes(), k / lanes()}, {1, k % lanes()}}) {
    if (steps == 0)
      continue;
    Label loop;
    mov(ecx, static_cast<uint32_t>(steps));
    L(loop);
    emitFloatStep(step);
    dec(ecx);
    jnz(loop);
  }
}

Kernel EmbedKernel::build() {
  const Reg64 tokens = r8, weights = r9, y = r11, unit = rbx, unitEnd = rbp;
  Label loop, done;
  prologue(FrameEnd);
  loadOperand(tokens, 0);
  loadOperand(weights, 1);
  loadOperand(y, 2);
  loadUnits(unit.cvt32(), unitEnd.cvt32());
  L(loop);
  cmp(unit.cvt32(), unitEnd.cvt32());
  jae(done);
  movsxd(source, dword[tokens + unit * 4]);
  imul(source, source, immediate(rowBytes(format, k), "a weight row"));
  add(source, weights);
  imul(target, unit, immediate(yStep, "y_stride"));
  add(target, y);
  decoder ? emitQuantizedRow() : emitFloatRow();
  inc(unit.cvt32());
  jmp(loop);
  L(done);
  epilogue();
  return finish();
}

Kernel generateEmbed(const Params &params, const Target &target) { return EmbedKernel(params, target).build(); }

} // namespace

const Family embedFamily = {"embed", generateEmbed};

} // namespace ktc::x64
