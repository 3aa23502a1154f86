// sched.wait
#include "compiler/schedule-to-plan/commands/commands.h"

using namespace ktrt::plan;

namespace ktc::commands {

kt::Result<CommandBodyUnion> wait(sched::WaitOp op) {
  kt::Result<uint32_t> number = field32(op.getSignal(), "signal");
  if (!number)
    return number.error();
  WaitT table;
  table.signal = *number;
  CommandBodyUnion body;
  body.Set(std::move(table));
  return body;
}

} // namespace ktc::commands
