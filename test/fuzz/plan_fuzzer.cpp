// libFuzzer entry over the program section of a plan: any bytes pass both verifiers or end in an error.
#include "runtime/plan/verifier.h"

#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  using namespace ktrt::plan;
  // Sections as a compiler writes them; the fuzzer supplies the contents of the first.
  static constexpr PlanSection sections[] = {{SectionKind::Program, 0, 4096, 4096, 0},
                                             {SectionKind::Code, 0, 8192, 4096, 0},
                                             {SectionKind::Constants, 0, 12288, 4096, 0},
                                             {SectionKind::Weights, 0, 16384, 4096, 0}};
  std::vector<uint64_t> aligned((size + 7) / 8);
  std::copy(data, data + size, reinterpret_cast<uint8_t *>(aligned.data()));
  const uint8_t *program = reinterpret_cast<const uint8_t *>(aligned.data());
  flatbuffers::Verifier verifier(program, size);
  if (VerifyPlanBuffer(verifier))
    (void)verifyPlan(*GetPlan(program), sections);
  return 0;
}
