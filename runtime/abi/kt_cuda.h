/* The contract between generated GPU kernels and whoever launches them.
 *
 * Standalone, without includes, so that NVRTC reads it as it is: kernels (templates/cuda) and the runtime share
 * this one definition. Part of what KT_ABI_VERSION counts.
 *
 * A GPU kernel is `extern "C" __global__ void kernel(const __grid_constant__ KtCudaArgs args)`, one per cubin,
 * with a fixed grid (plan.fbs, KernelVariant). Kernels of dynamic entries have the grid of the full capacity;
 * blocks that find no work in step->nTokens end at once. So every entry is one CUDA graph with nothing to
 * patch.
 */
#ifndef KT_CUDA_H
#define KT_CUDA_H

#define KT_CUDA_MAX_OPERANDS 16

/* KtStep (kt_abi.h) as kernels see it. */
typedef struct KtCudaStep {
  unsigned int nTokens;
  unsigned int nPast;
  unsigned int rowOffset;
  unsigned int replay; /* number of this replay, never 0: what signal words hold once they are raised */
} KtCudaStep;

/* What a kernel receives, in constant memory. Addresses are of device memory unless said otherwise. */
typedef struct KtCudaArgs {
  void *operands[KT_CUDA_MAX_OPERANDS]; /* resolved addresses; order per family, absent operands are NULL;
                                           arenas that are `mapped` lie in pinned host memory */
  const KtCudaStep *step;               /* device memory, written before the first kernel of a replay */
  /* Hand-over with other lanes: words in mapped pinned host memory, each on a cache line of its own. */
  const unsigned int *waitFlag; /* or NULL: no block starts before *waitFlag == step->replay */
  unsigned int *raiseFlag;      /* or NULL: set to step->replay when all blocks are done */
  unsigned int *arrivals;       /* 0 before and after: counts blocks, for raiseFlag */
  unsigned int *error; /* mapped host word: 0, or 1 + the signal that did not come in time. Once it is set
                          nobody waits any more: the graph runs to its end with meaningless values */
  unsigned long long timeout; /* nanoseconds to wait for waitFlag */
  unsigned long long *trace; /* or NULL: [0] first start, [1] last end of any block, %globaltimer nanoseconds */
  unsigned int waitSignal;   /* number of the signal behind waitFlag, for `error` */
  unsigned int reserved;
} KtCudaArgs;

#endif
