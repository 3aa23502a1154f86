// `ktc check-rules` as a function: parse a policy, optionally match it against a model, say what was found.
#pragma once

#include "compiler/policy/match.h"

#include <string>

namespace ktc::policy {

struct CheckRulesResult {
  int exitCode = 0;     // 0: usable (warnings allowed), 1: errors
  std::string output;   // for stdout: a one-line summary when the policy is usable
  std::string messages; // for stderr: one diagnostic per line
};

// Parses the rules file (or built-in policy) `nameOrFile`.
CheckRulesResult checkRules(const std::string &nameOrFile);

// Parses it and matches it against a model: also finds rules that match nothing, shadowed rules and exceeded
// budgets.
CheckRulesResult checkRules(const std::string &nameOrFile, std::span<const ModuleRef> modules,
                            const Machine &machine);

} // namespace ktc::policy
