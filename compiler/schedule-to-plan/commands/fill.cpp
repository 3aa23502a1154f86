// sched.fill
#include "compiler/schedule-to-plan/commands/commands.h"

using namespace ktrt::plan;

namespace ktc::commands {

kt::Result<CommandBodyUnion> fill(sched::FillOp op, uint32_t lane, PlanTables &tables) {
  kt::Result<Operand> destination = tables.operand(op.getDestination(), lane);
  if (!destination)
    return destination.error();
  FillT table;
  table.destination = std::make_unique<Operand>(*destination);
  table.bytes = op.getBytes();
  table.bytes_per_token = op.getBytesPerToken();
  table.value = static_cast<uint8_t>(op.getValue()); // a byte: checked by the operation's verifier
  CommandBodyUnion body;
  body.Set(std::move(table));
  return body;
}

} // namespace ktc::commands
