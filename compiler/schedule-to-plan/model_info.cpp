// Facts about the model that the runtime reports or needs for allocation, gathered from the schedule.
#include "compiler/schedule-to-plan/plan_tables.h"

#include <algorithm>

using namespace mlir;
using namespace ktrt::plan;

namespace ktc {

// Bytes per token of the range with role `role` in entry `name`, or 0.
static uint64_t bytesPerToken(ModuleOp module, StringRef name, StringRef role) {
  auto entry = module.lookupSymbol<sched::EntryOp>(name);
  if (!entry)
    return 0;
  for (auto fixed : entry.getBody().getOps<sched::FixedOp>())
    if (fixed.getRole() == role)
      return fixed.getBytes() / entry.getCapacity();
  return 0;
}

static uint64_t readForOneToken(ModuleOp module) {
  uint64_t bytes = 0;
  if (auto entry = module.lookupSymbol<sched::EntryOp>("decode_1"))
    for (auto dispatch : entry.getBody().getOps<sched::DispatchOp>())
      bytes += dispatch.getBytesRead();
  return bytes;
}

// The cache must not hold more positions than any rope table has rows.
static kt::Result<uint64_t> contextOf(PlanTables &tables) {
  uint64_t context = tables.options.context;
  for (auto constant : tables.module.getOps<sched::ConstantOp>()) {
    auto rows = constant.getParams().getAs<IntegerAttr>("context");
    uint64_t limit = rows ? rows.getValue().getZExtValue() : 0;
    if (context == 0)
      context = limit;
    if (limit < context)
      return kt::Error{"a context of " + std::to_string(context) + " positions was asked for, but constant '" +
                       constant.getSymName().str() + "' covers " + std::to_string(limit)};
  }
  if (context == 0)
    return kt::Error{"the schedule has no rope table, so the context must be given"};
  return context;
}

static uint64_t integerAttr(ModuleOp module, StringRef name) {
  auto attr = module->getAttrOfType<IntegerAttr>(name);
  return attr && attr.getInt() > 0 ? static_cast<uint64_t>(attr.getInt()) : 0;
}

static std::string textAttr(ModuleOp module, StringRef name) {
  auto attr = module->getAttrOfType<StringAttr>(name);
  return attr ? attr.str() : "";
}

kt::Status buildModelInfo(PlanTables &tables) {
  ModuleOp module = tables.module;
  kt::Result<uint64_t> context = contextOf(tables);
  if (!context)
    return context.error();
  uint64_t vocab = bytesPerToken(module, "decode_1", sched::names::kLogits) / sizeof(float);
  if (vocab == 0 || vocab > INT32_MAX)
    return kt::Error{"expected an entry 'decode_1' with a buffer for logits of 1 to 2^31-1 tokens, found " +
                     std::to_string(vocab)};
  auto info = std::make_unique<ktrt::plan::ModelT>();
  info->name = textAttr(module, model::attr::kName);
  info->architecture = textAttr(module, model::attr::kArchitecture);
  info->context = static_cast<uint32_t>(std::min<uint64_t>(*context, UINT32_MAX));
  info->trained_context =
      static_cast<uint32_t>(std::min<uint64_t>(integerAttr(module, model::attr::kTrainedContext), UINT32_MAX));
  info->vocab = static_cast<uint32_t>(vocab);
  info->embedding =
      static_cast<uint32_t>(bytesPerToken(module, "prefill", sched::names::kHidden) / sizeof(float));
  info->layers = static_cast<uint32_t>(integerAttr(module, model::attr::kLayers));
  uint64_t cache = 0;
  for (const auto &arena : tables.plan.arenas)
    cache += arena->kind == ArenaKind::KvCache ? arena->bytes : 0;
  info->kv_bytes_per_token = cache / *context;
  info->weight_bytes = tables.weights.bytes();
  info->weight_bytes_per_token = readForOneToken(module);
  tables.plan.model = std::move(info);
  return {};
}

} // namespace ktc
