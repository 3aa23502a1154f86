// sched.dispatch
#include "compiler/schedule-to-plan/commands/commands.h"

using namespace ktrt::plan;

namespace ktc::commands {

kt::Result<CommandBodyUnion> dispatch(sched::DispatchOp op, uint32_t lane, PlanTables &tables) {
  kt::Result<uint32_t> kernel = PlanTables::find(tables.kernels, op.getKernel(), "generated kernel");
  if (!kernel)
    return kernel.error();
  kt::Result<uint32_t> units = field32(op.getUnits(), "units");
  kt::Result<uint32_t> perToken = field32(op.getUnitsPerToken(), "units per token");
  if (!units || !perToken)
    return units ? perToken.error() : units.error();
  DispatchT table;
  table.kernel = *kernel;
  for (mlir::Value buffer : op.getOperands()) {
    kt::Result<Operand> operand = tables.operand(buffer, lane);
    if (!operand)
      return operand.error();
    table.operands.push_back(*operand);
  }
  table.units = *units;
  table.units_per_token = *perToken;
  table.path = op.getPath().str();
  table.bytes_read = op.getBytesRead();
  CommandBodyUnion body;
  body.Set(std::move(table));
  return body;
}

} // namespace ktc::commands
