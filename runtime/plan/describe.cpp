// See describe.h.
#include "runtime/plan/describe.h"

namespace ktrt::plan {

CommandText describeCommand(const Plan &plan, const Command &command) {
  static constexpr const char *kinds[] = {"", "dispatch", "copy", "fill", "signal", "wait"};
  CommandText text{kinds[unsigned(command.body_type())]};
  const Dispatch *dispatch = command.body_as_Dispatch();
  if (!dispatch)
    return text;
  auto textOf = [](const flatbuffers::String *string) { return string ? string->c_str() : ""; };
  const Kernel &kernel = *plan.kernels()->Get(dispatch->kernel());
  text.kernel = textOf(kernel.name());
  text.family = textOf(kernel.family());
  text.path = textOf(dispatch->path());
  text.bytesRead = dispatch->bytes_read();
  return text;
}

} // namespace ktrt::plan
