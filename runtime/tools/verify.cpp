// ktrt verify: the full check of a plan and of the weight files it needs.
#include "runtime/tools/commands.h"
#include "runtime/tools/common.h"

#include <cstdio>

namespace ktrt::tools {

int verifyCommand(int argc, char **argv) {
  Arguments arguments("ktrt verify",
                      "Checks a plan completely: structure, hashes, and the weight files it refers to.");
  std::string plan;
  arguments.positional("PLAN", plan, "plan file made by ktc compile");
  if (auto code = arguments.parse(argc, argv))
    return *code;
  KtrtStatus status = ktrtVerifyPlan(plan.c_str());
  if (status != KTRT_OK)
    return reportFailure(status);
  std::printf("%s: ok\n", plan.c_str());
  return kExitDone;
}

} // namespace ktrt::tools
