//===- ScheduleDialect.td - where and in what order ------------------------------------------------------------===//
//
// Dialect and type of the `sched` stage. Operations are in ScheduleOps.td.
//
//===------------------------------------------------------------------------------------------------------===//
#ifndef KT_SCHEDULE_DIALECT
#define KT_SCHEDULE_DIALECT

include "mlir/IR/AttrTypeBase.td"
include "mlir/IR/DialectBase.td"
include "mlir/IR/OpBase.td"

def Sched_Dialect : Dialect {
  let name = "sched";
  let summary = "Where and in what order: lanes, commands, arenas, kernel specs.";
  let description = [{
    A schedule is a set of entry points of static shape. An entry is a straight list of commands, each on one lane; there is no
    control flow. Memory is explicit: buffers are allocated in arenas, and after planning each has a static offset. Kernels are symbols with a
    family and parameters (templates/README.md); the code generator turns each into machine code once.
  }];
  let cppNamespace = "::ktc::sched";
  let useDefaultTypePrinterParser = 1;
  let dependentDialects = ["::ktc::quant::KtDialect"];
}

def Sched_BufferType : TypeDef<Sched_Dialect, "Buffer"> {
  let mnemonic = "buffer";
  let summary = "An address: a range of an arena or of a weight";
}

#endif
