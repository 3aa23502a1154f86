// Checks of the order between lanes, for sched-check-memory.
#pragma once

#include "compiler/placed-to-schedule/LaneTable.h"

namespace ktc {

// Checks, with buffers at their offsets, that a command follows every command of another lane that it conflicts
// with, and that two buffers which share bytes are used one after the other wherever several lanes use them.
mlir::LogicalResult checkLanes(sched::EntryOp entry, const LaneTable &lanes);

} // namespace ktc
