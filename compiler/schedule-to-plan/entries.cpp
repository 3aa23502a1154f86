// Entry points: the commands of each lane in order, and the buffers that callers see.
#include "compiler/schedule-to-plan/commands/commands.h"

#include "llvm/ADT/TypeSwitch.h"

#include <algorithm>
#include <map>

using namespace mlir;
using namespace ktrt::plan;

namespace ktc {

namespace commands {

kt::Result<uint32_t> field32(uint64_t value, const char *what) {
  if (value > UINT32_MAX)
    return kt::Error{std::to_string(value) + " " + what + ", expected at most " + std::to_string(UINT32_MAX)};
  return static_cast<uint32_t>(value);
}

} // namespace commands

static kt::Result<CommandBodyUnion> serializeBody(Operation *op, uint32_t lane, PlanTables &tables) {
  using Result = kt::Result<CommandBodyUnion>;
  return llvm::TypeSwitch<Operation *, Result>(op)
      .Case([&](sched::DispatchOp op) { return commands::dispatch(op, lane, tables); })
      .Case([&](sched::CopyOp op) { return commands::copy(op, lane, tables); })
      .Case([&](sched::FillOp op) { return commands::fill(op, lane, tables); })
      .Case([&](sched::SignalOp op) { return commands::signal(op); })
      .Case([&](sched::WaitOp op) { return commands::wait(op); })
      .Default([](Operation *) -> Result { return kt::Error{"is no command"}; });
}

// Appends the command to its lane's program.
static kt::Status addCommand(Operation *op, std::map<uint32_t, std::unique_ptr<LaneProgramT>> &programs,
                             PlanTables &tables) {
  kt::Result<uint32_t> lane =
      PlanTables::find(tables.lanes, op->getAttrOfType<FlatSymbolRefAttr>("lane").getValue(), "lane");
  if (!lane)
    return lane.error();
  kt::Result<CommandBodyUnion> body = serializeBody(op, *lane, tables);
  if (!body)
    return body.error();
  auto command = std::make_unique<CommandT>();
  command->body = std::move(*body);
  command->barrier_before = op->hasAttr("barrier");
  if (auto part = op->getAttrOfType<IntegerAttr>("part"))
    command->part = static_cast<uint32_t>(part.getInt());
  if (auto after = op->getAttrOfType<DenseI32ArrayAttr>("after"))
    command->after.assign(after.asArrayRef().begin(), after.asArrayRef().end());
  std::unique_ptr<LaneProgramT> &program = programs[*lane];
  if (!program) {
    program = std::make_unique<LaneProgramT>();
    program->lane = *lane;
  }
  program->commands.push_back(std::move(command));
  return {};
}

// A range with a role that the runtime knows becomes a buffer of the entry; the first of a role counts.
static kt::Status addBuffer(sched::FixedOp fixed, EntryT &entry, PlanTables &tables) {
  StringRef role = fixed.getRole().value_or("");
  std::unique_ptr<Operand> *field = role == sched::names::kTokens       ? &entry.tokens
                                    : role == sched::names::kPositions  ? &entry.positions
                                    : role == sched::names::kLogits     ? &entry.logits
                                    : role == sched::names::kBestIds    ? &entry.best_ids
                                    : role == sched::names::kBestLogits ? &entry.best_logits
                                    : role == sched::names::kBestSums   ? &entry.best_sums
                                                                        : nullptr;
  if (!field || *field)
    return {};
  kt::Result<uint32_t> arena = PlanTables::find(tables.arenas, fixed.getArena(), "non-empty arena");
  if (!arena)
    return arena.error();
  *field = std::make_unique<Operand>(OperandKind::Arena, *arena, fixed.getOffset());
  if (field == &entry.best_ids)
    entry.best_count = static_cast<uint32_t>(fixed.getBytes() / sizeof(int32_t) / entry.capacity);
  return {};
}

static kt::Result<std::unique_ptr<EntryT>> buildEntry(sched::EntryOp op, PlanTables &tables) {
  auto entry = std::make_unique<EntryT>();
  entry->name = op.getSymName().str();
  kt::Result<uint32_t> capacity = commands::field32(op.getCapacity(), "tokens");
  if (!capacity)
    return kt::Error{"entry '" + entry->name + "': " + capacity.error().message};
  entry->capacity = *capacity;
  entry->dynamic = op.getDynamic();
  entry->parts = static_cast<uint32_t>(op.partCount());
  std::map<uint32_t, std::unique_ptr<LaneProgramT>> programs; // by lane
  size_t number = 0;
  for (Operation &inner : op.getBody().front()) {
    kt::Status status;
    if (auto fixed = dyn_cast<sched::FixedOp>(inner))
      status = addBuffer(fixed, *entry, tables);
    else if (sched::isCommand(&inner))
      status = addCommand(&inner, programs, tables);
    else
      continue;
    if (!status) {
      std::string path =
          isa<sched::DispatchOp>(inner) ? " for " + cast<sched::DispatchOp>(inner).getPath().str() : "";
      return kt::Error{"entry '" + entry->name + "', command " + std::to_string(number) + " (" +
                       inner.getName().getStringRef().str() + path + "): " + status.error().message};
    }
    number += sched::isCommand(&inner);
    if (auto signal = dyn_cast<sched::SignalOp>(inner))
      entry->signals = std::max(entry->signals, static_cast<uint32_t>(signal.getSignal()) + 1);
  }
  for (auto &[lane, program] : programs)
    entry->programs.push_back(std::move(program));
  return entry;
}

kt::Status buildEntries(PlanTables &tables) {
  for (auto op : tables.module.getOps<sched::EntryOp>()) {
    kt::Result<std::unique_ptr<EntryT>> entry = buildEntry(op, tables);
    if (!entry)
      return entry.error();
    tables.plan.entries.push_back(std::move(*entry));
  }
  return {};
}

} // namespace ktc
