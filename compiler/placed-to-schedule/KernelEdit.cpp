// KernelEditor: see the header.
#include "compiler/placed-to-schedule/KernelEdit.h"

#include "mlir/IR/Builders.h"
#include "llvm/ADT/StringSet.h"

using namespace mlir;

namespace ktc {

KernelEditor::KernelEditor(ModuleOp module) : module(module) {
  for (auto kernel : module.getOps<sched::KernelOp>())
    byName[kernel.getSymName()] = kernel;
}

sched::KernelOp KernelEditor::kernelOf(sched::DispatchOp dispatch) {
  return byName.lookup(dispatch.getKernel());
}

StringRef KernelEditor::family(sched::DispatchOp dispatch) { return kernelOf(dispatch).getFamily(); }

int64_t KernelEditor::integer(sched::DispatchOp dispatch, StringRef name) {
  auto value = kernelOf(dispatch).getParams().getAs<IntegerAttr>(name);
  return value ? value.getInt() : 0;
}

StringRef KernelEditor::text(sched::DispatchOp dispatch, StringRef name) {
  auto value = kernelOf(dispatch).getParams().getAs<StringAttr>(name);
  return value ? value.getValue() : StringRef();
}

void KernelEditor::set(sched::DispatchOp dispatch, StringRef name, int64_t value) {
  setParam(dispatch, name, OpBuilder(module).getI64IntegerAttr(value));
}

void KernelEditor::set(sched::DispatchOp dispatch, StringRef name, StringRef value) {
  setParam(dispatch, name, OpBuilder(module).getStringAttr(value));
}

void KernelEditor::setParam(sched::DispatchOp dispatch, StringRef name, Attribute value) {
  sched::KernelOp from = kernelOf(dispatch);
  OpBuilder builder(from);
  NamedAttrList params(from.getParams());
  params.set(name, value);
  dispatch.setKernel(make(from.getFamily(), params.getDictionary(builder.getContext()), from));
}

StringRef KernelEditor::make(StringRef family, DictionaryAttr params) {
  sched::KernelOp last;
  for (auto kernel : module.getOps<sched::KernelOp>())
    last = kernel;
  return make(family, params, last);
}

StringRef KernelEditor::make(StringRef family, DictionaryAttr params, sched::KernelOp after) {
  size_t count = 0;
  for (auto &[known, kernel] : byName) {
    if (kernel.getFamily() != family)
      continue;
    if (kernel.getParams() == params)
      return kernel.getSymName();
    ++count;
  }
  OpBuilder builder = OpBuilder::atBlockBegin(module.getBody());
  if (after)
    builder.setInsertionPointAfter(after);
  std::string symbol;
  for (; symbol.empty() || byName.contains(symbol); ++count)
    symbol = (family + "." + Twine(count)).str();
  auto kernel = builder.create<sched::KernelOp>(module.getLoc(), symbol, family, params);
  byName[symbol] = kernel;
  return kernel.getSymName();
}

DictionaryAttr KernelEditor::params(sched::DispatchOp dispatch) { return kernelOf(dispatch).getParams(); }

void KernelEditor::eraseUnused() {
  llvm::StringSet<> used;
  module.walk([&](sched::DispatchOp dispatch) { used.insert(dispatch.getKernel()); });
  for (auto kernel : llvm::make_early_inc_range(module.getOps<sched::KernelOp>()))
    if (!used.contains(kernel.getSymName())) {
      byName.erase(kernel.getSymName());
      kernel.erase();
    }
}

void defineBefore(Value value, Operation *user) {
  Operation *definition = value.getDefiningOp();
  if (!definition || definition->getBlock() != user->getBlock() || definition->isBeforeInBlock(user))
    return;
  for (Value operand : definition->getOperands())
    defineBefore(operand, user);
  definition->moveBefore(user);
}

} // namespace ktc
