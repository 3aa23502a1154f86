// Base of gate_up and down: the loops over active experts, row groups and the slots of an expert.
//
// Experts are the outer loop, so that a thread streams its rows of one expert after the other, and so that
// `down` adds experts in ascending order. Without lists (`dense`) expert 0 serves all tokens and slot = token.
#pragma once

#include "templates/x64/matrix/panel_kernel.h"

namespace ktc::x64 {

class ExpertKernel : public PanelKernel {
protected:
  ExpertKernel(const Params &params, const Target &target);

  enum Slot : size_t {
    Tokens = ownSlots,      // tokens of the replay
    UnitBegin = Tokens + 8, // units of this thread, and the current one
    UnitEnd = UnitBegin + 8,
    Unit = UnitEnd + 8,
    Lists = Unit + 8,      // expert lists
    Active = Lists + 8,    // position of the current expert among the active ones
    Expert = Active + 8,   // its id
    SlotList = Expert + 8, // address of its slots, and how many they are
    SlotCount = SlotList + 8,
    Ahead = SlotCount + 8,     // from this unit to the next one: rows, and experts besides
    Farther = Ahead + 16,      // the same for one further on
    ShareBegin = Farther + 16, // byCost: the work of this call, and what the experts before this one take
    ShareEnd = ShareBegin + 8,
    Spent = ShareEnd + 8,
    FirstBlock = Spent + 8,      // packed tokens: block of the current expert's first slot
    ExpertSlots = FirstBlock + 8 // first slot of the families
  };

  // Loads token count, units and (with lists) operand `listsOperand` into the frame. `args` must be intact.
  void loadCommonArguments(int listsOperand);
  // The loops. `tile(tokens, rows)` is emitted with slotNumbers of the tile filled. `panels`, unless it is
  // null, is emitted for experts with at least panelCrossover slots.
  void emitExperts(const std::function<void(int tokens, int rows)> &tile, const PanelPass *panels);
  // rax = address of what is packed of the current expert, of rows of `k` elements at operand `base` (frame
  // slot).
  void emitPacked(size_t base, int64_t k);
  // rax = slot of the token number `position` within the expert.
  void emitSlotNumber(const Reg64 &position);
  // A matrix of a panel pass, with its weights at operand `base` (frame slot).
  PanelMatrix expertMatrix(size_t base, const MatrixWeights &weights, int64_t expertRows);
  // rax = rax / divisor. Clobbers rdx, rcx.
  void emitQuotient(int64_t divisor);
  // The scratch that panels need: 0 without them.
  size_t scratchFor(bool panels, const MatrixWeights &weights, size_t matrices) const;
  // dst = base operand (frame slot) + (expert id * expertRows + first row of the unit) * bytes of a row. Also
  // fills aheadBytes and fartherBytes.
  void emitWeightAddress(const Reg64 &dst, size_t base, const MatrixWeights &weights, int64_t expertRows);
  // token(t) = base (frame slot) + row of slot t * rowBytes, the row being slot / divisor.
  void emitActivations(size_t base, int tokens, int64_t bytes, int64_t divisor);
  // rax = slot t of the tile divided by `divisor`. Clobbers rdx, rcx.
  void emitSlotQuotient(int t, int64_t divisor);

  int64_t n, m, experts, topK, units;
  bool dense, dynamic, byCost;

private:
  void emitExpert(const std::function<void(int, int)> &tile, const PanelPass *panels);
  int64_t shareBlocks() const { return (n + KT_SHARE_ROWS - 1) / KT_SHARE_ROWS; }
  void emitShares();
  void emitOwnBlocks();
  void emitUnitAhead(size_t slot, int distance);
  void emitBytesAhead(size_t slot, const MatrixWeights &weights, int64_t expertRows);
  void emitExpertsAhead(const Reg64 &ahead, const Xbyak::Label &last);
  void emitNextExpert(const MatrixWeights &weights, int64_t expertRows);
  void emitUnits(const std::function<void(int, int)> &tile);
  void emitSlotTiles(int rows, const std::function<void(int, int)> &tile);
};

} // namespace ktc::x64
