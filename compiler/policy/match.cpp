// applyPolicy: from rules to placements, with the diagnostics that need the model.
#include "compiler/policy/match.h"

#include "compiler/policy/match_internal.h"

#include <algorithm>

namespace ktc::policy {
namespace {

// "line 12" or "lines 12, 15 and 2 more".
std::string lineList(const Policy &policy, const std::set<int> &rules) {
  std::string text = rules.size() == 1 ? "line " : "lines ";
  size_t shown = 0;
  for (int rule : rules) {
    if (shown == 3) {
      text += " and " + std::to_string(rules.size() - shown) + " more";
      break;
    }
    text += (shown++ ? ", " : "") + std::to_string(policy.rules[rule].where.line);
  }
  return text;
}

void reportUnusedRules(const Policy &policy, const RuleChoice &choice, Diagnostics &diagnostics) {
  if (policy.spelling == Spelling::BuiltIn)
    return;
  for (size_t i = 0; i < policy.rules.size(); ++i) {
    if (choice.used[i] || policy.rules[i].shadowed)
      continue;
    if (!choice.matched[i])
      diagnostics.warning(policy.rules[i].where, "this rule matches nothing in this model");
    else if (!choice.takenBy[i].empty())
      diagnostics.warning(policy.rules[i].where,
                          "this rule is never used: earlier rules take everything it matches (" +
                              lineList(policy, choice.takenBy[i]) + ")");
  }
}

Placement placementOf(const Policy &policy, int rule) {
  const Target &target = rule < 0 ? policy.fallback : policy.rules[rule].target;
  const SourceLocation &where = rule < 0 ? policy.fallbackWhere : policy.rules[rule].where;
  Placement placement{target.device, target.prefillDevice, rule, where.shortStr()};
  if (rule < 0 && policy.spelling != Spelling::BuiltIn && where.line == 0)
    placement.ruleLocation += " (default)";
  return placement;
}

void reportMissingDevices(const Policy &policy, std::span<const ModuleRef> modules, const Machine &machine,
                          const std::vector<Placement> &placements, Diagnostics &diagnostics) {
  std::set<std::string> reported;
  for (size_t m = 0; m < modules.size(); ++m) {
    const Placement &placement = placements[m];
    if (modules[m].op.empty())
      continue;
    for (const std::string &device : {placement.device, placement.prefillDevice})
      if (!machine.hasDevice(device) && reported.insert(device).second)
        diagnostics.warning(placement.rule < 0 ? policy.fallbackWhere : policy.rules[placement.rule].where,
                            "modules are placed on " + device +
                                ", which the machine description does not have");
  }
}

} // namespace

uint64_t ModuleRef::bytes() const {
  uint64_t sum = 0;
  for (const WeightRef &weight : weights)
    sum += weight.bytes;
  return sum;
}

std::string ModuleRef::formats() const {
  // Norm vectors and biases beside a quantised matrix would hide what matters.
  uint64_t largest = 0;
  for (const WeightRef &weight : weights)
    largest = std::max(largest, weight.bytes);
  std::vector<std::string> seen;
  for (const WeightRef &weight : weights)
    if ((weight.format != "f32" || weight.bytes >= largest / 16) &&
        std::find(seen.begin(), seen.end(), weight.format) == seen.end())
      seen.push_back(weight.format);
  std::string text;
  for (const std::string &format : seen)
    text += (text.empty() ? "" : "+") + format;
  return text;
}

std::string pathPattern(const ModuleRef &module) {
  if (module.layer < 0)
    return module.path;
  std::string number = "." + std::to_string(module.layer);
  for (size_t at = module.path.find(number); at != std::string::npos; at = module.path.find(number, at + 1)) {
    size_t end = at + number.size();
    if (end == module.path.size() || module.path[end] == '.')
      return module.path.substr(0, at + 1) + "{}" + module.path.substr(end);
  }
  return module.path;
}

kt::Result<bool> matches(const Rule &rule, const ModuleRef &module, Diagnostics &diagnostics) {
  auto search = [&](const Regex &regex, const std::string &text) {
    kt::Result<bool> found = regex.search(text);
    if (!found)
      diagnostics.error(rule.where, found.error().message);
    return found;
  };
  auto contains = [](const std::vector<std::string> &list, const std::string &name) {
    return std::find(list.begin(), list.end(), name) != list.end();
  };
  if (!rule.ops.empty() && !contains(rule.ops, module.op))
    return false;
  if (!rule.layers.empty() && (module.layer < 0 || !containsLayer(rule.layers, module.layer)))
    return false;
  if (!rule.formats.empty() &&
      std::none_of(module.weights.begin(), module.weights.end(),
                   [&](const WeightRef &w) { return contains(rule.formats, w.format); }))
    return false;
  if (!rule.hfClass.empty() &&
      std::none_of(module.hfClasses.begin(), module.hfClasses.end(), [&](const std::string &name) {
        return std::string_view(name).substr(name.rfind('.') + 1) == rule.hfClass;
      }))
    return false;
  if (rule.path) {
    kt::Result<bool> found = search(*rule.path, module.path);
    if (!found || !*found)
      return found;
  }
  if (!rule.weight)
    return true;
  for (const WeightRef &weight : module.weights) {
    kt::Result<bool> found = search(*rule.weight, weight.name);
    if (!found || *found)
      return found;
  }
  return false;
}

kt::Result<RuleChoice> chooseNative(const Policy &policy, std::span<const ModuleRef> modules,
                                    Diagnostics &diagnostics) {
  size_t ruleCount = policy.rules.size();
  RuleChoice choice{std::vector<int>(modules.size(), -1), std::vector<bool>(ruleCount),
                    std::vector<bool>(ruleCount), std::vector<std::set<int>>(ruleCount)};
  for (size_t m = 0; m < modules.size(); ++m) {
    if (modules[m].op.empty())
      continue;
    int &winner = choice.ruleOfModule[m];
    for (size_t r = 0; r < ruleCount; ++r) {
      // Later rules are only looked at until it is known what became of them.
      if (winner >= 0 && choice.used[r])
        continue;
      kt::Result<bool> found = matches(policy.rules[r], modules[m], diagnostics);
      if (!found)
        return found.error();
      if (!*found)
        continue;
      choice.matched[r] = true;
      if (winner < 0) {
        winner = static_cast<int>(r);
        choice.used[r] = true;
      } else {
        choice.takenBy[r].insert(winner);
      }
    }
  }
  return choice;
}

kt::Result<PlacementTable> applyPolicy(const Policy &policy, std::span<const ModuleRef> modules,
                                       const Machine &machine, Diagnostics &diagnostics) {
  auto choose = policy.spelling == Spelling::KTransformers ? chooseKTransformers : chooseNative;
  kt::Result<RuleChoice> choice = choose(policy, modules, diagnostics);
  if (!choice)
    return kt::Error{diagnostics.firstError()};
  reportUnusedRules(policy, *choice, diagnostics);

  PlacementTable table;
  for (int rule : choice->ruleOfModule)
    table.placements.push_back(placementOf(policy, rule));
  resolveAuto(policy, modules, machine, table.placements);
  reportMissingDevices(policy, modules, machine, table.placements, diagnostics);

  size_t errorsBefore = diagnostics.count(Severity::Error);
  table.devices = accountDevices(policy, modules, machine, table.placements, diagnostics);
  if (diagnostics.count(Severity::Error) != errorsBefore)
    return kt::Error{diagnostics.all().back().str()};
  return table;
}

} // namespace ktc::policy
