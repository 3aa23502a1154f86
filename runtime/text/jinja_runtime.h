// What the evaluator and the built-in filters, tests, methods and functions share: errors, limits, arguments.
#pragma once

#include "runtime/text/jinja_value.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace ktrt::jinja {

// State of one rendering. The first failure sticks; every loop of the evaluator checks failed().
struct Runtime {
  // Work left: one unit per evaluated node and per 8 bytes of text made or searched. Bounds time and memory at
  // once.
  uint64_t budget = 0;
  int64_t now = 0; // seconds since 1970, for strftime_now
  std::string failure;

  bool failed() const { return !failure.empty(); }
  Value fail(std::string message) {
    if (!failed())
      failure = std::move(message);
    return Value();
  }
  // Takes `units` from the budget; false (and failed) once it is used up.
  bool charge(uint64_t units) {
    if (units > budget) {
      budget = 0;
      fail("the template needs too much work or makes too much text");
      return false;
    }
    budget -= units;
    return true;
  }
  bool chargeBytes(uint64_t bytes) { return charge(bytes / 8 + 1); }
  // For a search of `needle` bytes in `hay` bytes, at its worst.
  bool chargeSearch(uint64_t hay, uint64_t needle) { return charge((hay + 8) * (needle / 8 + 1) / 8); }
  // A list or dict value, or a failure if it would nest too deeply or be too large.
  Value makeList(List items, Value::Kind kind = Value::Kind::List);
  Value makeDict(Dict entries);
  Value checkContainer(Value made, bool storable);
  Value makeString(MarkedString s) {
    chargeBytes(s.size());
    return Value::string(std::move(s));
  }
};

// Arguments of a call, filter or test.
struct Arguments {
  std::vector<Value> positional;
  std::vector<std::pair<std::string, Value>> named;

  // The argument at `index` or called `name`; null if absent.
  const Value *get(size_t index, std::string_view name = {}) const;
};

// `operand | name(args)`.
Value applyFilter(Runtime &rt, std::string_view name, const Value &operand, const Arguments &args);

// `operand is name(args)`.
bool applyTest(Runtime &rt, std::string_view name, const Value &operand, const Arguments &args);

// `object.name(args)`.
Value callMethod(Runtime &rt, const Value &object, std::string_view name, const Arguments &args);

// True if `name` is a built-in function; callFunction() calls it.
bool isFunction(std::string_view name);
Value callFunction(Runtime &rt, std::string_view name, const Arguments &args);

// Parts of the language that builtins need too. Errors go to `rt`.
bool iterate(Runtime &rt, const Value &value,
             std::shared_ptr<const List> &items);                      // items of a loop over `value`
bool contains(Runtime &rt, const Value &container, const Value &item); // `item in container`
bool lessThan(Runtime &rt, const Value &a, const Value &b);
Value getAttribute(Runtime &rt, const Value &object, std::string_view name);
Value getItem(Runtime &rt, const Value &object, const Value &key);
Value getSlice(Runtime &rt, const Value &object, const Value &start, const Value &stop, const Value &step);
Value binary(Runtime &rt, std::string_view op, const Value &a, const Value &b);
int64_t lengthOf(Runtime &rt, const Value &value);

} // namespace ktrt::jinja
