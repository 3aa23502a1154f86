// A YAML document as a tree that is safe to walk, with the place of every node.
//
// Built from yaml-cpp's parser events instead of its node API, because that keeps what diagnostics need
// (positions of keys, duplicate keys, whether a scalar was quoted) and lets hostile files be refused while they
// are read: an alias counts as many nodes as it expands to, and an alias to a node that is still open is an
// error.
#pragma once

#include "compiler/policy/diagnostics.h"

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace ktc::policy {

struct YamlNode;
// Nodes are shared (an alias is a second pointer to the same node) and never change after parsing.
using YamlNodePtr = std::shared_ptr<const YamlNode>;

struct YamlNode {
  enum class Kind { Null, Scalar, Sequence, Map };

  Kind kind = Kind::Null;
  SourceLocation where;
  std::string scalar;  // text of a scalar
  bool quoted = false; // the scalar was written in quotes or as a block: a string, whatever it looks like
  std::vector<YamlNodePtr> items;                           // of a sequence
  std::vector<std::pair<YamlNodePtr, YamlNodePtr>> entries; // of a map; keys are scalars
  size_t expandedNodes = 1;                                 // nodes of this subtree with aliases written out

  bool isMap() const { return kind == Kind::Map; }
  bool isSequence() const { return kind == Kind::Sequence; }
  bool isScalar() const { return kind == Kind::Scalar; }
  // The value of a key of a map, or NULL.
  const YamlNode *find(std::string_view key) const;
  // "a map", "a list", "an empty value" or "the text 'x'", for messages.
  std::string describe() const;
  // The value of an unquoted YAML 1.1 boolean (true, False, yes, off, …).
  std::optional<bool> asBool() const;
};

// Limits of what is read; a policy file of hundreds of rules stays far below.
inline constexpr size_t kMaxYamlBytes = 8u << 20;
inline constexpr size_t kMaxYamlNodes = 200'000;
inline constexpr size_t kMaxYamlDepth = 64;

// Parses one document. Merge keys (`<<: *x`) are applied. Returns NULL after adding an error to `diagnostics`
// for syntax errors, tags, second documents and exceeded limits; duplicate keys are errors too, but the tree is
// returned, so that the rest of the file can be checked. An empty document is a Null node.
YamlNodePtr parseYaml(std::string_view text, const std::string &file, Diagnostics &diagnostics);

} // namespace ktc::policy
