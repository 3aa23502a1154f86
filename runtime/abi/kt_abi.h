/* The contract between generated CPU kernels and whoever calls them.
 *
 * Standalone C header, included by the kernel templates (which read the offsets), the scalar references, the
 * compiler (which lays buffers out) and the runtime (which fills the structs). Any change of a layout here
 * raises KT_ABI_VERSION, which plans carry and the runtime compares.
 *
 * A kernel is a leaf function `void kernel(const KtKernelArgs *)`, System V AMD64 calling convention, position
 * independent. It may use the stack, must keep callee-saved registers, and executes `vzeroupper` before it
 * returns. It never allocates, locks, or touches memory outside its operands and its scratch.
 *
 * Work split: a dispatch has units + unitsPerToken * n_tokens units; thread t of T gets the half-open range
 * [total * t / T, total * (t + 1) / T). What a unit is, is defined per kernel family (templates/README.md).
 */
#ifndef KT_ABI_H
#define KT_ABI_H

#include "kt_types.h"

#define KT_ABI_VERSION 4u

/* Rows of a weight matrix in one work unit of the linear, gate_up and down families. */
#define KT_ROWS_PER_UNIT 4u

/* Units of a gate_up kernel with `by_cost`: shares of the whole work in the order of active experts and their
 * rows. An expert has ceil(n / KT_SHARE_ROWS) blocks of rows that cost KT_SHARE_BASE + its slots each, and a
 * block belongs to the share that its first bit of work falls into: block b of an expert before which P has
 * been spent begins at P + b * cost, and units [u, v) are the blocks that begin in [total * u / KT_SHARES,
 * total * v / KT_SHARES). */
#define KT_SHARES 65536u
#define KT_SHARE_ROWS 32u
#define KT_SHARE_BASE 64u

/* All buffers, rows of q8 and q8k activations and weight segments start at multiples of this many bytes.
 * Weights that stay in the original GGUF file are only aligned to the file's own alignment, and rows inside a
 * tensor to nothing at all: kernels use unaligned loads for weights. */
#define KT_BUFFER_ALIGNMENT 64u

/* Into how many parts the tokens of a replay can be cut, each with a step of its own (plan.fbs, Entry.parts).
 */
#define KT_MAX_PARTS 4

/* Run-time scalars of one replay of an entry point. Everything else is fixed in the plan. */
typedef struct KtStep {
  uint32_t nTokens;   /* tokens in this replay: the exact m of the entry, or 1..capacity for dynamic entries;
                         0 on a GPU for a part that has none, CPUs skip it */
  uint32_t nPast;     /* tokens in the KV cache before this replay */
  uint32_t rowOffset; /* first row of the hidden-state buffer that the `head` entry reads */
  uint32_t replay;    /* number of this replay, never 0; what signals hold once they are raised in it */
} KtStep;

/* What a kernel receives. Lives on the caller's stack for the duration of the call. */
typedef struct KtKernelArgs {
  void *const *operands; /* resolved addresses; order per family, absent operands are NULL */
  const KtStep *step;
  void *scratch; /* this thread's scratch, 64-byte aligned, at least the kernel's scratchBytes */
  uint32_t unitBegin;
  uint32_t unitEnd;
  uint32_t thread;
  uint32_t threadCount;
} KtKernelArgs;

typedef void (*KtKernelFn)(const KtKernelArgs *);

#ifdef __cplusplus
static_assert(sizeof(KtStep) == 16, "part of the kernel ABI");
static_assert(offsetof(KtKernelArgs, operands) == 0 && offsetof(KtKernelArgs, step) == 8 &&
                  offsetof(KtKernelArgs, scratch) == 16 && offsetof(KtKernelArgs, unitBegin) == 24 &&
                  offsetof(KtKernelArgs, unitEnd) == 28 && offsetof(KtKernelArgs, thread) == 32 &&
                  offsetof(KtKernelArgs, threadCount) == 36 && sizeof(KtKernelArgs) == 40,
              "part of the kernel ABI");
#endif

/* ---- q8 activation rows -------------------------------------------------------------------------------------
 * A float32 row of k elements (k a multiple of 32) quantised to 8 bits:
 *   int8  q[k]        per block of 32: q = round to nearest even (x * (127 / max|x|)), 0 for an all-zero block
 *   float d[k / 32]   block scales, max|x| / 127
 *   float s[k / 16]   d * (sum of q over 16 elements): the dequantised sum, for formats with offsets or minima
 * The three parts follow each other; a row is padded to KT_BUFFER_ALIGNMENT.
 */
static inline size_t ktQ8ScaleOffset(size_t k) { return k; }
static inline size_t ktQ8SumOffset(size_t k) { return k + k / 32 * 4; }
static inline size_t ktQ8RowBytes(size_t k) {
  return (k + k / 32 * 4 + k / 16 * 4 + KT_BUFFER_ALIGNMENT - 1) / KT_BUFFER_ALIGNMENT * KT_BUFFER_ALIGNMENT;
}

/* ---- q8k activation rows ------------------------------------------------------------------------------------
 * What the K-quants (blocks of 256 weights with integer sub-scales) are multiplied with: one scale per 256
 * elements, so that a block is summed in integers. k is a multiple of 256.
 *   int8  q[k]        per block of 256: q = round to nearest even (x * (127 / max|x|)), 0 for an all-zero block
 *   int16 s[k / 16]   sum of q over 16 elements
 *   float d[k / 256]  block scales, max|x| / 127
 * The three parts follow each other; a row is padded to KT_BUFFER_ALIGNMENT.
 */
static inline size_t ktQ8kSumOffset(size_t k) { return k; }
static inline size_t ktQ8kScaleOffset(size_t k) { return k + k / 16 * 2; }
static inline size_t ktQ8kRowBytes(size_t k) {
  return (k + k / 16 * 2 + k / 256 * 4 + KT_BUFFER_ALIGNMENT - 1) / KT_BUFFER_ALIGNMENT * KT_BUFFER_ALIGNMENT;
}

/* ---- expert lists
 * -------------------------------------------------------------------------------------------- Result of the
 * expert_group family: which experts are active and which (token, choice) slots each one serves. A slot is
 * token * topK + choice. int32 throughout, at these element offsets: [0] number of active experts, [1..15] zero
 *   ids   at 16:                       active expert ids, ascending
 *   start at 16 + E16:                 first position in `slots` of each active expert, plus one end entry
 *   slots at 16 + E16 + (E + 1)16:     slot numbers, grouped by active expert, ascending within a group
 * where n16 means n rounded up to a multiple of 16.
 */
static inline size_t ktRound16(size_t n) { return (n + 15) / 16 * 16; }
static inline size_t ktExpertListIds(void) { return 16; }
static inline size_t ktExpertListStart(size_t experts) { return 16 + ktRound16(experts); }
static inline size_t ktExpertListSlots(size_t experts) {
  return ktExpertListStart(experts) + ktRound16(experts + 1);
}
static inline size_t ktExpertListBytes(size_t experts, size_t slots) {
  return 4 * (ktExpertListSlots(experts) + ktRound16(slots));
}

#endif
