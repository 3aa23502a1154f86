// Semantic checks of a plan: everything that the flatbuffer verifier cannot know.
//
// After it has passed, every index is in range, every byte range lies inside its file, section or arena, every
// string that the runtime reads is present, and each entry can be replayed without a lane waiting for ever.
#pragma once

#include "plan_generated.h"
#include "runtime/abi/result.hpp"
#include "runtime/plan/header.h"

#include <span>

namespace ktrt::plan {

// Checks `plan` (structurally valid: flatbuffers' verifier has passed) against the section table of its file.
// The error names the first offending place as `table[index]` with what was expected and found.
kt::Status verifyPlan(const Plan &plan, std::span<const PlanSection> sections);

} // namespace ktrt::plan
