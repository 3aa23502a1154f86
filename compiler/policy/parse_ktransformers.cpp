// Parser of KTransformers' rule files: a list of match / replace / recursive.
//
// Their own loader checks nothing; here every name is checked against the tables of kt_names.h. Devices carry
// over; settings that have no meaning in a compiled plan are noted once per kind.
#include "compiler/policy/kt_names.h"
#include "compiler/policy/parse_common.h"

#include <algorithm>
#include <charconv>
#include <set>

namespace ktc::policy {
namespace {

constexpr std::string_view kRuleKeys[] = {"match", "replace", "recursive"};
constexpr std::string_view kMatchKeys[] = {"name", "class"};
constexpr std::string_view kReplaceKeys[] = {"class", "kwargs", "device"};
constexpr std::string_view kDevice = "cuda:0"; // their default for everything that no rule moves

template <typename Entry> std::vector<std::string_view> namesOf(std::span<const Entry> table) {
  std::vector<std::string_view> names;
  for (const Entry &entry : table)
    names.push_back(entry.name);
  return names;
}

template <typename Entry> const Entry *findName(std::span<const Entry> table, std::string_view name) {
  auto found = std::find_if(table.begin(), table.end(), [&](const Entry &entry) { return entry.name == name; });
  return found == table.end() ? nullptr : &*found;
}

class KtParser {
public:
  KtParser(Policy &policy, Diagnostics &diagnostics) : policy(policy), diagnostics(diagnostics) {}

  void parse(const YamlNode &root) {
    for (const YamlNodePtr &rule : root.items)
      parseRule(*rule);
    if (!layerwisePrefill)
      ignorePrefillDevices();
    // Modules that no rule matches stay on the first GPU, unless the file never speaks of one.
    if (usesGpu)
      policy.fallback = {std::string(kDevice), std::string(kDevice)};
  }

private:
  // KTransformers moves modules to their prefill device only while it prefills layer by layer, which the
  // threshold of the model rule switches on; otherwise prefill runs where decode does, whatever the rule says.
  void ignorePrefillDevices() {
    for (Rule &rule : policy.rules) {
      if (rule.target.device == rule.target.prefillDevice)
        continue;
      diagnostics.noteOnce("prefill device", rule.where,
                           "prefill runs on " + rule.target.device +
                               " like decode: a different prefill_device is "
                               "used only where 'per_layer_prefill_intput_threshold' is above 0");
      rule.target.prefillDevice = rule.target.device;
    }
  }

  // Like the shared readDevice, but a device that this compiler does not have is reported once per file.
  std::optional<std::string> device(const YamlNode &node, std::string_view what) {
    if (node.isScalar() && !parseDevice(node.scalar, false) && !unknownDevices.insert(node.scalar).second)
      return std::nullopt;
    return readDevice(node, what, false, diagnostics);
  }

  void parseRule(const YamlNode &node) {
    if (!node.isMap()) {
      diagnostics.error(node.where, "a rule needs 'match' and 'replace', but found " + node.describe());
      return;
    }
    checkKeys(node, kRuleKeys, "a rule", diagnostics);
    Rule rule;
    rule.where = node.where;
    if (const YamlNode *match = node.find("match"))
      parseMatch(*match, rule);
    else
      diagnostics.error(node.where, "the rule has no 'match'");
    if (const YamlNode *replace = node.find("replace"))
      parseReplace(*replace, rule);
    else
      diagnostics.error(node.where, "the rule has no 'replace'");
    if (const YamlNode *recursive = node.find("recursive")) {
      std::optional<bool> value = recursive->asBool();
      if (!value)
        diagnostics.error(recursive->where, "'recursive' needs True or False, but found " +
                                                recursive->describe() +
                                                (recursive->quoted ? " in quotes" : ""));
      rule.recursive = value.value_or(true);
    }
    policy.rules.push_back(std::move(rule));
  }

  void parseMatch(const YamlNode &match, Rule &rule) {
    const YamlNode *name = match.isMap() ? match.find("name") : nullptr;
    const YamlNode *type = match.isMap() ? match.find("class") : nullptr;
    if (!match.isMap()) {
      diagnostics.error(match.where, "'match' needs 'name', 'class' or both, but found " + match.describe());
      return;
    }
    checkKeys(match, kMatchKeys, "'match'", diagnostics);
    if (!name && !type)
      diagnostics.error(match.where, "'match' needs 'name', 'class' or both");
    if (name)
      rule.path = readRegex(*name, "name", diagnostics);
    if (!type)
      return;
    std::optional<std::string> text = readText(*type, "class", diagnostics);
    if (!text)
      return;
    rule.hfClass = lastComponent(*text);
    std::span<const std::string_view> known = ktModelClasses();
    if (std::find(known.begin(), known.end(), rule.hfClass) == known.end())
      diagnostics.warning(type->where, "no known model has modules of class '" + text->substr(0, 100) + "'" +
                                           suggestion(rule.hfClass, known));
  }

  void parseReplace(const YamlNode &replace, Rule &rule) {
    if (!replace.isMap()) {
      diagnostics.error(replace.where, "'replace' needs 'class' and 'kwargs', but found " + replace.describe());
      return;
    }
    checkKeys(replace, kReplaceKeys, "'replace'", diagnostics);
    KtClassKind kind = KtClassKind::Default;
    if (const YamlNode *type = replace.find("class"))
      if (std::optional<std::string> text = readText(*type, "class", diagnostics)) {
        if (const KtClass *known = findName(ktClasses(), lastComponent(*text)))
          kind = known->kind;
        else
          diagnostics.error(type->where, "unknown replacement class '" + text->substr(0, 100) + "'" +
                                             suggestion(lastComponent(*text), namesOf(ktClasses())));
      }
    if (kind == KtClassKind::Rope)
      diagnostics.noteOnce("rope", rule.where,
                           "rules for rotary embeddings have no effect: rope is part of attention");
    if (replace.find("device"))
      noteArgument("device", replace.find("device")->where);
    rule.target = {std::string(kind == KtClassKind::Experts ? "cpu" : kDevice), std::string(kDevice)};
    const YamlNode *kwargs = replace.find("kwargs");
    if (kwargs && kwargs->isMap())
      parseArguments(*kwargs, rule);
    else if (kwargs && kwargs->kind != YamlNode::Kind::Null)
      diagnostics.error(kwargs->where, "'kwargs' needs a map, but found " + kwargs->describe());
    // Rules for the whole model and for rope tables place nothing, so their default device says nothing.
    if (kind != KtClassKind::Model && kind != KtClassKind::Rope)
      usesGpu |= isGpu(rule.target.device) || isGpu(rule.target.prefillDevice);
  }

  void parseArguments(const YamlNode &kwargs, Rule &rule) {
    checkKeys(kwargs, namesOf(ktArguments()), "'kwargs'", diagnostics);
    const YamlNode *generate = kwargs.find("generate_device"), *prefill = kwargs.find("prefill_device");
    if (generate)
      rule.target.device = device(*generate, "generate_device").value_or("cpu");
    if (prefill)
      rule.target.prefillDevice = device(*prefill, "prefill_device").value_or("cpu");
    else if (generate)
      // A rule that moves decode alone: prefill follows, instead of going to a GPU that nobody named.
      rule.target.prefillDevice = rule.target.device;
    checkOp(kwargs, "generate_op", rule.target.device);
    checkOp(kwargs, "prefill_op", rule.target.prefillDevice);
    checkTypes(kwargs);
    for (const auto &[key, value] : kwargs.entries)
      noteArgument(key->scalar, key->where);
  }

  void checkOp(const YamlNode &kwargs, std::string_view key, const std::string &device) {
    const YamlNode *node = kwargs.find(key);
    if (!node || node->kind == YamlNode::Kind::Null || node->scalar == "None")
      return;
    std::optional<std::string> text = readText(*node, key, diagnostics);
    if (!text)
      return;
    const KtOp *op = findName(ktOps(), *text);
    if (!op)
      diagnostics.error(node->where, "unknown " + std::string(key) + " '" + text->substr(0, 60) + "'" +
                                         suggestion(*text, namesOf(ktOps())));
    else if ((op->device == KtOpDevice::Cpu && device != "cpu") ||
             (op->device == KtOpDevice::Gpu && device == "cpu"))
      diagnostics.warning(node->where, *text + " runs on " + (device == "cpu" ? "a GPU" : "the CPU") +
                                           " only, but the rule places the module on " + device + "; " +
                                           device + " is used");
  }

  // Arguments without an effect here still have to be what their authors meant them to be.
  void checkTypes(const YamlNode &kwargs) {
    if (const YamlNode *absorb = kwargs.find("absorb_for_prefill"); absorb && !absorb->asBool())
      diagnostics.error(absorb->where,
                        "'absorb_for_prefill' needs True or False, but found " + absorb->describe());
    if (const YamlNode *threshold = kwargs.find("per_layer_prefill_intput_threshold")) {
      const std::string &text = threshold->scalar;
      int64_t tokens = 0;
      auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), tokens);
      if (threshold->isScalar() && code == std::errc() && end == text.data() + text.size() && tokens >= 0)
        layerwisePrefill |= tokens > 0;
      else
        diagnostics.error(threshold->where,
                          "'per_layer_prefill_intput_threshold' needs a number of tokens, but found " +
                              threshold->describe());
    }
    if (const YamlNode *out = kwargs.find("out_device"))
      device(*out, "out_device");
    const YamlNode *transfers = kwargs.find("transfer_map");
    if (!transfers)
      return;
    if (!transfers->isMap()) {
      diagnostics.error(transfers->where, "'transfer_map' needs a map from layers to devices, but found " +
                                              transfers->describe());
      return;
    }
    for (const auto &[layer, target] : transfers->entries) {
      if (!parseLayers(layer->scalar))
        diagnostics.error(layer->where,
                          "'transfer_map' needs layer numbers as keys, but found " + layer->describe());
      device(*target, "transfer_map");
    }
  }

  void noteArgument(std::string_view name, const SourceLocation &where) {
    const KtArgument *argument = findName(ktArguments(), name);
    if (argument && !argument->note.empty())
      diagnostics.noteOnce("kwarg " + std::string(name), where,
                           "'" + std::string(name) + "' has no effect: " + std::string(argument->note));
  }

  Policy &policy;
  Diagnostics &diagnostics;
  bool layerwisePrefill = false;
  bool usesGpu = false;
  std::set<std::string> unknownDevices;
};

} // namespace

void parseKTransformers(const YamlNode &root, Policy &policy, Diagnostics &diagnostics) {
  policy.spelling = Spelling::KTransformers;
  KtParser(policy, diagnostics).parse(root);
}

} // namespace ktc::policy
