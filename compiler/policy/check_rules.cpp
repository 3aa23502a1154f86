// `ktc check-rules` without its command line.
#include "compiler/policy/check_rules.h"

namespace ktc::policy {
namespace {

std::string counted(size_t count, const std::string &noun) {
  return std::to_string(count) + " " + noun + (count == 1 ? "" : "s");
}

CheckRulesResult check(const std::string &nameOrFile, const std::span<const ModuleRef> *modules,
                       const Machine *machine) {
  Diagnostics diagnostics;
  CheckRulesResult result;
  kt::Result<Policy> policy = loadPolicy(nameOrFile, diagnostics);
  bool usable = static_cast<bool>(policy);
  if (usable && modules)
    usable = static_cast<bool>(applyPolicy(*policy, *modules, *machine, diagnostics));
  result.messages = diagnostics.str();
  result.exitCode = usable ? 0 : 1;
  if (!usable)
    return result;
  const char *spelling = policy->spelling == Spelling::Native          ? "native"
                         : policy->spelling == Spelling::KTransformers ? "KTransformers"
                                                                       : "built-in";
  result.output = nameOrFile + ": " + counted(policy->rules.size(), "rule") + " (" + spelling + "), " +
                  counted(diagnostics.count(Severity::Warning), "warning") + "\n";
  return result;
}

} // namespace

CheckRulesResult checkRules(const std::string &nameOrFile) { return check(nameOrFile, nullptr, nullptr); }

CheckRulesResult checkRules(const std::string &nameOrFile, std::span<const ModuleRef> modules,
                            const Machine &machine) {
  return check(nameOrFile, &modules, &machine);
}

} // namespace ktc::policy
