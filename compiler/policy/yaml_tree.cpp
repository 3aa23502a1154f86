// Turns yaml-cpp parser events into YamlNodes, and enforces the limits while doing so.
#include "compiler/policy/yaml_tree.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <map>
#include <sstream>

namespace ktc::policy {

const YamlNode *YamlNode::find(std::string_view key) const {
  for (const auto &[name, value] : entries)
    if (name->scalar == key)
      return value.get();
  return nullptr;
}

std::string YamlNode::describe() const {
  switch (kind) {
  case Kind::Null:
    return "an empty value";
  case Kind::Sequence:
    return "a list";
  case Kind::Map:
    return "a map";
  case Kind::Scalar:
    break;
  }
  return "the text '" + (scalar.size() > 60 ? scalar.substr(0, 57) + "..." : scalar) + "'";
}

std::optional<bool> YamlNode::asBool() const {
  if (kind != Kind::Scalar || quoted)
    return std::nullopt;
  for (const char *word : {"true", "True", "TRUE", "yes", "Yes", "YES", "on", "On", "ON"})
    if (scalar == word)
      return true;
  for (const char *word : {"false", "False", "FALSE", "no", "No", "NO", "off", "Off", "OFF"})
    if (scalar == word)
      return false;
  return std::nullopt;
}

namespace {

// Leaves the parser from inside one of its callbacks; never leaves parseYaml.
struct Refused {
  SourceLocation where;
  std::string message;
};

// Receives the events of one document. Containers that are still open are a stack; finished nodes are attached
// to the container on top of it.
class TreeBuilder : public YAML::EventHandler {
public:
  TreeBuilder(std::string file, Diagnostics &diagnostics) : file(std::move(file)), diagnostics(diagnostics) {}

  YamlNodePtr root;

  void OnDocumentStart(const YAML::Mark &) override {}
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark &mark, YAML::anchor_t anchor) override {
    finish(make(YamlNode::Kind::Null, mark), anchor);
  }

  void OnScalar(const YAML::Mark &mark, const std::string &tag, YAML::anchor_t anchor,
                const std::string &value) override {
    auto node = make(YamlNode::Kind::Scalar, mark);
    node->scalar = value;
    node->quoted = tag == "!" || tag == "tag:yaml.org,2002:str";
    checkTag(tag, node->where);
    finish(std::move(node), anchor);
  }

  void OnAlias(const YAML::Mark &mark, YAML::anchor_t anchor) override {
    auto target = anchors.find(anchor);
    if (target == anchors.end() || !target->second)
      throw Refused{location(mark), "an alias refers to a node that contains it"};
    attach(target->second, location(mark));
  }

  void OnSequenceStart(const YAML::Mark &mark, const std::string &tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    open(YamlNode::Kind::Sequence, mark, tag, anchor);
  }
  void OnMapStart(const YAML::Mark &mark, const std::string &tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    open(YamlNode::Kind::Map, mark, tag, anchor);
  }
  void OnSequenceEnd() override { close(); }
  void OnMapEnd() override { close(); }

private:
  struct Open {
    std::shared_ptr<YamlNode> node;
    YAML::anchor_t anchor;
    YamlNodePtr pendingKey;
  };

  SourceLocation location(const YAML::Mark &mark) const { return {file, mark.line + 1, mark.column + 1}; }

  std::shared_ptr<YamlNode> make(YamlNode::Kind kind, const YAML::Mark &mark) {
    auto node = std::make_shared<YamlNode>();
    node->kind = kind;
    node->where = location(mark);
    return node;
  }

  void checkTag(const std::string &tag, const SourceLocation &where) {
    if (tag.empty() || tag == "?" || tag == "!")
      return;
    for (const char *core : {"str", "int", "float", "bool", "null", "seq", "map"})
      if (tag == std::string("tag:yaml.org,2002:") + core)
        return;
    throw Refused{where, "the tag '" + tag + "' has no meaning in a policy file"};
  }

  void open(YamlNode::Kind kind, const YAML::Mark &mark, const std::string &tag, YAML::anchor_t anchor) {
    auto node = make(kind, mark);
    checkTag(tag, node->where);
    if (stack.size() >= kMaxYamlDepth)
      throw Refused{node->where, "nested deeper than " + std::to_string(kMaxYamlDepth) + " levels"};
    if (anchor)
      anchors[anchor] = nullptr; // an alias before the node is closed would make a cycle
    stack.push_back({std::move(node), anchor, nullptr});
  }

  void close() {
    Open done = std::move(stack.back());
    stack.pop_back();
    if (done.node->isMap())
      applyMergeKeys(*done.node);
    finish(std::move(done.node), done.anchor);
  }

  void finish(std::shared_ptr<YamlNode> node, YAML::anchor_t anchor) {
    if (anchor)
      anchors[anchor] = node;
    SourceLocation where = node->where;
    attach(std::move(node), where);
  }

  void attach(YamlNodePtr node, const SourceLocation &where) {
    if (stack.empty()) {
      root = std::move(node);
      return;
    }
    Open &top = stack.back();
    // Sizes only grow towards the root, and each step is bounded here, so the sum cannot wrap.
    top.node->expandedNodes += node->expandedNodes;
    if (top.node->expandedNodes > kMaxYamlNodes)
      throw Refused{where, "the file expands to more than " + std::to_string(kMaxYamlNodes) + " nodes"};
    if (top.node->isSequence()) {
      top.node->items.push_back(std::move(node));
    } else if (!top.pendingKey) {
      if (node->kind != YamlNode::Kind::Scalar)
        throw Refused{where, "a key must be plain text, but found " + node->describe()};
      checkDuplicate(*top.node, *node, where);
      top.pendingKey = std::move(node);
    } else {
      top.node->entries.emplace_back(std::move(top.pendingKey), std::move(node));
      top.pendingKey = nullptr;
    }
  }

  void checkDuplicate(const YamlNode &map, const YamlNode &key, const SourceLocation &where) {
    for (const auto &[name, value] : map.entries)
      if (name->scalar == key.scalar && key.scalar != "<<") {
        diagnostics.error(where, "duplicate key '" + key.scalar + "'; it is already given in line " +
                                     std::to_string(name->where.line));
        return;
      }
  }

  // `<<: *base` and `<<: [*a, *b]`: keys of the named maps that are not given already.
  void applyMergeKeys(YamlNode &map) {
    std::vector<YamlNodePtr> sources;
    std::erase_if(map.entries, [&](const auto &entry) {
      if (entry.first->scalar != "<<" || entry.first->quoted)
        return false;
      if (entry.second->isSequence())
        sources.insert(sources.end(), entry.second->items.begin(), entry.second->items.end());
      else
        sources.push_back(entry.second);
      return true;
    });
    for (const YamlNodePtr &source : sources) {
      if (!source->isMap())
        throw Refused{source->where, "the merge key '<<' needs a map, but found " + source->describe()};
      for (const auto &entry : source->entries)
        if (!map.find(entry.first->scalar))
          map.entries.push_back(entry);
    }
  }

  std::string file;
  Diagnostics &diagnostics;
  std::vector<Open> stack;
  std::map<YAML::anchor_t, YamlNodePtr> anchors;
};

} // namespace

YamlNodePtr parseYaml(std::string_view text, const std::string &file, Diagnostics &diagnostics) {
  if (text.size() > kMaxYamlBytes) {
    diagnostics.error({file, 0, 0}, "the file has " + std::to_string(text.size()) + " bytes; at most " +
                                        std::to_string(kMaxYamlBytes) + " are read");
    return nullptr;
  }
  try {
    std::istringstream stream{std::string(text)};
    YAML::Parser parser(stream);
    TreeBuilder builder(file, diagnostics);
    if (!parser.HandleNextDocument(builder) || !builder.root) {
      auto empty = std::make_shared<YamlNode>();
      empty->where = {file, 1, 1};
      return empty;
    }
    YamlNodePtr root = builder.root;
    TreeBuilder second(file, diagnostics);
    if (parser.HandleNextDocument(second)) {
      diagnostics.error(second.root ? second.root->where : SourceLocation{file, 0, 0},
                        "a second YAML document follows; a policy file has one");
      return nullptr;
    }
    return root;
  } catch (const Refused &refused) {
    diagnostics.error(refused.where, refused.message);
  } catch (const YAML::Exception &exception) {
    SourceLocation where{file, 0, 0};
    if (!exception.mark.is_null())
      where = {file, exception.mark.line + 1, exception.mark.column + 1};
    diagnostics.error(where, "YAML syntax error: " + exception.msg);
  } catch (const std::exception &exception) {
    diagnostics.error({file, 0, 0}, std::string("the YAML text cannot be read: ") + exception.what());
  }
  return nullptr;
}

} // namespace ktc::policy
