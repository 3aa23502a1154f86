// The text form of a plan: what `ktrt dump` prints. One fact or command per line, stable, so that tests can
// match it.
#pragma once

#include "runtime/plan/reader.h"

#include <string>

namespace ktrt::plan {

// Text of the whole plan, ending in a newline. Addresses are printed as "arena[1]+0x40" and "weight[7]+0x0".
std::string dumpPlan(const PlanFile &file);

} // namespace ktrt::plan
