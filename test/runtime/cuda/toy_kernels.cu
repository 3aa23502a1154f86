// The kernels of the toy model (toy_plan.h) for a real GPU, one per compilation: KT_TOY_KERNEL names it.
#include "templates/cuda/kernels/base.cuh"

namespace toy {

struct store { // tokens, positions, cache
  static __device__ void run(const KtCudaArgs &args) {
    for (unsigned t = threadIdx.x; t < args.step->nTokens; t += blockDim.x)
      static_cast<float *>(args.operands[2])[static_cast<const int *>(args.operands[1])[t]] =
          static_cast<float>(static_cast<const int *>(args.operands[0])[t]);
  }
};

struct prefix { // positions, cache, bias, hidden
  static __device__ void run(const KtCudaArgs &args) {
    for (unsigned t = threadIdx.x; t < args.step->nTokens; t += blockDim.x) {
      float sum = *static_cast<const float *>(args.operands[2]);
      for (int p = 0; p <= static_cast<const int *>(args.operands[0])[t]; ++p)
        sum += static_cast<const float *>(args.operands[1])[p];
      static_cast<float *>(args.operands[3])[t] = sum;
    }
  }
};

struct logits { // hidden, logits
  static __device__ void run(const KtCudaArgs &args) {
    for (unsigned i = threadIdx.x; i < args.step->nTokens * 10; i += blockDim.x)
      static_cast<float *>(args.operands[1])[i] =
          static_cast<const float *>(args.operands[0])[args.step->rowOffset + i / 10] * static_cast<float>(i % 10);
  }
};

} // namespace toy

extern "C" __global__ void kernel(const __grid_constant__ KtCudaArgs args) {
#ifdef KT_TOY_SILENT // raises no signal
  kt::beginKernel(args);
  toy::KT_TOY_KERNEL::run(args);
#else
  kt::runKernel<toy::KT_TOY_KERNEL>(args);
#endif
}
