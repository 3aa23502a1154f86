// ktrt dump: the text form of a plan.
#include "runtime/tools/commands.h"
#include "runtime/tools/common.h"

namespace ktrt::tools {

int dumpCommand(int argc, char **argv) {
  Arguments arguments("ktrt dump", "Prints a plan as text.");
  std::string plan;
  arguments.positional("PLAN", plan, "plan file made by ktc compile");
  if (auto code = arguments.parse(argc, argv))
    return *code;
  KtrtStatus status = ktrtDumpPlan(plan.c_str(), printText, nullptr);
  return status == KTRT_OK ? kExitDone : reportFailure(status);
}

} // namespace ktrt::tools
