// sched.dispatch
#include "compiler/schedule-to-plan/commands/commands.h"

using namespace ktrt::plan;

namespace ktc::commands {

static kt::Status addHint(sched::DispatchOp op, uint32_t lane, PlanTables &tables, DispatchT &table) {
  const llvm::ArrayRef<int64_t> numbers = *op.getHint();
  kt::Result<Operand> ids = tables.operand(op.getOperand(static_cast<unsigned>(numbers[0])), lane);
  if (!ids)
    return ids.error();
  table.hint = std::make_unique<HintT>();
  table.hint->ids = std::make_unique<Operand>(*ids);
  table.hint->choices = static_cast<uint32_t>(numbers[1]);
  table.hint->experts = static_cast<uint32_t>(numbers[2]);
  table.hint->lists = static_cast<uint32_t>(numbers[3]);
  return {};
}

kt::Result<CommandBodyUnion> dispatch(sched::DispatchOp op, uint32_t lane, PlanTables &tables) {
  kt::Result<uint32_t> kernel = PlanTables::find(tables.kernels, op.getKernel(), "generated kernel");
  if (!kernel)
    return kernel.error();
  kt::Result<uint32_t> units = field32(op.getUnits(), "units");
  kt::Result<uint32_t> perToken = field32(op.getUnitsPerToken(), "units per token");
  kt::Result<uint32_t> grain = field32(op.getGrain().value_or(0), "grain");
  for (const kt::Result<uint32_t> *field : {&units, &perToken, &grain})
    if (!*field)
      return field->error();
  DispatchT table;
  table.kernel = *kernel;
  // The operand with the hint, the last one, is not for the kernel.
  for (mlir::Value buffer : op.getOperands().drop_back(op.getHint() ? 1 : 0)) {
    kt::Result<Operand> operand = tables.operand(buffer, lane);
    if (!operand)
      return operand.error();
    table.operands.push_back(*operand);
  }
  table.units = *units;
  table.units_per_token = *perToken;
  table.grain = *grain;
  table.path = op.getPath().str();
  table.bytes_read = op.getBytesRead();
  for (llvm::ArrayRef<int64_t> streams = op.getStreams().value_or(llvm::ArrayRef<int64_t>()); !streams.empty();
       streams = streams.drop_front(2)) {
    auto stream = std::make_unique<StreamT>();
    stream->operand = static_cast<uint32_t>(streams[0]);
    stream->unit_bytes = static_cast<uint64_t>(streams[1]);
    if (op.getHint())
      stream->expert_bytes = static_cast<uint64_t>((*op.getExpertBytes())[table.streams.size()]);
    table.streams.push_back(std::move(stream));
  }
  if (op.getHint()) {
    kt::Status status = addHint(op, lane, tables, table);
    if (!status)
      return status.error();
  }
  CommandBodyUnion body;
  body.Set(std::move(table));
  return body;
}

} // namespace ktc::commands
