// KernelEditor: declare kernels, and read and change the kernel specification of a dispatch.
//
// Kernels are shared symbols, so a change makes (or finds) another symbol; unused ones are removed at the end.
#pragma once

#include "dialects/schedule/Schedule.h"

namespace ktc {

class KernelEditor {
public:
  explicit KernelEditor(mlir::ModuleOp module);

  // Family of the dispatch's kernel.
  llvm::StringRef family(sched::DispatchOp dispatch);
  // An integer parameter, 0 if absent.
  int64_t integer(sched::DispatchOp dispatch, llvm::StringRef name);
  // A text parameter, empty if absent.
  llvm::StringRef text(sched::DispatchOp dispatch, llvm::StringRef name);
  // Points the dispatch to the same kernel with parameter `name` = `value`.
  void set(sched::DispatchOp dispatch, llvm::StringRef name, int64_t value);
  void set(sched::DispatchOp dispatch, llvm::StringRef name, llvm::StringRef value);
  // All parameters of the dispatch's kernel.
  mlir::DictionaryAttr params(sched::DispatchOp dispatch);
  // The symbol of the kernel of `family` with these parameters, declared behind all others if there is none.
  // Names count per family.
  llvm::StringRef make(llvm::StringRef family, mlir::DictionaryAttr params);
  // Removes kernel symbols that no dispatch names.
  void eraseUnused();

private:
  sched::KernelOp kernelOf(sched::DispatchOp dispatch);
  llvm::StringRef make(llvm::StringRef family, mlir::DictionaryAttr params, sched::KernelOp after);
  void setParam(sched::DispatchOp dispatch, llvm::StringRef name, mlir::Attribute value);

  mlir::ModuleOp module;
  llvm::StringMap<sched::KernelOp> byName;
};

// Brings what defines the operand `value` before `user`, if it stands behind it in the same block. Such
// definitions (weights, buffers, views) do nothing by themselves.
void defineBefore(mlir::Value value, mlir::Operation *user);

} // namespace ktc
