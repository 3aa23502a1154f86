// Steps of applyPolicy. Private to this folder.
#pragma once

#include "compiler/policy/match.h"

#include <set>

namespace ktc::policy {

// For every module the index of the rule that places it (-1: none), and for every rule what became of it.
struct RuleChoice {
  std::vector<int> ruleOfModule;
  std::vector<bool> matched;          // the rule matches something, looked at alone
  std::vector<bool> used;             // the rule places something
  std::vector<std::set<int>> takenBy; // earlier rules that took what it matches
};

// True if `rule` matches `module` by itself. Fails, after adding an error, when a regular expression exceeds
// its limits.
kt::Result<bool> matches(const Rule &rule, const ModuleRef &module, Diagnostics &diagnostics);

// Native semantics: each operation by itself, first match wins.
kt::Result<RuleChoice> chooseNative(const Policy &policy, std::span<const ModuleRef> modules,
                                    Diagnostics &diagnostics);

// KTransformers semantics: rules are searched for every module of the tree from the root; a rule with
// `recursive: False` places the whole subtree.
kt::Result<RuleChoice> chooseKTransformers(const Policy &policy, std::span<const ModuleRef> modules,
                                           Diagnostics &diagnostics);

// Replaces `auto` in placements: what is read most per byte goes to the GPUs first, in layer order, as far as
// the budgets reach; everything else to the CPU.
void resolveAuto(const Policy &policy, std::span<const ModuleRef> modules, const Machine &machine,
                 std::vector<Placement> &placements);

// Bytes that `auto` may put on `device`, or that a plan may use there: the policy's budget, else the device's
// memory (of a GPU, a tenth is left for buffers). 0: unknown.
uint64_t capacity(const Policy &policy, const Machine &machine, const std::string &device);

// Sums weights per device and compares with the budgets.
std::vector<DeviceUse> accountDevices(const Policy &policy, std::span<const ModuleRef> modules,
                                      const Machine &machine, const std::vector<Placement> &placements,
                                      Diagnostics &diagnostics);

} // namespace ktc::policy
