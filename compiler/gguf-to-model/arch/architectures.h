// The supported architectures: one function each, in a file of its own, over the shared blocks.
//
// To add one, write `arch/NAME.cpp` with a build function, declare it here and list it in
// supportedArchitectures.
#pragma once

#include "compiler/gguf-to-model/model_builder.h"

namespace ktc {

// Reads the hyperparameters and builds both functions. `begin` has been called; errors go to `model.keys`.
using BuildArchitecture = void (*)(ModelBuilder &model);

struct Architecture {
  const char *name; // value of general.architecture
  BuildArchitecture build;
};

void buildDeepSeek2(ModelBuilder &model);
void buildGlm4Moe(ModelBuilder &model);
void buildGptOss(ModelBuilder &model);
void buildLlama(ModelBuilder &model);
void buildQwen2Moe(ModelBuilder &model);
void buildQwen3Moe(ModelBuilder &model);

inline constexpr Architecture supportedArchitectures[] = {
    {"deepseek2", buildDeepSeek2}, {"glm4moe", buildGlm4Moe},   {"gpt-oss", buildGptOss},
    {"llama", buildLlama},         {"qwen2moe", buildQwen2Moe}, {"qwen3moe", buildQwen3Moe},
};

} // namespace ktc
