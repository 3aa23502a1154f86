//===- Passes.td - placed model to schedule -------------------------------------------------------------------===//
#ifndef KT_PLACED_TO_SCHEDULE_PASSES
#define KT_PLACED_TO_SCHEDULE_PASSES

include "mlir/Pass/PassBase.td"

def SchedLowerEntries : Pass<"sched-lower-entries", "::mlir::ModuleOp"> {
  let summary = "Lower the placed model to one schedule entry per shape";
  let description = [{
    Makes `decode_<m>` for every m of `decode`, `prefill` for chunks of up to `chunk` tokens, and `head` for up to `head-rows` rows of
    hidden states. `prefill` is written for one of its `parts`, which need to divide the chunk. Every model operation becomes dispatches of kernels; activations become buffers; the KV cache of every layer and
    the inputs and outputs become fixed ranges of persistent arenas. The functions of the model stage are erased.
  }];
  let options = [
    ListOption<"decodeSizes", "decode", "int64_t", "Token counts of the decode entries (default 1,2,4,8,16)">,
    Option<"chunk", "chunk", "int64_t", "0", "Largest prefill chunk in tokens; 0: parts of 2048">,
    Option<"parts", "parts", "int64_t", "0", "Parts of a chunk; 0: two of at least 2048 tokens if a CPU and a GPU take turns, else one">,
    Option<"headRows", "head-rows", "int64_t", "16", "Largest number of rows of the head entry">,
    Option<"context", "context", "int64_t", "4096", "Positions of the KV cache">,
    Option<"kvType", "kv-type", "std::string", "\"bf16\"", "Element type of the KV cache: bf16, f16, f32 or q8_0">,
    Option<"prefetch", "prefetch", "bool", "true", "Let matrix kernels prefetch the weights that a thread reads next">,
  ];
  let dependentDialects = ["::ktc::sched::SchedDialect"];
}

def SchedFuseNormQuantize : Pass<"sched-fuse-norm-quantize", "::mlir::ModuleOp"> {
  let summary = "Let rms_norm write the q8 or q8k rows that a quantize dispatch would make of its result";
  let description = [{
    Saves a pass over the row and a barrier. The float32 result is dropped when nothing else reads it.
  }];
  let dependentDialects = ["::ktc::sched::SchedDialect"];
}

def SchedFuseQuantizeDown : Pass<"sched-fuse-quantize-down", "::mlir::ModuleOp"> {
  let summary = "Let down quantise the few rows of a decode entry itself instead of reading those of a quantize dispatch";
  let description = [{
    Saves a barrier: between `gate_up` and `down` of routed experts one is left. Every thread then quantises all rows of the entry, so
    that is done only in entries for an exact number of tokens, for dense rows of at most 16384 elements together that nothing else
    reads in their quantised form.
  }];
  let dependentDialects = ["::ktc::sched::SchedDialect"];
}

def SchedFuseResidual : Pass<"sched-fuse-residual", "::mlir::ModuleOp"> {
  let summary = "Let linear and down accumulate into the residual stream instead of adding afterwards";
  let description = [{
    `linear → t; add t → x` becomes `linear accumulate → x` when t has no other reader and nothing touches x in between.
  }];
  let dependentDialects = ["::ktc::sched::SchedDialect"];
}

def SchedFuseAddNorm : Pass<"sched-fuse-add-norm", "::mlir::ModuleOp"> {
  let summary = "Let rms_norm on a GPU make the sums of the residual stream that come before it";
  let description = [{
    `add a → x; add b → x; rms_norm x` becomes one kernel that adds, writes x back and norms it (`adds`). At most one of the two may
    have a gate. Nothing else may touch x in between. What a lane of the CPU has computed is so added right where its signal is
    awaited.
  }];
  let dependentDialects = ["::ktc::sched::SchedDialect"];
}

def SchedFuseNormProducts : Pass<"sched-fuse-norm-products", "::mlir::ModuleOp"> {
  let summary = "Let norms of a GPU multiply their rows with the weights of a router";
  let description = [{
    In entries for an exact number of tokens `rms_norm x → y; linear y, w → z` with float32 weights becomes `rms_norm x, w → y, z` with `products`:
    blocks that multiply find the factor of the norm themselves, so that nothing waits for the normed rows. If nobody else reads them they are
    not written. Nothing between may touch z.
  }];
  let dependentDialects = ["::ktc::sched::SchedDialect"];
}

def SchedFuseLinears : Pass<"sched-fuse-linears", "::mlir::ModuleOp"> {
  let summary = "Make one launch of the matrix products of a GPU that multiply the same activations";
  let description = [{
    In entries for an exact number of tokens `linear x, w0 → y0; linear x, w1 → y1` becomes `linear_group x, w0, y0, bias0, w1, y1, bias1`
    of up to four products where the first of them was. Nothing between may write what the later ones read, or touch what they write.
    One launch fills the processors more evenly than several small ones. Products with float32 weights stay alone.
  }];
  let dependentDialects = ["::ktc::sched::SchedDialect"];
}

def SchedStageTransfers : Pass<"sched-stage-transfers", "::mlir::ModuleOp"> {
  let summary = "Move large rows between the memories of the host and of a GPU by kernels of their own";
  let description = [{
    In entries for many tokens, kernels that read or write mapped memory piece by piece use a fraction of the link. A buffer of
    rows that one lane of a GPU makes and the CPU reads, or the other way round, gets a second one in the GPU's memory that its kernels
    use, and a `copy_rows` after the last write of the GPU or before its first read. Buffers below `least-bytes`, those that several GPUs
    use or both sides write, those that the GPU only copies, and those without rows of 16-byte words stay as they are, and so do entries for an exact number of tokens:
    one more kernel costs those more than it saves.
  }];
  let options = [Option<"leastBytes", "least-bytes", "int64_t", "1048576", "Smallest buffer that gets a copy">];
  let dependentDialects = ["::ktc::sched::SchedDialect"];
}

def SchedPackRows : Pass<"sched-pack-rows", "::mlir::ModuleOp"> {
  let summary = "Pack activations for panels once, not in every thread that multiplies them";
  let description = [{
    In entries for any number of tokens, `linear x` and `down x` of quantised matrices on a CPU become `pack x → p` and `linear x, p`:
    of a prompt they read the packed rows, of a few tokens x as before. Readers of the same x share p. As its units then cost no
    more in a call of their own, the dispatch also gets a `grain`, so that threads take units over from each other.
  }];
  let dependentDialects = ["::ktc::sched::SchedDialect"];
}

def SchedPipelineParts : Pass<"sched-pipeline-parts", "::mlir::ModuleOp"> {
  let summary = "Write out the parts of a prefill chunk, so that lanes work on different ones at the same time";
  let description = [{
    An entry with `parts` has the commands of one part of its tokens. Each further part gets a copy with buffers of its own. Commands
    fall into stages, runs of commands on one lane, and the stages of all parts follow each other: while the CPU computes the experts
    of one part, the GPU has the attention of the other.
  }];
}

def SchedPlaceBuffers : Pass<"sched-place-buffers", "::mlir::ModuleOp"> {
  let summary = "Choose the arena of every buffer by the devices that use it";
  let description = [{
    A buffer of one device goes to the device's activation arena; one of several to the arena `mapped`: pinned host memory at the same
    address for all of them. Persistent host memory that a GPU accesses becomes mapped as a whole.
  }];
  let dependentDialects = ["::ktc::sched::SchedDialect"];
}

def SchedInsertSignals : Pass<"sched-insert-signals", "::mlir::ModuleOp"> {
  let summary = "Put lanes in order where they touch the same memory";
  let description = [{
    Every command that reads what another lane has written, or writes what one has read or written, follows that command: a signal
    is raised right after the one and awaited right before the other, unless earlier signals imply it (vector clocks).
  }];
  let dependentDialects = ["::ktc::sched::SchedDialect"];
}

def SchedInsertBarriers : Pass<"sched-insert-barriers", "::mlir::ModuleOp"> {
  let summary = "Mark the commands before which the threads of a lane must meet";
  let description = [{
    Lanes of a CPU only; sched-order-graph does it for a GPU.

    A command needs a barrier when it reads what an earlier command of the same lane has written since the last barrier, or
    writes what one has read or written. Everything else runs on without meeting. Neighbours of one unit of work each run on the same
    thread, in order, so they need none among themselves.
  }];
}

def SchedPlanPrefetch : Pass<"sched-plan-prefetch", "::mlir::ModuleOp"> {
  let summary = "Say which weights a thread can prefetch while it waits for the others";
  let description = [{
    In entries for an exact number of tokens the share of each thread of a matrix is known beforehand: `linear` and dense `gate_up` and
    `down` get `streams`. Experts are left to sched-hint-experts. Has no effect on results.
  }];
}

def SchedHintExperts : Pass<"sched-hint-experts", "::mlir::ModuleOp"> {
  let summary = "Let a GPU guess the experts of the next layer while the CPU computes those of this one"
                ", for prefetching";
  let description = [{
    In entries for one token, where a GPU chooses experts that the CPU computes in one layer and the next: behind the router of the one,
    the norm and router of the other are applied to the residual stream as it is then, in the shadow of the CPU's work. The ids that they choose go to the
    persistent arena `hints`, and `gate_up` gets `hint`, `streams` and `expert_bytes`, so that threads that wait for the GPU can
    prefetch; so does its `down`, by the lists of the experts that were chosen. Nobody waits for a hint, and it has no effect on results. Where the CPU reads less than `least-bytes` for gate and up, its work is
    too short to cast such a shadow, and the layer after it gets no hint.
  }];
  let options = [Option<"leastBytes", "least-bytes", "int64_t", "4 << 20", "Smallest work of the CPU to guess beside">];
}

def SchedSplitNodes : Pass<"sched-split-nodes", "::mlir::ModuleOp"> {
  let summary = "Say which weights can be split over memory nodes, and how";
  let description = [{
    On a machine with several memory nodes each thread should read weights from its own. Threads share the rows of `linear`, `gate_up`
    and `down` in order, so the symbol of such a weight gets `sched.split_bytes`: the bytes of one matrix (one expert), whose parts
    go to the nodes in order. Weights that are used in any other way, or in two ways that differ, stay whole. Does nothing for one node.
  }];
  let options = [Option<"nodes", "nodes", "int64_t", "1", "Memory nodes of the machine">];
}

def SchedPlanMemory : Pass<"sched-plan-memory", "::mlir::ModuleOp"> {
  let summary = "Give every temporary buffer a static offset in its arena";
  let description = [{
    A buffer lives from the barrier group of its first use to that of its last use. Buffers are placed largest first at the lowest
    offset that is free during their life. The arena's size is the maximum over all entries.

    On a GPU lane every command is a group of its own, and in entries for an exact number of tokens buffers share bytes only some
    commands apart, so that neighbours can run side by side. Buffers of several lanes share bytes when signals put all uses of the
    one before all uses of the other.
  }];
}

def SchedCheckMemory : Pass<"sched-check-memory", "::mlir::ModuleOp"> {
  let summary = "Check the memory plan by replaying every entry";
  let description = [{
    Independent of the planner: walks the commands, tracks which buffer last wrote every byte of an arena, and fails when a command
    reads bytes that are not (or no longer) its buffer's, when two buffers share bytes within a barrier group, or when a buffer
    leaves its arena. With several lanes it also fails when a command does not follow, by barriers, signals and waits, a command of
    another lane that it conflicts with.
  }];
}

def SchedOrderGraph : Pass<"sched-order-graph", "::mlir::ModuleOp"> {
  let summary = "Say which earlier commands of its lane each command of a GPU lane must follow";
  let description = [{
    Sets `after` from the byte ranges that commands read and write, without edges that follow from others. A signal and a wait follow
    everything before them; what touches mapped memory follows the last wait, and work in the shadow of other lanes the last
    signal. Comes after the memory plan.
  }];
}

#endif
