// Value construction, comparison and printing; see the header.
#include "runtime/text/jinja_value.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace ktrt::jinja {

MarkedString::MarkedString(std::string t, bool trusted) : text(std::move(t)) {
  if (!trusted)
    marks.assign(text.size(), 0);
}

void MarkedString::append(const MarkedString &other) {
  if (!marks.empty() || !other.marks.empty()) {
    marks.resize(text.size(), 1);
    if (other.marks.empty())
      marks.append(other.text.size(), 1);
    else
      marks += other.marks;
  }
  text += other.text;
}

void MarkedString::append(std::string_view bytes, bool trusted) {
  if (!trusted)
    marks.resize(text.size(), 1);
  if (!trusted || !marks.empty())
    marks.append(bytes.size(), trusted ? 1 : 0);
  text += bytes;
}

MarkedString MarkedString::substr(size_t offset, size_t count) const {
  MarkedString out;
  offset = std::min(offset, text.size());
  out.text = text.substr(offset, count);
  if (!marks.empty())
    out.marks = marks.substr(offset, count);
  return out;
}

MarkedString MarkedString::withText(std::string other) const {
  MarkedString out;
  out.text = std::move(other);
  out.marks = marks;
  if (!marks.empty())
    out.marks.resize(out.text.size(), 0);
  return out;
}

bool MarkedString::allTrusted() const { return marks.find('\0') == std::string::npos; }

std::vector<MarkedText> MarkedString::runs() const {
  std::vector<MarkedText> out;
  for (size_t begin = 0; begin < text.size();) {
    bool trusted = marks.empty() || marks[begin];
    size_t end = marks.empty() ? text.size() : marks.find(trusted ? '\0' : '\1', begin);
    end = std::min(end, text.size());
    out.push_back({text.substr(begin, end - begin), trusted});
    begin = end;
  }
  return out;
}

Value Value::none() {
  Value v;
  v.type = Kind::None;
  return v;
}

Value Value::boolean(bool b) {
  Value v;
  v.type = Kind::Bool;
  v.number.i = b;
  return v;
}

Value Value::integer(int64_t i) {
  Value v;
  v.type = Kind::Int;
  v.number.i = i;
  return v;
}

Value Value::real(double d) {
  Value v;
  v.type = Kind::Float;
  v.number.d = d;
  return v;
}

Value Value::string(MarkedString s) {
  Value v;
  v.type = Kind::String;
  v.object = std::make_shared<MarkedString>(std::move(s));
  return v;
}

Value Value::container(Kind kind, int depth, uint64_t weight, std::shared_ptr<void> object) {
  Value v;
  if (depth >= maxDepth || weight > maxWeight)
    return v;
  v.type = kind;
  v.nesting = uint8_t(depth + 1);
  v.containerWeight = uint32_t(weight);
  v.object = std::move(object);
  return v;
}

Value Value::list(List items, Kind kind) {
  int depth = 0;
  uint64_t weight = 0;
  for (const Value &item : items) {
    depth = std::max(depth, item.depth());
    weight += item.weight();
  }
  return container(kind, depth, weight, std::make_shared<List>(std::move(items)));
}

Value Value::dict(Dict entries) {
  int depth = 0;
  uint64_t weight = 0;
  for (const auto &[key, value] : entries) {
    depth = std::max(depth, value.depth());
    weight += value.weight() + key.size() / 8 + 1;
  }
  return container(Kind::Dict, depth, weight, std::make_shared<Dict>(std::move(entries)));
}

Value Value::nameSpace(Dict entries) {
  Value v;
  v.type = Kind::Namespace;
  v.object = std::make_shared<Dict>(std::move(entries));
  return v;
}

Value Value::loop(std::shared_ptr<Loop> state) {
  Value v;
  v.type = Kind::Loop;
  v.object = std::move(state);
  return v;
}

Value Value::macro(const Node *definition) {
  Value v;
  v.type = Kind::Macro;
  v.object = std::shared_ptr<void>(std::shared_ptr<void>(), const_cast<Node *>(definition)); // not owned
  return v;
}

Value Value::function(std::string_view name) {
  Value v = undefined(name);
  v.type = Kind::Function;
  return v;
}

Value Value::undefined(std::string_view name) {
  Value v;
  v.object = std::make_shared<MarkedString>(std::string(name));
  return v;
}

const Value *Value::find(std::string_view key) const {
  if (isMapping())
    for (const auto &[name, value] : entries())
      if (name.str() == key)
        return &value;
  return nullptr;
}

bool Value::truthy() const {
  switch (type) {
  case Kind::Undefined:
  case Kind::None:
    return false;
  case Kind::Bool:
  case Kind::Int:
    return number.i != 0;
  case Kind::Float:
    return number.d != 0;
  case Kind::String:
    return !str().empty();
  case Kind::List:
  case Kind::Tuple:
    return !items().empty();
  case Kind::Dict:
    return !entries().empty();
  default:
    return true;
  }
}

bool Value::equals(const Value &o) const {
  if (isNumber() && o.isNumber())
    return type == Kind::Float || o.type == Kind::Float ? toDouble() == o.toDouble() : number.i == o.number.i;
  if (type != o.type)
    return false;
  switch (type) {
  case Kind::Undefined:
  case Kind::None:
    return true;
  case Kind::String:
    return str().str() == o.str().str();
  case Kind::List:
  case Kind::Tuple:
    return std::equal(items().begin(), items().end(), o.items().begin(), o.items().end(),
                      [](const Value &a, const Value &b) { return a.equals(b); });
  case Kind::Dict: {
    if (entries().size() != o.entries().size())
      return false;
    for (const auto &[key, value] : entries()) {
      const Value *other = o.find(key.str());
      if (!other || !value.equals(*other))
        return false;
    }
    return true;
  }
  default:
    return object == o.object;
  }
}

std::string formatDouble(double d) {
  if (std::isnan(d))
    return "nan";
  if (std::isinf(d))
    return d < 0 ? "-inf" : "inf";
  char buffer[40];
  int digits = 1;
  do // the fewest digits that read back as the same number
    std::snprintf(buffer, sizeof buffer, "%.*e", digits - 1, d);
  while (std::strtod(buffer, nullptr) != d && ++digits <= 17);
  int exponent = std::atoi(std::strchr(buffer, 'e') + 1);
  if (exponent >= -4 && exponent < 16) {
    std::snprintf(buffer, sizeof buffer, "%.*f", std::max(digits - 1 - exponent, 1), d);
    return buffer;
  }
  return buffer; // Python also writes at least two exponent digits
}

void Value::repr(MarkedString &out) const {
  switch (type) {
  case Kind::String: {
    // Python prefers single quotes and escapes what would end the literal.
    const std::string &s = str().str();
    char quote = s.find('\'') != std::string::npos && s.find('"') == std::string::npos ? '"' : '\'';
    out.append(std::string_view(&quote, 1));
    for (size_t i = 0; i < s.size(); ++i) {
      if (s[i] == '\n')
        out.append("\\n");
      else if (s[i] == '\t')
        out.append("\\t");
      else if (s[i] == '\r')
        out.append("\\r");
      else {
        if (s[i] == quote || s[i] == '\\')
          out.append("\\");
        out.append(str().substr(i, 1));
      }
    }
    out.append(std::string_view(&quote, 1));
    return;
  }
  case Kind::List:
  case Kind::Tuple: {
    out.append(type == Kind::List ? "[" : "(");
    for (size_t i = 0; i < items().size(); ++i) {
      out.append(i ? ", " : "");
      items()[i].repr(out);
    }
    out.append(type == Kind::List ? "]" : items().size() == 1 ? ",)" : ")");
    return;
  }
  case Kind::Dict: {
    out.append("{");
    for (size_t i = 0; i < entries().size(); ++i) {
      out.append(i ? ", " : "");
      string(entries()[i].first).repr(out);
      out.append(": ");
      entries()[i].second.repr(out);
    }
    out.append("}");
    return;
  }
  default:
    out.append(toText());
  }
}

MarkedString Value::toText() const {
  MarkedString out;
  switch (type) {
  case Kind::String:
    return str();
  case Kind::Undefined:
    return out;
  case Kind::None:
    return MarkedString("None");
  case Kind::Bool:
    return MarkedString(number.i ? "True" : "False");
  case Kind::Int:
    return MarkedString(std::to_string(number.i));
  case Kind::Float:
    return MarkedString(formatDouble(number.d));
  case Kind::List:
  case Kind::Tuple:
  case Kind::Dict:
    repr(out);
    return out;
  default:
    return MarkedString(std::string("<") + kindName() + ">");
  }
}

const char *Value::kindName() const {
  static const char *const names[] = {"undefined", "none", "boolean",   "integer", "float", "string",  "list",
                                      "tuple",     "dict", "namespace", "loop",    "macro", "function"};
  return names[size_t(type)];
}

} // namespace ktrt::jinja
