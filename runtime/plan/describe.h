// What a command is, in words, for profiles and pictures.
#pragma once

#include "plan_generated.h"

namespace ktrt::plan {

struct CommandText {
  const char *kind;                                  // "dispatch", "copy", "fill", "signal", "wait"
  const char *family = "", *kernel = "", *path = ""; // of a dispatch: kernel family, kernel, module path
  uint64_t bytesRead = 0;                            // of a dispatch, as the compiler predicts
};

// The texts belong to the plan, which is verified.
CommandText describeCommand(const Plan &plan, const Command &command);

} // namespace ktrt::plan
