// sched.copy
#include "compiler/schedule-to-plan/commands/commands.h"

using namespace ktrt::plan;

namespace ktc::commands {

kt::Result<CommandBodyUnion> copy(sched::CopyOp op, uint32_t lane, PlanTables &tables) {
  kt::Result<Operand> source = tables.operand(op.getSource(), lane);
  kt::Result<Operand> destination = tables.operand(op.getDestination(), lane);
  if (!source || !destination)
    return source ? destination.error() : source.error();
  CopyT table;
  table.source = std::make_unique<Operand>(*source);
  table.destination = std::make_unique<Operand>(*destination);
  table.bytes = op.getBytes();
  table.bytes_per_token = op.getBytesPerToken();
  CommandBodyUnion body;
  body.Set(std::move(table));
  return body;
}

} // namespace ktc::commands
