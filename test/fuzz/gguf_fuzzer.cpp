// libFuzzer entry over the GGUF reader: any bytes end in a model or in an error.
#include "compiler/gguf-to-model/inspect.h"
#include "compiler/gguf-to-model/reader.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  kt::Result<ktc::GgufModel> model = ktc::GgufModel::parse("fuzz.gguf", {data, size});
  if (model) {
    ktc::inspectText(*model);
    ktc::inspectJson(*model);
  }
  return 0;
}
