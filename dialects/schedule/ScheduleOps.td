//===- ScheduleOps.td - operations of the schedule stage ------------------------------------------------------===//
//
// Declarations (module level), addresses, and the closed set of commands: dispatch, copy, fill, signal, wait.
//
//===------------------------------------------------------------------------------------------------------===//
#ifndef KT_SCHEDULE_OPS
#define KT_SCHEDULE_OPS

include "dialects/schedule/ScheduleDialect.td"
include "mlir/IR/RegionKindInterface.td"
include "mlir/IR/SymbolInterfaces.td"
include "mlir/Interfaces/SideEffectInterfaces.td"

class Sched_Op<string mnemonic, list<Trait> traits = []> : Op<Sched_Dialect, mnemonic, traits>;

//===------------------------------------------------------------------------------------------------------===//
// Declarations
//===------------------------------------------------------------------------------------------------------===//

def Sched_DeviceOp : Sched_Op<"device", [Symbol]> {
  let summary = "A place where work runs or bytes live";
  let description = [{
    `kind` is `cpu` or `cuda`; `budget` is in bytes, 0 = unlimited.

    Example: `sched.device @cpu "cpu" budget 0`
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, StrAttr:$kind, I64Attr:$budget);
  let assemblyFormat = "$sym_name $kind `budget` $budget attr-dict";
  let hasVerifier = 1;
}

def Sched_LaneOp : Sched_Op<"lane", [Symbol]> {
  let summary = "An ordered stream of commands on a device";
  let description = [{
    A lane on a `cpu` device is a thread team, a lane on a `cuda` device a stream.

    Example: `sched.lane @cpu.team on @cpu`
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, FlatSymbolRefAttr:$device);
  let assemblyFormat = "$sym_name `on` $device attr-dict";
  let hasVerifier = 1;
}

def Sched_ArenaOp : Sched_Op<"arena", [Symbol]> {
  let summary = "One allocation made at load time";
  let description = [{
    `kind`: `activation` (planned by lifetime and shared by all entries), `kv_cache` or `io` (persistent). `bytes` is set by the memory
    planner for activation arenas and by the lowering for the others. `mapped`: host memory that GPU lanes access too, at the
    same address.

    Example: `sched.arena @kv "kv_cache" on @cpu bytes 1048576`
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, StrAttr:$kind, FlatSymbolRefAttr:$device, I64Attr:$bytes, UnitAttr:$mapped);
  let assemblyFormat = "$sym_name $kind `on` $device `bytes` $bytes (`mapped` $mapped^)? attr-dict";
  let hasVerifier = 1;
}

def Sched_ConstantOp : Sched_Op<"constant", [Symbol]> {
  let summary = "Read-only data that the compiler computes and stores in the plan";
  let description = [{
    `kind` = `rope_table`: float32 [context][dims/2][cos, sin] for the rope attribute in `params`.

    Example: `sched.constant @rope_table.0 "rope_table" bytes 1048576 {rope = #model.rope<…>, context = 4096 : i64}`
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, StrAttr:$kind, I64Attr:$bytes, DictionaryAttr:$params);
  let assemblyFormat = "$sym_name $kind `bytes` $bytes $params attr-dict";
  let hasVerifier = 1;
}

def Sched_KernelOp : Sched_Op<"kernel", [Symbol]> {
  let summary = "A kernel specification";
  let description = [{
    Family and parameters as in templates/README.md. Parameters are integers (i64), reals (f64) or strings.

    Example: `sched.kernel @k3 "rms_norm" {k = 256 : i64, eps = 1.0e-6 : f64, m = 1 : i64}`
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, StrAttr:$family, DictionaryAttr:$params);
  let assemblyFormat = "$sym_name $family $params attr-dict";
  let hasVerifier = 1;
}

def Sched_EntryOp : Sched_Op<"entry", [Symbol, IsolatedFromAbove, NoTerminator, SingleBlock]> {
  let summary = "An entry point: a program of static shape";
  let description = [{
    `capacity` tokens; `dynamic`: the token count is read at run time (1..capacity), otherwise it is exactly `capacity`.
    Entries: `decode_<m>` (body and head for m tokens), `prefill` (body of a chunk), `head` (final norm and logits for rows of the
    hidden states).

    `parts` of a dynamic entry: its tokens are worked on in that many parts of `capacity / parts`, the first ones full. Lowering
    writes the commands of one part, and sched-pipeline-parts those of all, each with the number of its `part`.

    Example: `sched.entry @decode_1 capacity 1 { … }`
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, I64Attr:$capacity, UnitAttr:$dynamic, OptionalAttr<I64Attr>:$parts);
  let regions = (region SizedRegion<1>:$body);
  let assemblyFormat = "$sym_name `capacity` $capacity (`dynamic` $dynamic^)? (`parts` $parts^)? $body attr-dict";
  let extraClassDeclaration = [{
    // Parts of the tokens, and how many tokens one of them takes.
    int64_t partCount() { return static_cast<int64_t>(getParts().value_or(1)); }
    int64_t partCapacity() { return static_cast<int64_t>(getCapacity()) / partCount(); }
  }];
  let hasVerifier = 1;
}

//===------------------------------------------------------------------------------------------------------===//
// Addresses
//===------------------------------------------------------------------------------------------------------===//

def Sched_AllocOp : Sched_Op<"alloc", []> {
  let summary = "A temporary buffer of this entry";
  let description = [{
    Lives from its first to its last use. The memory planner sets `offset` in the activation arena.

    Example: `%x = sched.alloc @act bytes 1024 {name = "residual"}`
  }];
  let arguments = (ins FlatSymbolRefAttr:$arena, I64Attr:$bytes, OptionalAttr<I64Attr>:$offset, OptionalAttr<StrAttr>:$name);
  let results = (outs Sched_BufferType:$result);
  let assemblyFormat = "$arena `bytes` $bytes (`at` $offset^)? attr-dict";
  let hasVerifier = 1;
}

def Sched_FixedOp : Sched_Op<"fixed", [Pure]> {
  let summary = "A fixed range of a persistent arena (KV cache, input, output)";
  let description = [{
    `role` marks what the run time reads or writes: `tokens`, `positions`, `logits`, `best ids`, `best logits`, `best sums`,
    `hidden`, or a name for people.

    Example: `%tokens = sched.fixed @io at 0 bytes 64 {role = "tokens"}`
  }];
  let arguments = (ins FlatSymbolRefAttr:$arena, I64Attr:$offset, I64Attr:$bytes, OptionalAttr<StrAttr>:$role);
  let results = (outs Sched_BufferType:$result);
  let assemblyFormat = "$arena `at` $offset `bytes` $bytes attr-dict";
  let hasVerifier = 1;
}

def Sched_WeightOp : Sched_Op<"weight", [Pure]> {
  let summary = "The address of a weight, derived weight or constant";
  let description = [{
    Example: `%w = sched.weight @blk.0.attn_q.weight`
  }];
  let arguments = (ins FlatSymbolRefAttr:$symbol);
  let results = (outs Sched_BufferType:$result);
  let assemblyFormat = "$symbol attr-dict";
  let hasVerifier = 1;
}

def Sched_ViewOp : Sched_Op<"view", [Pure]> {
  let summary = "An address inside another buffer";
  let description = [{
    Example: `%r = sched.view %q at 512`
  }];
  let arguments = (ins Sched_BufferType:$source, I64Attr:$offset);
  let results = (outs Sched_BufferType:$result);
  let assemblyFormat = "$source `at` $offset attr-dict";
  let hasVerifier = 1;
}

def Sched_NoneOp : Sched_Op<"none", [Pure]> {
  let summary = "The absent optional operand";
  let description = [{
    Example: `%none = sched.none`
  }];
  let results = (outs Sched_BufferType:$result);
  let assemblyFormat = "attr-dict";
}

//===------------------------------------------------------------------------------------------------------===//
// Commands
//===------------------------------------------------------------------------------------------------------===//

// Common to commands: the lane; whether the threads of a CPU lane must meet before it (set by sched-insert-barriers); for
// GPU lanes, the numbers of the lane's earlier commands that must be done (set by sched-order-graph); the part of the tokens that
// it works on, 0 if absent (set by sched-pipeline-parts).
class Sched_Command<string mnemonic, dag extraArguments> : Sched_Op<mnemonic> {
  let arguments = !con((ins FlatSymbolRefAttr:$lane), extraArguments,
                       (ins UnitAttr:$barrier, OptionalAttr<DenseI32ArrayAttr>:$after, OptionalAttr<I64Attr>:$part));
  let hasVerifier = 1;
}

def Sched_DispatchOp : Sched_Command<"dispatch",
    (ins FlatSymbolRefAttr:$kernel, Variadic<Sched_BufferType>:$operands_, DenseI32ArrayAttr:$writes, I64Attr:$units,
         I64Attr:$units_per_token, StrAttr:$path, I64Attr:$bytes_read,
         OptionalAttr<DenseI64ArrayAttr>:$streams, OptionalAttr<DenseI64ArrayAttr>:$expert_bytes,
         OptionalAttr<DenseI64ArrayAttr>:$hint, UnitAttr:$shadow,
         OptionalAttr<I64Attr>:$grain)> {
  let summary = "Run a kernel on a lane";
  let description = [{
    `writes` lists the operands that the kernel writes (it may also read them); all others are read. The work is units +
    units_per_token · tokens units, split evenly over the lane's threads. `bytes_read` counts the weight bytes read in the
    typical case, for the cost model and reports.

    `streams` says which weights a thread will read first, so that it can prefetch them while it waits: two numbers per weight
    operand, the operand and its bytes per unit (unit u begins at u times that).

    `hint` says where it finds out which experts will probably be needed: four numbers, the operand with the hint, how many expert ids
    (int32) it holds, the number of experts, and the operand with the lists of the experts that were chosen in the end. `expert_bytes` then gives, for
    every stream, the bytes from one expert to the next. A hint is a range of a persistent arena, or a part of the lists themselves for a command before which
    threads meet when they are known. As an operand it counts as neither read nor written: another lane may write it at any time, and nothing
    depends on what it holds.

    `shadow` is said of work of a GPU that nobody waits for: it begins when what was signalled before it is done.

    `grain` is the smallest number of units that are worth a call of their own, for threads of a CPU that take units over from each
    other. Without it a call of a few of many units may cost as much as one of all.

    Example: `sched.dispatch @k3 on @cpu.team (%x, %w, %y) writes [2] units 0 per_token 1 {path = "model.norm", bytes_read = 1024 : i64}`
  }];
  let assemblyFormat = [{
    $kernel `on` $lane `(` $operands_ `)` `writes` $writes `units` $units `per_token` $units_per_token
    (`barrier` $barrier^)? attr-dict
  }];
}

def Sched_CopyOp : Sched_Command<"copy",
    (ins Sched_BufferType:$source, Sched_BufferType:$destination, I64Attr:$bytes, I64Attr:$bytes_per_token)> {
  let summary = "Copy bytes + bytes_per_token · tokens bytes";
  let description = [{
    Example: `sched.copy %a to %b on @cpu.team bytes 0 per_token 1024`
  }];
  let assemblyFormat = [{
    $source `to` $destination `on` $lane `bytes` $bytes `per_token` $bytes_per_token (`barrier` $barrier^)? attr-dict
  }];
}

def Sched_FillOp : Sched_Command<"fill",
    (ins Sched_BufferType:$destination, I64Attr:$bytes, I64Attr:$bytes_per_token, I64Attr:$value)> {
  let summary = "Set bytes + bytes_per_token · tokens bytes to a value";
  let description = [{
    Example: `sched.fill %y with 0 on @cpu.team bytes 1024 per_token 0`
  }];
  let assemblyFormat = [{
    $destination `with` $value `on` $lane `bytes` $bytes `per_token` $bytes_per_token (`barrier` $barrier^)? attr-dict
  }];
}

def Sched_SignalOp : Sched_Command<"signal", (ins I64Attr:$signal)> {
  let summary = "Raise a signal after all earlier commands of the lane";
  let description = [{
    Example: `sched.signal 0 on @cpu.team`
  }];
  let assemblyFormat = "$signal `on` $lane (`barrier` $barrier^)? attr-dict";
}

def Sched_WaitOp : Sched_Command<"wait", (ins I64Attr:$signal)> {
  let summary = "Hold the lane until a signal is raised";
  let description = [{
    Example: `sched.wait 0 on @gpu.stream`
  }];
  let assemblyFormat = "$signal `on` $lane (`barrier` $barrier^)? attr-dict";
}

#endif
