// Placement policies: the rules that say which module runs on which device.
//
// A rules file has one of two spellings (README.md beside this file): the native one, a map with `version`, and
// KTransformers' list of match/replace rules. Both become the same Policy. Parsing needs no model; matching the
// rules against one is in match.h.
#pragma once

#include "compiler/policy/diagnostics.h"
#include "compiler/policy/regex.h"
#include "compiler/policy/units.h"
#include "runtime/abi/result.hpp"

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace ktc::policy {

// Devices for the two phases. `auto` is resolved by applyPolicy (match.h).
struct Target {
  std::string device;        // for decode
  std::string prefillDevice; // for prefill
  bool operator==(const Target &) const = default;
};

// One rule: all conditions that are given must hold.
struct Rule {
  SourceLocation where;

  std::optional<Regex> path;        // searched in the module path (`path`, KTransformers: `name`)
  std::vector<std::string> ops;     // names of model operations; empty: any
  std::vector<LayerRange> layers;   // empty: any; modules outside of layers never match a given range
  std::optional<Regex> weight;      // searched in the GGUF names of the module's weights
  std::vector<std::string> formats; // a weight of the module has one of these formats; empty: any
  std::string hfClass;              // last component of the Hugging Face class; empty: any (KTransformers only)

  Target target;
  bool recursive = true; // KTransformers: false places the whole subtree of a matching module with it
  bool shadowed = false; // an earlier rule takes everything, whatever the model (already diagnosed)
};

struct Budget {
  uint64_t bytes = 0;
  SourceLocation where;
};

enum class Spelling { Native, KTransformers, BuiltIn };

struct Policy {
  std::string name; // file as given, or the name of the built-in policy
  Spelling spelling = Spelling::Native;
  std::map<std::string, Budget> budgets; // by canonical device name
  std::vector<Rule> rules;               // first match wins
  Target fallback{"cpu", "cpu"};         // of modules that no rule matches
  SourceLocation fallbackWhere;          // of `default:`, or the file as a whole
};

// Operations of the model dialect that rules may name, and the groups that stand for several of them
// (`attention` = gqa_attention and mla_attention, `norm` = rms_norm).
std::span<const std::string_view> knownOps();

// Parses the text of a rules file in either spelling. Everything found is added to `diagnostics`, which uses
// `file` as given. Fails, with the first error as message, if there is any error.
kt::Result<Policy> parsePolicy(std::string_view text, const std::string &file, Diagnostics &diagnostics);

// The built-in policies `auto` (fills GPUs with what every token needs, routed experts and embedding on the
// CPU; everything on the CPU if there is no GPU) and `cpu`; nullopt for any other name.
std::optional<Policy> builtinPolicy(std::string_view name);

// What `--rules X` means: a built-in policy by name, else the file X. Fails if the file cannot be read or
// parsed.
kt::Result<Policy> loadPolicy(const std::string &nameOrFile, Diagnostics &diagnostics);

// Sets the budget of a device from the command line (`--gpu-mem`), which wins over the file. `option` names the
// option in later diagnostics.
void overrideBudget(Policy &policy, const std::string &device, uint64_t bytes, const std::string &option);

} // namespace ktc::policy
