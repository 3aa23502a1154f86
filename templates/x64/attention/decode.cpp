// Flash-style attention: one pass over the cache with a running maximum and sum, the result row as accumulator.
//
// Positions are taken in blocks of one vector of scores, counted from the first position that the token sees:
//
//   scores   a tile of rows x heads of dot products, one accumulator each, reduced together to one vector
//   softmax  new maximum m, p = exp(s - m), correction exp(m_old - m), running sum per lane
//   values   y = y * correction + sum of p * v, in registers over the rows of the block
//
// The last block of a token may have fewer rows; its scores are computed row by row. Where blocks begin and end
// depends on the token's position alone, and a head's operations are the same whether it is computed alone or
// together with others of its KV head (which reads and converts the cache once for all of them). So results do
// not depend on the batch or on the split of the work.
//
// For long contexts the positions of a token are split too, by its position alone (attention.h): every split is
// computed as if it were all, and attention_merge puts the splits together.
#include "templates/x64/attention/decode_units.h"

#include "templates/x64/blocks/exp.h"
#include "templates/x64/blocks/lane_sums.h"

#include <algorithm>
#include <cfloat>

namespace ktc::x64 {
namespace {

using namespace Xbyak::util;

class AttentionKernel : public DecodeUnits {
public:
  using DecodeUnits::DecodeUnits;

  Kernel emit() {
    UnitLoop units(*this, shape.heads * shape.splits);
    prologue(operandSlot(FrameSlots));
    for (int i = 0; i < (splits() ? 7 : shape.sinks ? 6 : 5); ++i) {
      loadOperand(rax, i);
      mov(ptr[frame(operandSlot(i))], rax);
    }
    units.begin();
    Label skip;
    emitRange(units);
    if (splits())
      emitSplit(units, skip);
    else
      emitKvHead(units.row);
    emitPointers(units);
    if (group > 1) {
      // Together only if the heads share a KV head and this call has that many units left. rdx: head within it.
      Label single, step;
      cmp(rdx, static_cast<uint32_t>(shape.headsPerKv - group));
      jg(single);
      if (splits()) {
        mov(rax, operandBase(GroupUnits));
        cmp(units.left, rax);
      } else {
        cmp(units.left, group);
      }
      jl(single);
      emitHeads(group);
      if (splits()) {
        mov(rax, operandBase(GroupUnits));
        dec(rax);
        mov(units.row, operandBase(Row));
        add(units.row, rax);
        sub(units.left, rax);
      } else {
        add(units.row, group - 1); // end() adds one
        sub(units.left, group - 1);
      }
      jmp(step);
      L(single);
      emitHeads(1);
      if (splits())
        mov(units.row, operandBase(Row));
      L(step);
    } else {
      emitHeads(1);
      if (splits())
        mov(units.row, operandBase(Row));
    }
    L(skip);
    units.end();
    epilogue();
    return finish();
  }

private:
  // Attention of `heads` heads of one KV head.
  void emitHeads(int heads) {
    Label block, partial, softmax, done;
    emitStart(heads);
    test(remaining, remaining);
    jle(done);
    L(block);
    mov(count.cvt32(), lanes());
    cmp(remaining, count);
    cmovl(count, remaining);
    jl(partial);
    for (int tile = 0; tile < heads; ++tile)
      emitScoreTile(heads, tile);
    jmp(softmax);
    L(partial);
    emitScoreRows(heads);
    L(softmax);
    for (int head = 0; head < heads; ++head)
      emitSoftmax(head);
    emitValues(heads);
    add(keys, static_cast<uint32_t>(lanes() * keyRowBytes));
    add(values, static_cast<uint32_t>(lanes() * valueRowBytes));
    sub(remaining, lanes());
    jg(block);
    L(done);
    emitEnd(heads);
  }

  // ---- Vector helpers
  // The lower half of a 512-bit vector, for tails of 8 elements; writing it clears the upper half.
  Vec part(const Vec &v, bool half) const { return half ? ymmOf(v) : v; }

  // dst = a vector of elements, from number `element` behind `at` on. With q8_0 the vectors of a block are
  // loaded in order: the first one loads the scale.
  void loadCache(const Vec &dst, const Xbyak::RegExp &at, int element) {
    if (quantised()) {
      const Vec scale = vec(wide() ? 8 : 2);
      const int block = bytesOf(element / 32 * 32);
      if (element % 32 == 0) {
        vpbroadcastw(ymmOf(scale), ptr[at + block]);
        wide() ? vcvtph2ps(scale, ymmOf(scale)) : vcvtph2ps(scale, xmmOf(scale));
      }
      vpmovsxbd(dst, ptr[at + (block + 2 + element % 32)]);
      vcvtdq2ps(dst, dst);
      vmulps(dst, dst, scale);
      return;
    }
    const Xbyak::RegExp from = at + bytesOf(element);
    if (shape.type == KT_TYPE_F16) {
      vcvtph2ps(dst, ptr[from]);
    } else if (shape.type == KT_TYPE_BF16) {
      vpmovzxwd(dst, ptr[from]);
      vpslld(dst, dst, 16);
    } else {
      vmovups(dst, ptr[from]);
    }
  }

  // Calls body(half) for `length` elements: a loop over whole steps and at most one half vector. `advance`
  // steps the pointers by one step of `width` elements. The loop counter is `steps`.
  template <typename Body, typename Advance>
  void overElements(int64_t length, int width, Body body, Advance advance) {
    if (length >= width) {
      Label loop;
      mov(steps, static_cast<uint32_t>(length / width));
      L(loop);
      body(false);
      advance();
      dec(steps);
      jnz(loop);
    }
    if (length % width != 0)
      body(true);
  }

  // ---- Start and end of a head
  void emitStart(int heads) {
    vmovups(vec(0), splat(-FLT_MAX));
    zero(vec(1));
    const bool sinks = shape.sinks && !splits();
    if (sinks)
      mov(rax, operandBase(5));
    for (int head = 0; head < heads; ++head) {
      if (sinks) {
        // As if the sink had been a block of its own: it is the maximum, and its exp is the sum of lane 0.
        vbroadcastss(vec(2), ptr[rax + r9 * 4 + head * 4]);
        vmaxps(vec(2), vec(2), vec(0));
        vmovss(xmm3, splat(1.0f));
        vmovups(ptr[maxima(head)], vec(2));
        vmovups(ptr[sums(head)], vec(3));
      } else {
        vmovups(ptr[maxima(head)], vec(0));
        vmovups(ptr[sums(head)], vec(1));
      }
    }
    mov(cursor, result);
    overElements(
        shape.valueLength, lanes(),
        [&](bool half) {
          for (int head = 0; head < heads; ++head)
            vmovups(ptr[cursor + resultOffset(head)], part(vec(1), half));
        },
        [&] { add(cursor, vectorBytes()); });
  }

  // y /= sum. A partial is not divided; it gets its maximum and its sum.
  void emitEnd(int heads) {
    for (int head = 0; head < heads; ++head) {
      vmovups(vec(4), ptr[sums(head)]);
      horizontalSum(vec(4), vec(5));
      if (splits()) {
        const int at = static_cast<int>(resultOffset(head) + shape.valueLength * 4);
        vmovss(xmm5, ptr[maxima(head)]);
        vmovss(ptr[result + at], xmm5);
        vmovss(ptr[result + at + 4], xmm4);
        continue;
      }
      vmovss(xmm5, splat(1.0f));
      vdivss(xmm4, xmm5, xmm4);
      vbroadcastss(vec(head), xmm4);
    }
    if (splits())
      return;
    mov(cursor, result);
    overElements(
        shape.valueLength, lanes(),
        [&](bool half) {
          for (int head = 0; head < heads; ++head) {
            vmulps(part(vec(4), half), part(vec(head), half), ptr[cursor + resultOffset(head)]);
            vmovups(ptr[cursor + resultOffset(head)], part(vec(4), half));
          }
        },
        [&] { add(cursor, vectorBytes()); });
  }

  // ---- Scores
  // Accumulators are the last `lanes` registers, of index head * rows + row. Registers 0..3 hold the
  // query, 4..7 keys.
  Vec accumulator(int index) const { return vec(vectorRegisters() - lanes() + index); }

  // Dot products of `heads` queries with `rows` keys at `keyAt`, into the accumulators.
  void emitDots(int heads, int rows, const Reg64 &keyAt, int firstRow) {
    for (int i = 0; i < heads * rows; ++i)
      zero(accumulator(i));
    for (size_t i = 0; i < shape.query.size(); ++i) {
      const QuerySegment &segment = shape.query[i];
      mov(cursor, query[i]);
      lea(keyCursor, ptr[keyAt + static_cast<int>(firstRow * keyRowBytes + bytesOf(segment.cacheOffset))]);
      overElements(
          segment.length, step, [&](bool half) { emitDotStep(heads, rows, segment.headStride, half); },
          [&] {
            add(cursor, step * 4);
            add(keyCursor, bytesOf(step));
          });
    }
  }

  // The products of `step` elements. Keys of q8_0 need their block's scale in all vectors, so there the queries
  // are loaded again for every key.
  void emitDotStep(int heads, int rows, int64_t headStride, bool half) {
    auto loadQueries = [&](int element) {
      for (int head = 0; head < heads; ++head)
        vmovups(part(vec(head), half), ptr[cursor + static_cast<int>((head * headStride + element) * 4)]);
    };
    if (!quantised())
      loadQueries(0);
    for (int row = 0; row < rows; ++row) {
      Vec key = vec(4 + row % 4);
      for (int element = 0; element < step; element += lanes()) {
        if (quantised())
          loadQueries(element);
        loadCache(part(key, half), keyCursor + static_cast<int>(row * keyRowBytes), element);
        if (rows > 1 && element == 0)
          prefetcht0(ptr[keyCursor + static_cast<int>((row + lanes()) * keyRowBytes)]);
        for (int head = 0; head < heads; ++head)
          vfmadd231ps(accumulator(head * rows + row), key, vec(head));
      }
    }
  }

  // Scores of lanes / heads rows of a full block.
  void emitScoreTile(int heads, int tile) {
    int rows = lanes() / heads;
    emitDots(heads, rows, keys, tile * rows);
    emitLaneSums(*this, accumulator(0).getIdx(), vec(0));
    Vec sum = accumulator(0);
    vmulps(sum, sum, splat(shape.scale));
    for (int head = 0; head < heads; ++head) {
      Address to = ptr[scores(head) + tile * rows * 4];
      int bytes = rows * 4;
      if (bytes == vectorBytes()) {
        vmovups(to, sum);
      } else if (bytes == 32) {
        vextractf64x4(to, zmmOf(sum), head);
      } else if (bytes == 16) {
        wide() ? vextractf32x4(to, sum, head) : vextractf128(to, sum, head);
      } else { // 8 bytes: two heads in each half of a ymm
        if (head % 2 == 0)
          vextractf128(xmm0, sum, head / 2);
        head % 2 == 0 ? vmovlps(to, xmm0) : vmovhps(to, xmm0);
      }
    }
  }

  // Scores of the `count` rows of a last block; the other lanes get a score that softmax turns into nothing.
  void emitScoreRows(int heads) {
    vmovups(vec(0), splat(-FLT_MAX));
    for (int head = 0; head < heads; ++head)
      vmovups(ptr[scores(head)], vec(0));
    Label loop;
    mov(rowCursor, keys);
    xor_(row, row);
    L(loop);
    emitDots(heads, 1, rowCursor, 0);
    for (int head = 0; head < heads; ++head) {
      Vec sum = vec(0);
      vmovaps(sum, accumulator(head));
      horizontalSum(sum, vec(1));
      vmulss(xmm0, xmm0, splat(shape.scale));
      vmovss(ptr[scores(head) + row * 4], xmm0);
    }
    add(rowCursor, static_cast<uint32_t>(keyRowBytes));
    inc(row);
    cmp(row, count);
    jl(loop);
  }

  // ---- Softmax
  // Scores to probabilities relative to the new maximum, and the correction of what was summed before.
  void emitSoftmax(int head) {
    Vec p = vec(0), largest = vec(1), correction = vec(2), sum = vec(3);
    vmovups(p, ptr[scores(head)]);
    vmovaps(largest, p);
    horizontalMax(largest, vec(4));
    vbroadcastss(largest, xmmOf(largest));
    vmovups(correction, ptr[maxima(head)]);
    vmaxps(largest, largest, correction);
    vmovups(ptr[maxima(head)], largest);
    vsubps(correction, correction, largest);
    vsubps(p, p, largest);
    emitExp(*this, correction, vec(4), vec(5));
    emitExp(*this, p, vec(4), vec(5));
    vmovups(sum, ptr[sums(head)]);
    vfmadd213ps(sum, correction, p);
    vmovups(ptr[sums(head)], sum);
    vmovups(ptr[corrections(head)], correction);
    vmovups(ptr[scores(head)], p);
  }

  // ---- Values
  // y = y * correction + sum over the block's rows of p * v, a few vectors of columns at a time.
  void emitValues(int heads) {
    int columns = std::min(8, lanes() / heads);
    int64_t width = int64_t(columns) * lanes(), whole = shape.valueLength / width;
    mov(cursor, values);
    mov(resultCursor, result);
    if (whole > 0) {
      Label loop;
      mov(steps, static_cast<uint32_t>(whole));
      L(loop);
      emitColumns(heads, columns, false);
      add(cursor, bytesOf(width));
      add(resultCursor, static_cast<uint32_t>(width * 4));
      dec(steps);
      jnz(loop);
    }
    int64_t rest = shape.valueLength % width;
    if (rest > 0)
      emitColumns(heads, static_cast<int>((rest + lanes() - 1) / lanes()), rest % lanes() != 0);
  }

  // `columns` vectors of columns of all rows; the last one may be a half.
  void emitColumns(int heads, int columns, bool lastHalf) {
    auto forEach = [&](auto body) {
      for (int head = 0; head < heads; ++head)
        for (int column = 0; column < columns; ++column) {
          bool half = lastHalf && column + 1 == columns;
          body(head, part(accumulator(head * columns + column), half),
               ptr[resultCursor + (resultOffset(head) + column * vectorBytes())]);
        }
    };
    forEach([&](int head, const Vec &sum, const Address &at) {
      vmovups(part(vec(0), sum.isYMM()), ptr[corrections(head)]);
      vmulps(sum, part(vec(0), sum.isYMM()), at);
    });
    Label loop;
    mov(keyCursor, cursor);
    xor_(row, row);
    L(loop);
    for (int head = 0; head < heads; ++head)
      vbroadcastss(vec(head), ptr[scores(head) + row * 4]);
    for (int column = 0; column < columns; ++column) {
      bool half = lastHalf && column + 1 == columns;
      Vec value = part(vec(4 + column % 4), half);
      loadCache(value, keyCursor, column * lanes());
      const int bytes = quantised() ? column * lanes() : bytesOf(column * lanes());
      if (shape.values.operand != shape.keys.operand && bytes % 64 == 0)
        prefetcht0(ptr[keyCursor + static_cast<int>(lanes() * valueRowBytes + bytes)]);
      for (int head = 0; head < heads; ++head)
        vfmadd231ps(part(accumulator(head * columns + column), half), value, part(vec(head), half));
    }
    add(keyCursor, static_cast<uint32_t>(valueRowBytes));
    inc(row);
    cmp(row, count);
    jl(loop);
    forEach([&](int, const Vec &sum, const Address &at) { vmovups(at, sum); });
  }
};

} // namespace

Kernel generateDecodeAttention(const AttentionShape &shape, const Target &target) {
  return AttentionKernel(target, shape).emit();
}

} // namespace ktc::x64
