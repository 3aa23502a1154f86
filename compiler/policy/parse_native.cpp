// Parser of the native spelling: version, budget, rules, default.
#include "compiler/policy/parse_common.h"

#include "runtime/abi/kt_types.h"

#include <algorithm>

namespace ktc::policy {
namespace {

constexpr std::string_view kTopKeys[] = {"version", "description", "budget", "rules", "default"};
constexpr std::string_view kRuleKeys[] = {"match", "place"};
constexpr std::string_view kMatchKeys[] = {"path", "op", "layers", "weight", "format"};
constexpr std::string_view kPlaceKeys[] = {"device", "prefill_device"};
constexpr std::string_view kFormats[] = {
#define KT_NAME(suffix, id, name, elements, bytes) name,
    KT_FOR_EACH_TYPE(KT_NAME) KT_FOR_EACH_UNSUPPORTED_TYPE(KT_NAME)
#undef KT_NAME
};

class NativeParser {
public:
  NativeParser(Policy &policy, Diagnostics &diagnostics) : policy(policy), diagnostics(diagnostics) {}

  void parse(const YamlNode &root) {
    checkKeys(root, kTopKeys, "the policy", diagnostics);
    checkVersion(root);
    if (const YamlNode *budget = root.find("budget"))
      parseBudget(*budget);
    if (const YamlNode *fallback = root.find("default")) {
      policy.fallbackWhere = fallback->where;
      parseTarget(*fallback, "default", policy.fallback);
    }
    const YamlNode *rules = root.find("rules");
    if (!rules || rules->kind == YamlNode::Kind::Null)
      return;
    if (!rules->isSequence()) {
      diagnostics.error(rules->where, "'rules' needs a list of rules, but found " + rules->describe());
      return;
    }
    for (const YamlNodePtr &rule : rules->items)
      parseRule(*rule);
  }

private:
  void checkVersion(const YamlNode &root) {
    const YamlNode *version = root.find("version");
    if (!version)
      diagnostics.error(root.where, "'version: 1' is missing");
    else if (!version->isScalar() || version->scalar != "1")
      diagnostics.error(version->where, "'version' must be 1, but found " + version->describe());
  }

  void parseBudget(const YamlNode &budget) {
    if (!budget.isMap()) {
      diagnostics.error(budget.where,
                        "'budget' needs a map from devices to sizes, such as {cuda:0: 24GiB}, but found " +
                            budget.describe());
      return;
    }
    for (const auto &[key, value] : budget.entries) {
      std::optional<std::string> device = readDevice(*key, "budget", false, diagnostics);
      std::optional<std::string> text = readText(*value, "budget", diagnostics);
      if (!device || !text)
        continue;
      kt::Result<uint64_t> bytes = parseSize(*text);
      if (!bytes)
        diagnostics.error(value->where, bytes.error().message);
      else if (!policy.budgets.emplace(*device, Budget{*bytes, value->where}).second)
        diagnostics.error(key->where, "the budget of " + *device + " is already given in line " +
                                          std::to_string(policy.budgets[*device].where.line));
    }
  }

  // `device`, or a map with device and prefill_device.
  void parseTarget(const YamlNode &node, std::string_view what, Target &target) {
    const YamlNode *device = &node, *prefill = nullptr;
    if (node.isMap()) {
      checkKeys(node, kPlaceKeys, "'" + std::string(what) + "'", diagnostics);
      device = node.find("device");
      prefill = node.find("prefill_device");
      if (!device) {
        diagnostics.error(node.where, "'" + std::string(what) + "' needs a 'device'");
        return;
      }
    }
    if (std::optional<std::string> name = readDevice(*device, "device", true, diagnostics))
      target = {*name, *name};
    if (prefill)
      if (std::optional<std::string> name = readDevice(*prefill, "prefill_device", true, diagnostics))
        target.prefillDevice = *name;
  }

  void parseRule(const YamlNode &node) {
    if (!node.isMap()) {
      diagnostics.error(node.where, "a rule needs 'match' and 'place', but found " + node.describe());
      return;
    }
    checkKeys(node, kRuleKeys, "a rule", diagnostics);
    Rule rule;
    rule.where = node.where;
    if (const YamlNode *match = node.find("match"))
      parseMatch(*match, rule);
    else
      diagnostics.error(node.where, "the rule has no 'match'");
    if (const YamlNode *place = node.find("place"))
      parseTarget(*place, "place", rule.target);
    else
      diagnostics.error(node.where, "the rule has no 'place'");
    policy.rules.push_back(std::move(rule));
  }

  void parseMatch(const YamlNode &match, Rule &rule) {
    if (!match.isMap() || match.entries.empty()) {
      diagnostics.error(match.where,
                        "'match' needs at least one of path, op, layers, weight, format, but found " +
                            (match.isMap() ? std::string("an empty map") : match.describe()) +
                            "; 'default' places what no rule matches");
      return;
    }
    checkKeys(match, kMatchKeys, "'match'", diagnostics);
    if (const YamlNode *path = match.find("path"))
      rule.path = readRegex(*path, "path", diagnostics);
    if (const YamlNode *weight = match.find("weight"))
      rule.weight = readRegex(*weight, "weight", diagnostics);
    if (const YamlNode *op = match.find("op"))
      parseOps(*op, rule);
    if (const YamlNode *format = match.find("format"))
      for (const YamlNode *name : readTextList(*format, "format", diagnostics))
        if (isKnown(*name, kFormats, "format"))
          rule.formats.push_back(name->scalar);
    if (const YamlNode *layers = match.find("layers"))
      for (const YamlNode *text : readTextList(*layers, "layers", diagnostics)) {
        kt::Result<std::vector<LayerRange>> ranges = parseLayers(text->scalar);
        if (ranges)
          rule.layers.insert(rule.layers.end(), ranges->begin(), ranges->end());
        else
          diagnostics.error(text->where, ranges.error().message);
      }
  }

  void parseOps(const YamlNode &node, Rule &rule) {
    for (const YamlNode *name : readTextList(node, "op", diagnostics)) {
      if (!isKnown(*name, knownOps(), "op"))
        continue;
      if (name->scalar == "attention")
        rule.ops.insert(rule.ops.end(), {"gqa_attention", "mla_attention"});
      else
        rule.ops.push_back(name->scalar == "norm" ? "rms_norm" : name->scalar);
    }
  }

  bool isKnown(const YamlNode &name, std::span<const std::string_view> known, const char *what) {
    if (std::find(known.begin(), known.end(), name.scalar) != known.end())
      return true;
    diagnostics.error(name.where, std::string("unknown ") + what + " '" + name.scalar.substr(0, 60) + "'" +
                                      suggestion(name.scalar, known));
    return false;
  }

  Policy &policy;
  Diagnostics &diagnostics;
};

} // namespace

void parseNative(const YamlNode &root, Policy &policy, Diagnostics &diagnostics) {
  policy.spelling = Spelling::Native;
  NativeParser(policy, diagnostics).parse(root);
}

} // namespace ktc::policy
