// attention_gqa and attention_mla: their parameters as shapes of the attention generators.
#include "templates/specs.h"
#include "templates/x64/attention/attention.h"

namespace ktc::x64 {

static Kernel generateAttention(const AttentionShape &shape, bool dynamic, const Target &target) {
  return dynamic ? generatePrefillAttention(shape, target) : generateDecodeAttention(shape, target);
}

static Kernel generateGqa(const Params &params, const Target &target) {
  AttentionGqaSpec spec = readAttentionGqa(params);
  needGpu("y_type", spec.bfloatY);
  needGpu("merge", spec.merge);
  needGpu("split_positions", spec.splitPositions != defaultSplitPositions);
  AttentionShape shape;
  shape.heads = spec.heads;
  shape.headsPerKv = spec.heads / spec.kvHeads;
  shape.query = {{0, spec.headDim, spec.qStride, spec.headDim, 0}};
  shape.keys = {1, spec.kvHeads * spec.headDim, spec.headDim};
  shape.values = {2, spec.kvHeads * spec.vDim, spec.vDim};
  shape.valueLength = spec.vDim;
  shape.resultStride = spec.yStride;
  shape.window = spec.window;
  shape.sinks = spec.sinks;
  shape.scale = spec.scale;
  shape.type = spec.type;
  shape.splits = spec.splits;
  return generateAttention(shape, spec.dynamic, target);
}

// All heads share one cache row: the latent part is key and value, the rotary part key only.
static Kernel generateMla(const Params &params, const Target &target) {
  AttentionMlaSpec spec = readAttentionMla(params);
  needGpu("y_type", spec.bfloatY);
  needGpu("q_type", spec.bfloatQ);
  needGpu("merge", spec.merge);
  needGpu("split_positions", spec.splitPositions != defaultSplitPositions);
  AttentionShape shape;
  shape.heads = spec.heads;
  shape.headsPerKv = spec.heads;
  shape.query = {{0, spec.latent, spec.heads * spec.latent, spec.latent, 0},
                 {1, spec.rope, spec.qStride, spec.qRowStride, spec.latent}};
  shape.keys = {2, spec.latent + spec.rope, 0};
  shape.values = shape.keys;
  shape.valueLength = spec.latent;
  shape.resultStride = spec.heads * spec.latent;
  shape.scale = spec.scale;
  shape.type = spec.type;
  shape.splits = spec.splits;
  return generateAttention(shape, spec.dynamic, target);
}

const Family attentionGqaFamily = {"attention_gqa", generateGqa};
const Family attentionMlaFamily = {"attention_mla", generateMla};

} // namespace ktc::x64
