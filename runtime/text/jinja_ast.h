// Syntax tree of the template language, and the limits that keep hostile templates harmless.
//
// One node type for everything: a tree of a few hundred nodes is walked once per request, so small code matters
// more than typed nodes.
#pragma once

#include "runtime/text/jinja_value.h"

#include <memory>
#include <string>
#include <vector>

namespace ktrt::jinja {

struct Node;
using NodePtr = std::unique_ptr<Node>;

enum class NodeKind : uint8_t {
  // expressions; children in order
  Constant, // value
  Name,     // text
  List,
  Tuple,
  Dict,      // key, value, key, value ...
  Attribute, // object; text = name
  Index,     // object, key
  Slice,     // object, start?, stop?, step? (null = absent)
  Call,      // callee, arguments; names[i] = keyword of argument i or ""
  Filter,    // operand, arguments; text = filter, names as in Call
  Test,      // operand, arguments; text = test
  Negate,
  Plus,
  Not,
  And,
  Or,
  Binary,  // left, right; text = operator
  Compare, // operands; names = the operators between them
  Ternary, // condition, then, else?
  // statements
  Block,       // statements
  Text,        // text, output as it is
  Print,       // expression
  If,          // condition, block, condition, block, ..., [block]
  For,         // iterable, filter?, body, else?; names = loop variables
  Set,         // expression; names = variables; or text = attribute of the namespace names[0]
  SetBlock,    // body, then a chain of Filter nodes over a placeholder or null; names[0] = variable
  Macro,       // body, default values; text = name, names = parameters (defaults belong to the last ones)
  FilterBlock, // as SetBlock, printed
  Break,
  Continue,
};

struct Node {
  NodeKind kind;
  uint32_t line = 0;
  uint16_t height = 1; // of the tree below, bounded by maxHeight
  std::string text;
  std::vector<std::string> names;
  std::vector<NodePtr> children;
  Value value;
};

// Trees higher than this are rejected, so that recursion over them is bounded.
constexpr int maxHeight = 150;

// Variable that stands for the captured text in the filter chain of a block.
constexpr const char *blockOperand = "\x01"
                                     "block";

} // namespace ktrt::jinja
