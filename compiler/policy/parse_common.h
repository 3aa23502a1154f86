// Helpers of the two policy parsers: typed access to YAML nodes with diagnostics. Private to this folder.
#pragma once

#include "compiler/policy/policy.h"
#include "compiler/policy/yaml_tree.h"

#include <span>

namespace ktc::policy {

// Adds an error for every key of `map` that is not in `known`, with the nearest known one. `what` names the
// map.
void checkKeys(const YamlNode &map, std::span<const std::string_view> known, std::string_view what,
               Diagnostics &diagnostics);

// The text of a scalar; an error and nullopt for anything else. `what` names the key.
std::optional<std::string> readText(const YamlNode &node, std::string_view what, Diagnostics &diagnostics);

// The texts of a scalar or of a list of scalars.
std::vector<const YamlNode *> readTextList(const YamlNode &node, std::string_view what,
                                           Diagnostics &diagnostics);

std::optional<Regex> readRegex(const YamlNode &node, std::string_view what, Diagnostics &diagnostics);
std::optional<std::string> readDevice(const YamlNode &node, std::string_view what, bool allowAuto,
                                      Diagnostics &diagnostics);

// The content of a text file (at most one byte more than parseYaml takes); an error and nullopt if it cannot be
// read. `what` says what the file should be.
std::optional<std::string> readFile(const std::string &file, std::string_view what, Diagnostics &diagnostics);

// Warns about rules that an earlier rule takes everything from, whatever the model, and marks them.
void markShadowedRules(Policy &policy, Diagnostics &diagnostics);

// The two spellings. They add errors to `diagnostics` and leave the policy incomplete in that case.
void parseNative(const YamlNode &root, Policy &policy, Diagnostics &diagnostics);
void parseKTransformers(const YamlNode &root, Policy &policy, Diagnostics &diagnostics);

} // namespace ktc::policy
