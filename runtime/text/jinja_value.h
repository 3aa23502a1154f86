// Values of the template language: what Python objects a chat template can see.
//
// Strings remember for each byte whether it comes from the template or from a user, through every operation on
// them. Only so can the tokenizer later tell a turn marker of the template from one that a user typed. Values
// are immutable except namespaces, and a namespace cannot be stored inside another value: there are no cycles.
#pragma once

#include "runtime/text/tokenizer.h"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace ktrt::jinja {

// Text with one trust mark per byte.
class MarkedString {
public:
  MarkedString() = default;
  // All bytes of equal trust.
  explicit MarkedString(std::string text, bool trusted = true);

  const std::string &str() const { return text; }
  size_t size() const { return text.size(); }
  bool empty() const { return text.empty(); }

  void append(const MarkedString &other);
  void append(std::string_view bytes, bool trusted = true);
  MarkedString substr(size_t offset, size_t count = std::string::npos) const;
  // The same marks under other text of the same length (ASCII case changes).
  MarkedString withText(std::string other) const;
  // True if no byte comes from a user.
  bool allTrusted() const;
  // Runs of equal trust, in order, none empty.
  std::vector<MarkedText> runs() const;

private:
  std::string text;
  std::string marks; // 1 per trusted byte, 0 per other; empty while all bytes are trusted
};

struct Node;
class Value;
using List = std::vector<Value>;
// Insertion-ordered; chat data has few keys, so lookup is a scan.
using Dict = std::vector<std::pair<MarkedString, Value>>;

// State of the `loop` variable.
struct Loop {
  size_t index = 0; // from 0
  std::shared_ptr<const List> items;
};

class Value {
public:
  enum class Kind : uint8_t {
    Undefined,
    None,
    Bool,
    Int,
    Float,
    String,
    List,
    Tuple,
    Dict,
    Namespace,
    Loop,
    Macro,
    Function
  };

  Value() = default; // undefined
  static Value none();
  static Value boolean(bool b);
  static Value integer(int64_t i);
  static Value real(double d);
  static Value string(MarkedString s);
  static Value string(std::string s, bool trusted = true) {
    return string(MarkedString(std::move(s), trusted));
  }
  // Lists and dicts that nest deeper than maxDepth or weigh more than maxWeight become undefined.
  static Value list(List items, Kind kind = Kind::List);
  static Value dict(Dict entries);
  static Value nameSpace(Dict entries);
  static Value loop(std::shared_ptr<Loop> state);
  static Value macro(const Node *definition);
  static Value function(std::string_view name);
  // An undefined value that knows the name it was looked up by, for error messages.
  static Value undefined(std::string_view name);

  Kind kind() const { return type; }
  bool is(Kind k) const { return type == k; }
  bool isNumber() const { return type == Kind::Int || type == Kind::Float || type == Kind::Bool; }
  bool isSequence() const { return type == Kind::List || type == Kind::Tuple; }
  // Namespaces can change, so they may not become part of another value.
  bool isStorable() const { return type != Kind::Namespace && type != Kind::Loop; }
  bool isMapping() const { return type == Kind::Dict || type == Kind::Namespace; }

  // Each is valid only for its kind. toInt() and toDouble(): for numbers.
  bool boolean() const { return number.i != 0; }
  int64_t toInt() const { return type == Kind::Float ? int64_t(number.d) : number.i; }
  double toDouble() const { return type == Kind::Float ? number.d : double(number.i); }
  const MarkedString &str() const { return *static_cast<const MarkedString *>(object.get()); }
  const List &items() const { return *static_cast<const List *>(object.get()); }
  std::shared_ptr<const List> sharedItems() const { return std::static_pointer_cast<const List>(object); }
  const Dict &entries() const { return *static_cast<const Dict *>(object.get()); }
  Dict &namespaceEntries() const { return *static_cast<Dict *>(object.get()); }
  Loop &loop() const { return *static_cast<Loop *>(object.get()); }
  const Node *macro() const { return static_cast<const Node *>(object.get()); }
  // The name of a function or of an undefined value.
  std::string name() const { return object ? static_cast<const MarkedString *>(object.get())->str() : ""; }

  // The entry of a mapping, or null.
  const Value *find(std::string_view key) const;

  // Python's truth value, equality, and str().
  bool truthy() const;
  bool equals(const Value &other) const;
  MarkedString toText() const;
  // Name of the kind for error messages.
  const char *kindName() const;

  // Levels of lists and dicts; 0 for anything else. At most maxDepth, so recursion over a value is bounded.
  int depth() const { return nesting; }
  static constexpr int maxDepth = 64;

  // What walking over the whole value costs: one unit per item and per 8 bytes of text. A list of a list twice,
  // a few dozen times, is small in memory and endless to print; the limit is what forbids it.
  uint64_t weight() const { return type == Kind::String ? str().size() / 8 + 1 : containerWeight + 1; }
  static constexpr uint64_t maxWeight = 1 << 24;

private:
  static Value container(Kind kind, int depth, uint64_t weight, std::shared_ptr<void> object);
  void repr(MarkedString &out) const;

  Kind type = Kind::Undefined;
  uint8_t nesting = 0;
  uint32_t containerWeight = 0;
  union {
    int64_t i;
    double d;
  } number = {0};
  std::shared_ptr<void> object;
};

// Python's repr of a float: the shortest digits that read back as the same value.
std::string formatDouble(double d);

} // namespace ktrt::jinja
