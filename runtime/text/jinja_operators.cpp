// Operators, indexing and iteration with Python's meaning; strings count in characters, not bytes.
#include "runtime/text/jinja_runtime.h"
#include "runtime/text/utf8.h"

#include <algorithm>
#include <cmath>

namespace ktrt::jinja {

using Kind = Value::Kind;

namespace {

// Byte offset of each character of `text`, and its size at the end.
std::vector<size_t> characterOffsets(const std::string &text) {
  std::vector<size_t> offsets;
  for (size_t i = 0; i < text.size(); i += decodeUtf8(std::string_view(text).substr(i)).length)
    offsets.push_back(i);
  offsets.push_back(text.size());
  return offsets;
}

Value typeError(Runtime &rt, std::string_view op, const Value &a, const Value &b) {
  return rt.fail("operator '" + std::string(op) + "' does not work on " + a.kindName() + " and " +
                 b.kindName() +
                 (a.is(Kind::Undefined) && !a.name().empty() ? " ('" + a.name() + "' is undefined)" : "") +
                 (b.is(Kind::Undefined) && !b.name().empty() ? " ('" + b.name() + "' is undefined)" : ""));
}

Value integerArithmetic(Runtime &rt, std::string_view op, int64_t a, int64_t b) {
  int64_t result = 0;
  bool overflow = false;
  if (op == "+")
    overflow = __builtin_add_overflow(a, b, &result);
  else if (op == "-")
    overflow = __builtin_sub_overflow(a, b, &result);
  else if (op == "*")
    overflow = __builtin_mul_overflow(a, b, &result);
  else if (op == "//" || op == "%") {
    if (b == 0)
      return rt.fail("division by zero");
    if (a == INT64_MIN && b == -1)
      return op == "%" ? Value::integer(0) : rt.fail("integer overflow");
    int64_t quotient = a / b - (a % b != 0 && (a < 0) != (b < 0)); // rounds down, as Python does
    result = op == "//" ? quotient : a - quotient * b;
  } else { // **
    if (b < 0)
      return Value::real(std::pow(double(a), double(b)));
    if (a >= -1 && a <= 1) // powers that never overflow, however large the exponent
      b = b == 0 ? 0 : 2 - b % 2;
    result = 1;
    for (int64_t i = 0; i < b && !overflow; ++i)
      overflow = __builtin_mul_overflow(result, a, &result);
  }
  return overflow ? rt.fail("integer overflow") : Value::integer(result);
}

Value arithmetic(Runtime &rt, std::string_view op, const Value &a, const Value &b) {
  if (!a.is(Kind::Float) && !b.is(Kind::Float) && op != "/")
    return integerArithmetic(rt, op, a.toInt(), b.toInt());
  double x = a.toDouble(), y = b.toDouble();
  if (y == 0 && (op == "/" || op == "//" || op == "%"))
    return rt.fail("division by zero");
  if (op == "+")
    return Value::real(x + y);
  if (op == "-")
    return Value::real(x - y);
  if (op == "*")
    return Value::real(x * y);
  if (op == "/")
    return Value::real(x / y);
  if (op == "//")
    return Value::real(std::floor(x / y));
  return Value::real(op == "%" ? x - std::floor(x / y) * y : std::pow(x, y));
}

Value repeat(Runtime &rt, const Value &value, int64_t times) {
  times = std::max<int64_t>(times, 0);
  uint64_t size = value.is(Kind::String) ? value.str().size() : value.items().size();
  if (size > 0 && uint64_t(times) > rt.budget / size) {
    rt.charge(UINT64_MAX);
    return Value();
  }
  if (!rt.charge(size * uint64_t(times)))
    return Value();
  if (size == 0)
    times = 0;
  if (value.is(Kind::String)) {
    MarkedString out;
    for (int64_t i = 0; i < times; ++i)
      out.append(value.str());
    return Value::string(std::move(out));
  }
  List out;
  for (int64_t i = 0; i < times; ++i)
    out.insert(out.end(), value.items().begin(), value.items().end());
  return rt.makeList(std::move(out), value.kind());
}

} // namespace

Value Runtime::checkContainer(Value made, bool storable) {
  if (!storable) // the only mutable values: inside another value they could form a cycle
    return fail("a namespace or loop variable cannot be stored in another value");
  return made.is(Kind::Undefined) ? fail("a value is nested too deeply or too large") : made;
}

Value Runtime::makeList(List items, Kind kind) {
  charge(items.size() * 4 + 1); // 32 bytes each
  bool storable = std::all_of(items.begin(), items.end(), [](const Value &v) { return v.isStorable(); });
  return checkContainer(Value::list(std::move(items), kind), storable);
}

Value Runtime::makeDict(Dict entries) {
  charge(entries.size() * 8 + 1);
  bool storable =
      std::all_of(entries.begin(), entries.end(), [](const auto &e) { return e.second.isStorable(); });
  return checkContainer(Value::dict(std::move(entries)), storable);
}

const Value *Arguments::get(size_t index, std::string_view name) const {
  if (index < positional.size())
    return &positional[index];
  for (const auto &[key, value] : named)
    if (!name.empty() && key == name)
      return &value;
  return nullptr;
}

bool iterate(Runtime &rt, const Value &value, std::shared_ptr<const List> &items) {
  auto out = std::make_shared<List>();
  switch (value.kind()) {
  case Kind::List:
  case Kind::Tuple:
    items = value.sharedItems();
    return true;
  case Kind::Undefined:
    break;
  case Kind::Dict:
    for (const auto &entry : value.entries())
      out->push_back(Value::string(entry.first));
    break;
  case Kind::String: {
    std::vector<size_t> offsets = characterOffsets(value.str().str());
    if (!rt.charge(offsets.size() * 16)) // each character becomes a value of its own
      return false;
    for (size_t i = 0; i + 1 < offsets.size(); ++i)
      out->push_back(Value::string(value.str().substr(offsets[i], offsets[i + 1] - offsets[i])));
    break;
  }
  default:
    rt.fail(std::string("cannot loop over a value of type ") + value.kindName());
    return false;
  }
  items = std::move(out);
  return rt.charge(items->size() + 1);
}

bool contains(Runtime &rt, const Value &container, const Value &item) {
  switch (container.kind()) {
  case Kind::String:
    if (!item.is(Kind::String)) {
      typeError(rt, "in", item, container);
      return false;
    }
    return rt.chargeSearch(container.str().size(), item.str().size()) &&
           container.str().str().find(item.str().str()) != std::string::npos;
  case Kind::List:
  case Kind::Tuple:
    return rt.charge(container.weight()) && std::any_of(container.items().begin(), container.items().end(),
                                                        [&](const Value &v) { return v.equals(item); });
  case Kind::Dict:
  case Kind::Namespace:
    return item.is(Kind::String) && container.find(item.str().str());
  case Kind::Undefined:
    return false;
  default:
    typeError(rt, "in", item, container);
    return false;
  }
}

bool lessThan(Runtime &rt, const Value &a, const Value &b) {
  if (a.isNumber() && b.isNumber())
    return a.is(Kind::Float) || b.is(Kind::Float) ? a.toDouble() < b.toDouble() : a.toInt() < b.toInt();
  if (a.is(Kind::String) && b.is(Kind::String))
    return rt.chargeBytes(std::min(a.str().size(), b.str().size())) && a.str().str() < b.str().str();
  typeError(rt, "<", a, b);
  return false;
}

Value getAttribute(Runtime &rt, const Value &object, std::string_view name) {
  if (object.is(Kind::Undefined))
    return rt.fail("'" + (object.name().empty() ? "value" : object.name()) + "' is undefined, so it has no '" +
                   std::string(name) + "'");
  if (const Value *entry = object.find(name))
    return *entry;
  if (!object.is(Kind::Loop))
    return Value::undefined(name);
  const Loop &loop = object.loop();
  int64_t index = int64_t(loop.index), size = int64_t(loop.items->size());
  if (name == "index")
    return Value::integer(index + 1);
  if (name == "index0")
    return Value::integer(index);
  if (name == "revindex")
    return Value::integer(size - index);
  if (name == "revindex0")
    return Value::integer(size - index - 1);
  if (name == "first")
    return Value::boolean(index == 0);
  if (name == "last")
    return Value::boolean(index + 1 == size);
  if (name == "length")
    return Value::integer(size);
  if (name == "previtem")
    return index > 0 ? (*loop.items)[size_t(index - 1)] : Value::undefined(name);
  if (name == "nextitem")
    return index + 1 < size ? (*loop.items)[size_t(index + 1)] : Value::undefined(name);
  return Value::undefined(name);
}

Value getItem(Runtime &rt, const Value &object, const Value &key) {
  if (object.is(Kind::Undefined) || key.is(Kind::String))
    return getAttribute(rt, object, key.is(Kind::String) ? key.str().str() : "item");
  if (!key.isNumber() || key.is(Kind::Float))
    return Value();
  int64_t index = key.toInt();
  if (object.isSequence()) {
    int64_t size = int64_t(object.items().size());
    index += index < 0 ? size : 0;
    return index >= 0 && index < size ? object.items()[size_t(index)] : Value();
  }
  if (!object.is(Kind::String) || !rt.chargeBytes(object.str().size()))
    return Value();
  std::vector<size_t> offsets = characterOffsets(object.str().str());
  int64_t size = int64_t(offsets.size()) - 1;
  index += index < 0 ? size : 0;
  if (index < 0 || index >= size)
    return Value();
  size_t i = size_t(index);
  return Value::string(object.str().substr(offsets[i], offsets[i + 1] - offsets[i]));
}

Value getSlice(Runtime &rt, const Value &object, const Value &start, const Value &stop,
               const Value &stepValue) {
  bool text = object.is(Kind::String);
  if (!text && !object.isSequence())
    return rt.fail(std::string("cannot take a slice of a value of type ") + object.kindName());
  for (const Value *part : {&start, &stop, &stepValue})
    if (!part->is(Kind::Undefined) && !part->is(Kind::None) && !part->is(Kind::Int))
      return rt.fail("the parts of a slice must be integers");
  std::vector<size_t> offsets;
  if (text) {
    if (!rt.charge(object.str().size() + 1))
      return Value();
    offsets = characterOffsets(object.str().str());
  }
  int64_t size = text ? int64_t(offsets.size()) - 1 : int64_t(object.items().size());
  int64_t step = stepValue.is(Kind::Int) ? stepValue.toInt() : 1;
  if (step == 0)
    return rt.fail("a slice with step 0");
  // Clamps an end of the range as Python does; `low` and `high` bound it.
  int64_t low = step < 0 ? -1 : 0, high = step < 0 ? size - 1 : size;
  auto place = [&](const Value &v, int64_t absent) {
    if (!v.is(Kind::Int))
      return absent;
    int64_t i = v.toInt();
    return i < 0 ? std::max(i < -size ? low : i + size, low) : std::min(i, high);
  };
  int64_t from = place(start, step < 0 ? high : low), to = place(stop, step < 0 ? low : high);
  if (!rt.charge(uint64_t(size) + 1))
    return Value();
  step = std::clamp(step, -size - 1, size + 1);
  MarkedString string;
  List list;
  for (int64_t i = from; step > 0 ? i < to : i > to; i += step)
    if (text)
      string.append(object.str().substr(offsets[size_t(i)], offsets[size_t(i) + 1] - offsets[size_t(i)]));
    else
      list.push_back(object.items()[size_t(i)]);
  return text ? Value::string(std::move(string)) : rt.makeList(std::move(list), object.kind());
}

Value binary(Runtime &rt, std::string_view op, const Value &a, const Value &b) {
  if (op == "~" || (op == "+" && a.is(Kind::String) && b.is(Kind::String))) {
    if (!rt.charge(a.weight() + b.weight()))
      return Value();
    MarkedString text = a.toText();
    text.append(b.toText());
    return rt.makeString(std::move(text));
  }
  if (a.isNumber() && b.isNumber())
    return arithmetic(rt, op, a, b);
  if (op == "+" && a.isSequence() && b.kind() == a.kind()) {
    List items = a.items();
    items.insert(items.end(), b.items().begin(), b.items().end());
    return rt.makeList(std::move(items), a.kind());
  }
  if (op == "*" && (a.is(Kind::String) || a.isSequence()) && b.is(Kind::Int))
    return repeat(rt, a, b.toInt());
  if (op == "*" && (b.is(Kind::String) || b.isSequence()) && a.is(Kind::Int))
    return repeat(rt, b, a.toInt());
  return typeError(rt, op, a, b);
}

int64_t lengthOf(Runtime &rt, const Value &value) {
  switch (value.kind()) {
  case Kind::String:
    rt.chargeBytes(value.str().size());
    return int64_t(characterOffsets(value.str().str()).size()) - 1;
  case Kind::List:
  case Kind::Tuple:
    return int64_t(value.items().size());
  case Kind::Dict:
    return int64_t(value.entries().size());
  case Kind::Undefined:
    return 0;
  default:
    rt.fail(std::string("a value of type ") + value.kindName() + " has no length");
    return 0;
  }
}

} // namespace ktrt::jinja
