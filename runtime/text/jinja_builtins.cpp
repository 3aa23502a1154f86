// Tests (`is defined`), string and dict methods, and global functions of the template language.
#include "runtime/text/jinja_runtime.h"
#include "runtime/text/utf8.h"

#include <algorithm>
#include <ctime>

namespace ktrt::jinja {

using Kind = Value::Kind;

namespace {

constexpr std::string_view asciiSpace = " \t\n\r\f\v\x1c\x1d\x1e\x1f";

bool isUpper(char c) { return c >= 'A' && c <= 'Z'; }
bool isLower(char c) { return c >= 'a' && c <= 'z'; }
char toUpper(char c) { return isLower(c) ? char(c - 32) : c; }
char toLower(char c) { return isUpper(c) ? char(c + 32) : c; }

// Python's strip: removes characters of `set` (spaces if null) from the chosen ends. Whole characters, also
// outside ASCII, where the set is given.
MarkedString strip(const MarkedString &s, const Value *set, bool left, bool right) {
  std::string_view text = s.str();
  std::string_view chars = set && set->is(Kind::String) ? std::string_view(set->str().str()) : asciiSpace;
  size_t begin = 0, end = text.size();
  while (left && begin < end) {
    size_t n = decodeUtf8(text.substr(begin)).length;
    if (chars.find(text.substr(begin, n)) == std::string_view::npos)
      break;
    begin += n;
  }
  while (right && end > begin) {
    size_t start = end - 1; // back to the first byte of the last character
    while (start > begin && end - start < 4 && (uint8_t(text[start]) & 0xC0) == 0x80)
      --start;
    if (chars.find(text.substr(start, end - start)) == std::string_view::npos)
      break;
    end = start;
  }
  return s.substr(begin, end - begin);
}

Value changeCase(const MarkedString &s, std::string_view method) {
  std::string text = s.str();
  bool inWord = false;
  for (size_t i = 0; i < text.size(); ++i) {
    char &c = text[i];
    bool first = method == "title" ? !inWord : i == 0;
    inWord = isUpper(c) || isLower(c) || uint8_t(c) >= 0x80;
    bool up = method == "upper" || (first && method != "lower");
    c = up ? toUpper(c) : toLower(c);
  }
  return Value::string(s.withText(std::move(text)));
}

// Whether `s` starts or ends with `affix`, a string or a tuple of strings.
bool hasAffix(Runtime &rt, const std::string &s, const Value *affix, bool atEnd) {
  if (affix && affix->is(Kind::String)) {
    const std::string &a = affix->str().str();
    return s.size() >= a.size() && s.compare(atEnd ? s.size() - a.size() : 0, a.size(), a) == 0;
  }
  if (!affix || !affix->is(Kind::Tuple)) {
    rt.fail("startswith and endswith need a string or a tuple of strings");
    return false;
  }
  return std::any_of(affix->items().begin(), affix->items().end(),
                     [&](const Value &v) { return v.is(Kind::String) && hasAffix(rt, s, &v, atEnd); });
}

Value split(Runtime &rt, const MarkedString &s, const Arguments &args, bool fromRight) {
  const Value *separator = args.get(0, "sep"), *limit = args.get(1, "maxsplit");
  int64_t most = limit && limit->isNumber() && limit->toInt() >= 0 ? limit->toInt() : INT64_MAX;
  const std::string &text = s.str();
  List out;
  if (!rt.charge(text.size() + 1))
    return Value();
  if (!separator || separator->is(Kind::None)) { // runs of spaces; none at the ends
    for (size_t at = 0;;) {
      size_t begin = text.find_first_not_of(asciiSpace, at);
      if (begin == std::string::npos)
        break;
      bool rest = most-- <= 0;
      size_t end = rest ? text.find_last_not_of(asciiSpace) + 1
                        : std::min(text.find_first_of(asciiSpace, begin), text.size());
      out.push_back(Value::string(s.substr(begin, end - begin)));
      at = end;
      if (rest)
        break;
    }
    return rt.makeList(std::move(out));
  }
  if (!separator->is(Kind::String) || separator->str().empty())
    return rt.fail("split needs a separator that is a non-empty string");
  const std::string &sep = separator->str().str();
  if (!rt.chargeSearch(text.size(), sep.size()))
    return Value();
  if (!fromRight) {
    size_t begin = 0;
    for (size_t at; most-- > 0 && (at = text.find(sep, begin)) != std::string::npos; begin = at + sep.size())
      out.push_back(Value::string(s.substr(begin, at - begin)));
    out.push_back(Value::string(s.substr(begin)));
  } else {
    size_t end = text.size();
    for (size_t at;
         most-- > 0 && end >= sep.size() && (at = text.rfind(sep, end - sep.size())) != std::string::npos;
         end = at)
      out.push_back(Value::string(s.substr(at + sep.size(), end - at - sep.size())));
    out.push_back(Value::string(s.substr(0, end)));
    std::reverse(out.begin(), out.end());
  }
  return rt.makeList(std::move(out));
}

Value splitLines(Runtime &rt, const MarkedString &s) {
  const std::string &text = s.str();
  List out;
  if (!rt.charge(text.size() + 1))
    return Value();
  for (size_t begin = 0; begin < text.size();) {
    size_t end = std::min(text.find_first_of("\n\r", begin), text.size());
    out.push_back(Value::string(s.substr(begin, end - begin)));
    begin = end + (text.compare(end, 2, "\r\n") == 0 ? 2 : 1);
  }
  return rt.makeList(std::move(out));
}

Value replace(Runtime &rt, const MarkedString &s, const Arguments &args) {
  const Value *from = args.get(0, "old"), *to = args.get(1, "new"), *limit = args.get(2, "count");
  if (!from || !to || !from->is(Kind::String) || !to->is(Kind::String) || from->str().empty())
    return rt.fail("replace needs a non-empty string and its replacement");
  int64_t most = limit && limit->isNumber() && limit->toInt() >= 0 ? limit->toInt() : INT64_MAX;
  const std::string &text = s.str(), &old = from->str().str();
  if (!rt.chargeSearch(text.size(), old.size()))
    return Value();
  MarkedString out;
  size_t begin = 0;
  for (size_t at; most-- > 0 && (at = text.find(old, begin)) != std::string::npos; begin = at + old.size()) {
    if (!rt.chargeBytes(at - begin + to->str().size() + 64))
      return Value();
    out.append(s.substr(begin, at - begin));
    out.append(to->str());
  }
  out.append(s.substr(begin));
  return rt.makeString(std::move(out));
}

// str.find, str.rfind and str.count, in characters.
Value search(Runtime &rt, const MarkedString &s, std::string_view method, const Arguments &args) {
  const Value *what = args.get(0);
  if (!what || !what->is(Kind::String) || (method == "count" && what->str().empty()))
    return rt.fail(std::string(method) + " needs a string");
  const std::string &text = s.str(), &needle = what->str().str();
  if (!rt.chargeSearch(text.size(), needle.size()))
    return Value();
  if (method == "count") {
    int64_t n = 0;
    for (size_t at = 0; (at = text.find(needle, at)) != std::string::npos; at += needle.size())
      ++n;
    return Value::integer(n);
  }
  size_t at = method == "find" ? text.find(needle) : text.rfind(needle);
  return Value::integer(at == std::string::npos ? -1 : lengthOf(rt, Value::string(s.substr(0, at))));
}

Value joinMethod(Runtime &rt, const Value &separator, const Arguments &args) {
  Arguments with;
  with.positional = {separator};
  return args.get(0) ? applyFilter(rt, "join", *args.get(0), with) : rt.fail("join needs a list");
}

Value stringMethod(Runtime &rt, const Value &object, std::string_view name, const Arguments &args) {
  const MarkedString &s = object.str();
  const Value *first = args.get(0);
  if (!rt.chargeBytes(s.size()))
    return Value();
  if (name == "strip" || name == "lstrip" || name == "rstrip")
    return Value::string(strip(s, first, name != "rstrip", name != "lstrip"));
  if (name == "upper" || name == "lower" || name == "title" || name == "capitalize")
    return changeCase(s, name);
  if (name == "startswith" || name == "endswith")
    return Value::boolean(hasAffix(rt, s.str(), first, name == "endswith"));
  if (name == "split" || name == "rsplit")
    return split(rt, s, args, name == "rsplit");
  if (name == "splitlines")
    return splitLines(rt, s);
  if (name == "replace")
    return replace(rt, s, args);
  if (name == "find" || name == "rfind" || name == "count")
    return search(rt, s, name, args);
  if (name == "join")
    return joinMethod(rt, object, args);
  if ((name == "removeprefix" || name == "removesuffix") && first && first->is(Kind::String)) {
    bool suffix = name == "removesuffix";
    size_t n = hasAffix(rt, s.str(), first, suffix) ? first->str().size() : 0;
    return Value::string(s.substr(suffix ? 0 : n, s.size() - n));
  }
  auto all = [&](auto test) {
    return Value::boolean(!s.empty() && std::all_of(s.str().begin(), s.str().end(), test));
  };
  if (name == "isdigit" || name == "isnumeric" || name == "isdecimal")
    return all([](char c) { return c >= '0' && c <= '9'; });
  if (name == "isspace")
    return all([](char c) { return asciiSpace.find(c) != std::string_view::npos; });
  return rt.fail("strings have no method '" + std::string(name) + "'");
}

Value mappingMethod(Runtime &rt, const Value &object, std::string_view name, const Arguments &args) {
  if (name == "get") {
    const Value *key = args.get(0), *otherwise = args.get(1);
    const Value *entry = key && key->is(Kind::String) ? object.find(key->str().str()) : nullptr;
    return entry ? *entry : otherwise ? *otherwise : Value::none();
  }
  if (name != "items" && name != "keys" && name != "values")
    return rt.fail("dicts have no method '" + std::string(name) + "'");
  List out;
  for (const auto &[key, value] : object.entries()) {
    if (name == "keys")
      out.push_back(Value::string(key));
    else if (name == "values")
      out.push_back(value);
    else
      out.push_back(rt.makeList({Value::string(key), value}, Kind::Tuple));
  }
  return rt.makeList(std::move(out));
}

Value range(Runtime &rt, const Arguments &args) {
  int64_t bounds[3] = {0, 0, 1};
  size_t n = args.positional.size();
  for (size_t i = 0; i < n && i < 3; ++i) {
    if (!args.positional[i].is(Kind::Int))
      return rt.fail("range needs integers");
    bounds[n == 1 ? 1 : i] = args.positional[i].toInt();
  }
  auto [start, stop, step] = bounds;
  if (n == 0 || n > 3 || step == 0)
    return rt.fail("range needs one to three arguments and a step that is not 0");
  List out;
  for (int64_t i = start; step > 0 ? i < stop : i > stop;) {
    if (!rt.charge(4)) // an item takes 32 bytes
      return Value();
    out.push_back(Value::integer(i));
    if (__builtin_add_overflow(i, step, &i))
      break;
  }
  return rt.makeList(std::move(out));
}

Value strftimeNow(Runtime &rt, const Arguments &args) {
  const Value *format = args.get(0, "format");
  if (!format || !format->is(Kind::String))
    return rt.fail("strftime_now needs a format");
  std::time_t now = std::time_t(rt.now);
  std::tm local{};
  char buffer[256];
  if (!localtime_r(&now, &local) || !std::strftime(buffer, sizeof buffer, format->str().str().c_str(), &local))
    return Value::string(MarkedString());
  return Value::string(std::string(buffer));
}

Dict namedEntries(const Arguments &args) {
  Dict entries;
  if (const Value *base = args.get(0); base && base->isMapping())
    entries = base->entries();
  for (const auto &[name, value] : args.named)
    entries.emplace_back(MarkedString(name), value);
  return entries;
}

} // namespace

bool applyTest(Runtime &rt, std::string_view name, const Value &v, const Arguments &args) {
  const Value *other = args.get(0);
  if (name == "defined" || name == "undefined")
    return v.is(Kind::Undefined) == (name == "undefined");
  if (name == "none")
    return v.is(Kind::None);
  if (name == "string")
    return v.is(Kind::String);
  if (name == "mapping")
    return v.is(Kind::Dict);
  if (name == "iterable" || name == "sequence")
    return v.is(Kind::String) || v.isSequence() || v.is(Kind::Dict) || v.is(Kind::Undefined);
  if (name == "number")
    return v.isNumber();
  if (name == "integer")
    return v.is(Kind::Int);
  if (name == "float")
    return v.is(Kind::Float);
  if (name == "boolean")
    return v.is(Kind::Bool);
  if (name == "true" || name == "false")
    return v.is(Kind::Bool) && v.boolean() == (name == "true");
  if (name == "callable")
    return v.is(Kind::Macro) || v.is(Kind::Function);
  if (name == "odd" || name == "even") {
    Value rest = binary(rt, "%", v, Value::integer(2));
    return rest.isNumber() && (rest.toDouble() == 1) == (name == "odd");
  }
  if (name == "lower" || name == "upper")
    return v.is(Kind::String) && callMethod(rt, v, name, {}).equals(v);
  if (!other) {
    rt.fail("unknown test '" + std::string(name) + "', or a test without its argument");
    return false;
  }
  if (!rt.charge(std::min(v.weight(), other->weight())))
    return false;
  if (name == "equalto" || name == "eq" || name == "==" || name == "sameas")
    return v.equals(*other);
  if (name == "ne" || name == "!=")
    return !v.equals(*other);
  if (name == "in")
    return contains(rt, *other, v);
  if (name == "lt" || name == "lessthan" || name == "<")
    return lessThan(rt, v, *other);
  if (name == "gt" || name == "greaterthan" || name == ">")
    return lessThan(rt, *other, v);
  if (name == "le" || name == "<=")
    return !lessThan(rt, *other, v);
  if (name == "ge" || name == ">=")
    return !lessThan(rt, v, *other);
  if (name == "divisibleby") {
    Value rest = binary(rt, "%", v, *other);
    return rest.isNumber() && rest.toDouble() == 0;
  }
  rt.fail("unknown test '" + std::string(name) + "'");
  return false;
}

Value callMethod(Runtime &rt, const Value &object, std::string_view name, const Arguments &args) {
  if (object.is(Kind::String))
    return stringMethod(rt, object, name, args);
  if (object.isMapping())
    return mappingMethod(rt, object, name, args);
  if (object.is(Kind::Loop) && name == "cycle" && !args.positional.empty())
    return args.positional[object.loop().index % args.positional.size()];
  if (object.is(Kind::Undefined))
    return getAttribute(rt, object, name); // names the undefined variable
  return rt.fail(std::string("a value of type ") + object.kindName() + " has no method '" + std::string(name) +
                 "'");
}

bool isFunction(std::string_view name) {
  return name == "range" || name == "namespace" || name == "dict" || name == "raise_exception" ||
         name == "strftime_now";
}

Value callFunction(Runtime &rt, std::string_view name, const Arguments &args) {
  if (name == "range")
    return range(rt, args);
  if (name == "strftime_now")
    return strftimeNow(rt, args);
  if (name == "raise_exception")
    return rt.fail(args.get(0) ? args.get(0)->toText().str() : "the template raised an error");
  Dict entries = namedEntries(args);
  if (name == "dict")
    return rt.makeDict(std::move(entries));
  for (const auto &entry : entries)
    if (!entry.second.isStorable())
      return rt.fail("a namespace or loop variable cannot be stored in a namespace");
  return Value::nameSpace(std::move(entries));
}

} // namespace ktrt::jinja
