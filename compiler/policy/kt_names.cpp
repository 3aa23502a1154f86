// Tables of the names in KTransformers rule files.
#include "compiler/policy/kt_names.h"

namespace ktc::policy {
namespace {

using enum KtClassKind;

constexpr KtClass kClasses[] = {
    {"default", Default},
    // Matrices.
    {"KTransformersLinear", Linear},
    {"KTransformersLinearW8A8A2", Linear},
    {"KLinearTorch", Linear},
    {"KLinearMarlin", Linear},
    {"VLinearMarlin", Linear},
    {"KLinearFP8", Linear},
    {"KLinearQ8", Linear},
    {"KLinearCPUInfer", Linear},
    // Routed experts.
    {"KTransformersExperts", Experts},
    {"KTransformersExpertsV2", Experts},
    {"KTransformersExpertsW8A8", Experts},
    {"KSmallthinkerExperts", Experts},
    {"KGlm4Experts", Experts},
    // Blocks around the experts, and feed-forward blocks.
    {"KDeepseekV2MoE", Module},
    {"KDeepseekV3MoE", Module},
    {"KDeepseekV3MoEV2", Module},
    {"KDeepseekV3MoEW8A8", Module},
    {"KQwen2MoeSparseMoeBlock", Module},
    {"KQwen2MoeSparseMoeBlockV2", Module},
    {"KQwen3MoeSparseMoeBlock", Module},
    {"KQwen3MoeSparseMoeBlockV2", Module},
    {"KQwen3MoeSparseMoeBlockW8A8", Module},
    {"KQwen3NextSparseMoeBlockV2", Module},
    {"KMistralSparseMoEBlock", Module},
    {"KSmallthinkerMoeBlock", Module},
    {"KGlm4MoeMoE", Module},
    {"KQwen2MoeMLP", Module},
    {"kDeepseekV3MLP", Module},
    {"KSmallthinkerDenseMlpBlock", Module},
    {"KGlm4MoeMLP", Module},
    {"KDeepseekV3MLPW8A8A2V1", Module},
    {"KDeepseekV3MLPW8A8A2V2", Module},
    // Gates.
    {"KMoEGate", Module},
    {"KMoEGateQwen2Moe", Module},
    {"KMoEGateIPEXLLM", Module},
    {"KDeepseekV3GateA2", Module},
    // Attention.
    {"KDeepseekV2Attention", Module},
    {"KDeepseekV2AttentionW8A8A2", Module},
    {"KDeepseekV2AttentionW8A8A2Serve", Module},
    {"KLlamaAttention", Module},
    {"KQwen2MoeAttention", Module},
    {"KQwen3MoeAttention", Module},
    {"KQwen3MoeAttentionIPEXLLM", Module},
    {"KQwen3MoeAttentionW8A8A2Serve", Module},
    {"KQwen3NextAttention", Module},
    {"KQwen3NextGatedDeltaNet", Module},
    {"KSmallthinkerAttention", Module},
    {"KGlm4MoeAttention", Module},
    {"flashinfer_attn", Module},
    // Norms.
    {"RMSNorm", Module},
    {"KDeepseekRMSNormIPEXLLM", Module},
    {"KDeepseekV3RMSNormW8A8", Module},
    {"KQwen2MoeRMSNorm", Module},
    {"KQwen3MoeRMSNorm", Module},
    {"KQwen3MoeRMSNormW8A8", Module},
    {"KQwen3NextRMSNorm", Module},
    {"KSmallthinkerRMSNorm", Module},
    {"KGlm4MoeRMSNorm", Module},
    // Rope tables.
    {"RotaryEmbedding", Rope},
    {"RotaryEmbeddingV2", Rope},
    {"RotaryEmbeddingV3", Rope},
    {"RotaryEmbeddingV4", Rope},
    {"YarnRotaryEmbedding", Rope},
    {"YarnRotaryEmbeddingV3", Rope},
    {"DynamicNTKScalingRotaryEmbedding", Rope},
    {"KQwen3MoeRotaryEmbedding", Rope},
    {"KSmallthinkerRotaryEmbedding", Rope},
    {"KGlm4MoeRotaryEmbedding", Rope},
    // Networks.
    {"KDeepseekV2Model", Model},
    {"KQwen2MoeModel", Model},
    {"KQwen3MoeModel", Model},
    {"KLlamaModel", Model},
};

constexpr KtOp kOps[] = {
    {"KLinearTorch", KtOpDevice::Any},    {"KLinearMarlin", KtOpDevice::Gpu},
    {"VLinearMarlin", KtOpDevice::Gpu},   {"KLinearFP8", KtOpDevice::Gpu},
    {"KLinearQ8", KtOpDevice::Gpu},       {"KLinearCPUInfer", KtOpDevice::Cpu},
    {"KLinearIPEXLLM", KtOpDevice::Any},  {"KLinearTorchW8A8A2", KtOpDevice::Any},
    {"KExpertsCPU", KtOpDevice::Cpu},     {"KSFTExpertsCPU", KtOpDevice::Cpu},
    {"KExpertsCPUW8A8", KtOpDevice::Cpu}, {"KExpertsMarlin", KtOpDevice::Gpu},
    {"KExpertsTorch", KtOpDevice::Any},
};

constexpr std::string_view kKernelNote =
    "ktc generates the kernels for the device and the format of the weight";
constexpr std::string_view kQuantNote = "the weights keep the format that they have in the GGUF file";

constexpr KtArgument kArguments[] = {
    {"generate_device", ""},
    {"prefill_device", ""},
    {"generate_op", kKernelNote},
    {"prefill_op", kKernelNote},
    {"backend", "ktc picks the instruction set with --cpu"},
    {"out_device", "ktc plans the transfers itself"},
    {"transfer_map", "ktc plans the transfers itself"},
    {"device", "KTransformers ignores it too; it uses generate_device and prefill_device"},
    {"absorb_for_prefill", "ktc picks the form of MLA attention for each entry point"},
    {"per_layer_prefill_intput_threshold",
     "ktc chooses the sizes of prefill chunks; above 0 it makes prefill_device count"},
    {"num_bits", kQuantNote},
    {"group_size", kQuantNote},
    {"act_order", kQuantNote},
    {"is_k_full", kQuantNote},
    {"chunck_size", "ktc chooses the sizes of prefill chunks"},
    {"dump_enable", "use --dump-kernels or --emit to see what ktc does"},
    {"dump_dir", "use --dump-kernels or --emit to see what ktc does"},
};

constexpr std::string_view kModelClasses[] = {
    // torch
    "Linear",
    "Embedding",
    "ModuleList",
    "Module",
    // DeepSeek-V2 and V3
    "DeepseekV2ForCausalLM",
    "DeepseekV2Model",
    "DeepseekV2DecoderLayer",
    "DeepseekV2Attention",
    "DeepseekV2MoE",
    "DeepseekV2MLP",
    "DeepseekV2RMSNorm",
    "DeepseekV2RotaryEmbedding",
    "DeepseekV2YarnRotaryEmbedding",
    "DeepseekV3ForCausalLM",
    "DeepseekV3Model",
    "DeepseekV3DecoderLayer",
    "DeepseekV3Attention",
    "DeepseekV3MoE",
    "DeepseekV3MLP",
    "DeepseekV3RMSNorm",
    "DeepseekV3RotaryEmbedding",
    "DeepseekV3YarnRotaryEmbedding",
    "DeepseekV3TopkRouter",
    "MoEGate",
    // Qwen2-MoE and Qwen3-MoE
    "Qwen2MoeForCausalLM",
    "Qwen2MoeModel",
    "Qwen2MoeDecoderLayer",
    "Qwen2MoeAttention",
    "Qwen2MoeSparseMoeBlock",
    "Qwen2MoeMLP",
    "Qwen2MoeRMSNorm",
    "Qwen2MoeRotaryEmbedding",
    "Qwen3MoeForCausalLM",
    "Qwen3MoeModel",
    "Qwen3MoeDecoderLayer",
    "Qwen3MoeAttention",
    "Qwen3MoeSparseMoeBlock",
    "Qwen3MoeMLP",
    "Qwen3MoeRMSNorm",
    "Qwen3MoeRotaryEmbedding",
    // Llama and Mixtral
    "LlamaForCausalLM",
    "LlamaModel",
    "LlamaDecoderLayer",
    "LlamaAttention",
    "LlamaMLP",
    "LlamaRMSNorm",
    "LlamaRotaryEmbedding",
    "MixtralForCausalLM",
    "MixtralModel",
    "MixtralDecoderLayer",
    "MixtralAttention",
    "MixtralSparseMoeBlock",
    "MixtralBlockSparseTop2MLP",
    "MixtralRMSNorm",
    "MixtralRotaryEmbedding",
    // GLM-4.5 and gpt-oss
    "Glm4MoeForCausalLM",
    "Glm4MoeModel",
    "Glm4MoeDecoderLayer",
    "Glm4MoeAttention",
    "Glm4MoeMoE",
    "Glm4MoeMLP",
    "Glm4MoeTopkRouter",
    "Glm4MoeRMSNorm",
    "Glm4MoeRotaryEmbedding",
    "GptOssForCausalLM",
    "GptOssModel",
    "GptOssDecoderLayer",
    "GptOssAttention",
    "GptOssMLP",
    "GptOssExperts",
    "GptOssTopKRouter",
    "GptOssRMSNorm",
    "GptOssRotaryEmbedding",
    // Known to KTransformers, not supported here
    "SmallthinkerRotaryEmbedding",
    "SmallthinkerRMSNorm",
    "SmallthinkerMoeBlock",
    "SmallthinkerDenseMlpBlock",
    "SmallthinkerAttention",
    "Qwen3NextSparseMoeBlock",
    "Qwen3NextRotaryEmbedding",
    "Qwen3NextRMSNorm",
    "Qwen3NextMLP",
    "Qwen3NextGatedDeltaNet",
    "Qwen3NextAttention",
};

} // namespace

std::span<const KtClass> ktClasses() { return kClasses; }
std::span<const KtOp> ktOps() { return kOps; }
std::span<const KtArgument> ktArguments() { return kArguments; }
std::span<const std::string_view> ktModelClasses() { return kModelClasses; }

std::string_view lastComponent(std::string_view dotted) { return dotted.substr(dotted.rfind('.') + 1); }

} // namespace ktc::policy
