// Entry points of policy parsing, built-in policies, and what both spellings share.
#include "compiler/policy/policy.h"

#include "compiler/policy/parse_common.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>

namespace ktc::policy {
namespace {

constexpr std::string_view kOps[] = {"embed", "rms_norm", "linear", "gqa_attention", "mla_attention", "router",
                                     "experts", "ffn", "add", "lm_head",
                                     // groups
                                     "attention", "norm"};

// True if whatever `later` matches is matched by `earlier` too, judged by the text of the conditions alone.
bool covers(const Rule &earlier, const Rule &later) {
  auto samePattern = [](const std::optional<Regex> &a, const std::optional<Regex> &b) {
    return !a || (b && a->pattern() == b->pattern()) || a->pattern().empty() || a->pattern() == ".*";
  };
  auto sameList = [](const std::vector<std::string> &a, const std::vector<std::string> &b) {
    return a.empty() || (!b.empty() && std::all_of(b.begin(), b.end(), [&](const std::string &name) {
             return std::find(a.begin(), a.end(), name) != a.end();
           }));
  };
  bool layers =
      earlier.layers.empty() || (!later.layers.empty() && containsLayers(earlier.layers, later.layers));
  return layers && samePattern(earlier.path, later.path) && samePattern(earlier.weight, later.weight) &&
         sameList(earlier.ops, later.ops) && sameList(earlier.formats, later.formats) &&
         (earlier.hfClass.empty() || earlier.hfClass == later.hfClass);
}

} // namespace

std::span<const std::string_view> knownOps() { return kOps; }

void checkKeys(const YamlNode &map, std::span<const std::string_view> known, std::string_view what,
               Diagnostics &diagnostics) {
  for (const auto &[key, value] : map.entries)
    if (std::find(known.begin(), known.end(), key->scalar) == known.end())
      diagnostics.error(key->where, "unknown key '" + key->scalar.substr(0, 60) + "' in " + std::string(what) +
                                        suggestion(key->scalar, known));
}

std::optional<std::string> readText(const YamlNode &node, std::string_view what, Diagnostics &diagnostics) {
  if (node.isScalar())
    return node.scalar;
  diagnostics.error(node.where, "'" + std::string(what) + "' needs a text, but found " + node.describe());
  return std::nullopt;
}

std::vector<const YamlNode *> readTextList(const YamlNode &node, std::string_view what,
                                           Diagnostics &diagnostics) {
  std::vector<const YamlNode *> texts;
  if (node.isScalar()) {
    texts.push_back(&node);
  } else if (node.isSequence() && !node.items.empty()) {
    for (const YamlNodePtr &item : node.items)
      if (readText(*item, what, diagnostics))
        texts.push_back(item.get());
  } else {
    diagnostics.error(node.where, "'" + std::string(what) + "' needs a text or a list of texts, but found " +
                                      node.describe());
  }
  return texts;
}

std::optional<Regex> readRegex(const YamlNode &node, std::string_view what, Diagnostics &diagnostics) {
  std::optional<std::string> text = readText(node, what, diagnostics);
  if (!text)
    return std::nullopt;
  kt::Result<Regex> regex = Regex::compile(*text);
  if (regex)
    return *regex;
  diagnostics.error(node.where, regex.error().message);
  return std::nullopt;
}

std::optional<std::string> readDevice(const YamlNode &node, std::string_view what, bool allowAuto,
                                      Diagnostics &diagnostics) {
  std::optional<std::string> text = readText(node, what, diagnostics);
  if (!text)
    return std::nullopt;
  kt::Result<std::string> device = parseDevice(*text, allowAuto);
  if (device)
    return *device;
  diagnostics.error(node.where, device.error().message);
  return std::nullopt;
}

std::optional<std::string> readFile(const std::string &file, std::string_view what, Diagnostics &diagnostics) {
  errno = 0;
  std::ifstream stream(file, std::ios::binary);
  std::string text(stream ? kMaxYamlBytes + 1 : 0, '\0');
  if (stream)
    stream.read(text.data(), static_cast<std::streamsize>(text.size()));
  // A read that stops short sets eof; a directory opens but sets bad.
  if (text.empty() || stream.bad()) {
    diagnostics.error({file, 0, 0}, "cannot read the file: " + std::string(std::strerror(errno ? errno : EIO)) +
                                        "; a " + std::string(what) + " is expected");
    return std::nullopt;
  }
  text.resize(static_cast<size_t>(stream.gcount()));
  return text;
}

void markShadowedRules(Policy &policy, Diagnostics &diagnostics) {
  for (size_t later = 1; later < policy.rules.size(); ++later)
    for (size_t earlier = 0; earlier < later; ++earlier) {
      if (!covers(policy.rules[earlier], policy.rules[later]))
        continue;
      policy.rules[later].shadowed = true;
      diagnostics.warning(policy.rules[later].where, "this rule is never used: the rule in line " +
                                                         std::to_string(policy.rules[earlier].where.line) +
                                                         " takes everything it matches");
      break;
    }
}

kt::Result<Policy> parsePolicy(std::string_view text, const std::string &file, Diagnostics &diagnostics) {
  size_t errorsBefore = diagnostics.count(Severity::Error);
  Policy policy;
  policy.name = file;
  policy.fallbackWhere = {file, 0, 0};
  if (YamlNodePtr root = parseYaml(text, file, diagnostics)) {
    if (root->isMap())
      parseNative(*root, policy, diagnostics);
    else if (root->isSequence())
      parseKTransformers(*root, policy, diagnostics);
    else
      diagnostics.error(root->where,
                        "a policy is a map with 'version: 1' and 'rules', or a list of KTransformers "
                        "rules, but found " +
                            root->describe());
    if (diagnostics.count(Severity::Error) == errorsBefore)
      markShadowedRules(policy, diagnostics);
  }
  if (diagnostics.count(Severity::Error) != errorsBefore)
    return kt::Error{diagnostics.firstError()};
  return policy;
}

std::optional<Policy> builtinPolicy(std::string_view name) {
  Policy policy;
  policy.name = name;
  policy.spelling = Spelling::BuiltIn;
  policy.fallbackWhere = {policy.name, 0, 0};
  if (name == "cpu")
    return policy;
  if (name != "auto")
    return std::nullopt;
  Rule onCpu;
  onCpu.where = policy.fallbackWhere;
  onCpu.ops = {"experts", "embed"};
  onCpu.target = {"cpu", "cpu"};
  policy.rules.push_back(onCpu);
  policy.fallback = {"auto", "auto"};
  return policy;
}

kt::Result<Policy> loadPolicy(const std::string &nameOrFile, Diagnostics &diagnostics) {
  if (std::optional<Policy> builtin = builtinPolicy(nameOrFile))
    return *builtin;
  std::optional<std::string> text = readFile(nameOrFile, "rules file, 'auto' or 'cpu'", diagnostics);
  if (!text)
    return kt::Error{diagnostics.firstError()};
  return parsePolicy(*text, nameOrFile, diagnostics);
}

void overrideBudget(Policy &policy, const std::string &device, uint64_t bytes, const std::string &option) {
  policy.budgets[device] = {bytes, {option, 0, 0}};
}

} // namespace ktc::policy
