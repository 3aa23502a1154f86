// KTransformers' matching: rules act on the tree of Hugging Face modules, operations are leaves of it or
// fusions of some of its modules.
//
// Every path has one node. From the root down, the first rule that matches a node places it; unless the rule
// says `recursive: False`, its children are matched on their own. An operation takes the placement of its node.
// Where the model fuses modules (a feed-forward block is three matrices of Hugging Face), the operation takes
// the placement of the modules that hold its weights.
#include "compiler/policy/match_internal.h"

#include <algorithm>

namespace ktc::policy {
namespace {

struct Node {
  ModuleRef module; // path and classes
  bool visited = false;
  int rule = -1;       // the rule that places it
  bool closed = false; // a rule with `recursive: False` placed it or an ancestor
};

// Modules of Hugging Face that a fused operation stands for. `add` is no module there; it stands between the
// modules of a layer and goes where the layer's norm goes.
std::vector<std::string> partsOf(const std::string &op) {
  if (op == "ffn")
    return {"gate_proj", "up_proj", "down_proj", "w1", "w3", "w2"};
  if (op == "mla_attention" || op == "gqa_attention")
    return {"o_proj", "q_proj"};
  if (op == "add")
    return {"input_layernorm"};
  return {};
}

// True if the parts decide before the operation's own module: all weights of a feed-forward block are in its
// parts, while attention has a module of its own beside the projections.
bool partsDecide(const std::string &op) { return op == "ffn"; }

std::string parentPath(const std::string &path) {
  size_t dot = path.rfind('.');
  return dot == std::string::npos ? "" : path.substr(0, dot);
}

class TreeMatcher {
public:
  TreeMatcher(const Policy &policy, std::span<const ModuleRef> modules, Diagnostics &diagnostics)
      : policy(policy), modules(modules), diagnostics(diagnostics) {
    size_t rules = policy.rules.size();
    choice = {std::vector<int>(modules.size(), -1), std::vector<bool>(rules), std::vector<bool>(rules),
              std::vector<std::set<int>>(rules)};
    for (const ModuleRef &module : modules) {
      Node &node = nodeAt(module.path);
      addClasses(node, module.hfClasses);
      for (const std::string &part : partsOf(module.op)) {
        std::string path = module.path + "." + part;
        if (!nodes.contains(path))
          addClasses(nodeAt(path), module.op == "add" ? std::vector<std::string>{}
                                                      : std::vector<std::string>{"torch.nn.Linear"});
      }
    }
  }

  // Matches every node once, parents first, and then reads off the operations.
  kt::Result<RuleChoice> run() {
    for (auto &[path, node] : nodes) // sorted: a parent's path is a prefix of its children's
      if (kt::Status status = visit(node); !status)
        return status.error();
    for (size_t m = 0; m < modules.size(); ++m)
      choice.ruleOfModule[m] = ruleOf(modules[m]);
    return choice;
  }

private:
  Node &nodeAt(const std::string &path) {
    auto [it, isNew] = nodes.try_emplace(path);
    Node &node = it->second; // stays valid: map nodes do not move
    if (isNew) {
      node.module.path = path;
      if (!path.empty())
        nodeAt(parentPath(path));
    }
    return node;
  }

  static void addClasses(Node &node, const std::vector<std::string> &classes) {
    std::vector<std::string> &known = node.module.hfClasses;
    for (const std::string &name : classes)
      if (std::find(known.begin(), known.end(), name) == known.end())
        known.push_back(name);
  }

  kt::Status visit(Node &node) {
    if (node.visited)
      return {};
    node.visited = true;
    if (!node.module.path.empty()) {
      Node &parent = nodes.at(parentPath(node.module.path));
      if (kt::Status status = visit(parent); !status)
        return status;
      node.closed = parent.closed;
      node.rule = parent.closed ? parent.rule : -1;
    }
    for (size_t r = 0; r < policy.rules.size(); ++r) {
      if (node.rule >= 0 && choice.used[r])
        continue;
      kt::Result<bool> found = matches(policy.rules[r], node.module, diagnostics);
      if (!found)
        return found.error();
      if (!*found)
        continue;
      choice.matched[r] = true;
      if (node.rule >= 0) {
        if (node.rule != static_cast<int>(r))
          choice.takenBy[r].insert(node.rule);
        continue;
      }
      node.rule = static_cast<int>(r);
      node.closed = !policy.rules[r].recursive;
      choice.used[r] = true;
    }
    return {};
  }

  int ruleOf(const ModuleRef &module) const {
    const Node &node = nodes.at(module.path);
    if (node.rule >= 0 && !partsDecide(module.op))
      return node.rule;
    for (const std::string &part : partsOf(module.op))
      if (auto it = nodes.find(module.path + "." + part); it != nodes.end() && it->second.rule >= 0)
        return it->second.rule;
    return node.rule;
  }

  const Policy &policy;
  std::span<const ModuleRef> modules;
  Diagnostics &diagnostics;
  std::map<std::string, Node> nodes;
  RuleChoice choice;
};

} // namespace

kt::Result<RuleChoice> chooseKTransformers(const Policy &policy, std::span<const ModuleRef> modules,
                                           Diagnostics &diagnostics) {
  return TreeMatcher(policy, modules, diagnostics).run();
}

} // namespace ktc::policy
