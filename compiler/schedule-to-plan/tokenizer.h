// Tokenizer, chat template and sampling defaults of a GGUF model, as a plan stores them.
#pragma once

#include "compiler/gguf-to-model/metadata.h"
#include "plan_generated.h"
#include "runtime/abi/result.hpp"

#include <memory>
#include <string>

namespace ktc {

// The vocabulary under `tokenizer.ggml.*`; "no_vocab" if the file has none. Special ids outside the vocabulary
// count as absent, as the files' other readers do. `add_bos_token` and `add_eos_token` of the file win over the
// default of the tokenizer's family. Errors: a kind of tokenizer that the runtime does not know, arrays of
// wrong types, more tokens than the `vocab` columns of the logits.
kt::Result<std::unique_ptr<ktrt::plan::TokenizerT>> buildTokenizer(const GgufMetadata &metadata,
                                                                   uint32_t vocab);

// `tokenizer.chat_template`, or the empty string.
kt::Result<std::string> buildChatTemplate(const GgufMetadata &metadata);

// `general.sampling.*` where the file has it, else the defaults of the plan format. Errors: values that make no
// sense.
kt::Result<std::unique_ptr<ktrt::plan::SamplingT>> buildSampling(const GgufMetadata &metadata);

} // namespace ktc
