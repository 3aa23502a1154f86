// Serialisers of the five commands, one file each.
#pragma once

#include "compiler/schedule-to-plan/plan_tables.h"

namespace ktc::commands {

// Body of the command that `op` is, on lane `lane` (index). Errors do not name the command: callers do.
kt::Result<ktrt::plan::CommandBodyUnion> dispatch(sched::DispatchOp op, uint32_t lane, PlanTables &tables);
kt::Result<ktrt::plan::CommandBodyUnion> copy(sched::CopyOp op, uint32_t lane, PlanTables &tables);
kt::Result<ktrt::plan::CommandBodyUnion> fill(sched::FillOp op, uint32_t lane, PlanTables &tables);
kt::Result<ktrt::plan::CommandBodyUnion> signal(sched::SignalOp op);
kt::Result<ktrt::plan::CommandBodyUnion> wait(sched::WaitOp op);

// `value` as a 32-bit field; `what` names it in the error.
kt::Result<uint32_t> field32(uint64_t value, const char *what);

} // namespace ktc::commands
