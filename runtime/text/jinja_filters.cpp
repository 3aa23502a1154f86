// The filters of the template language, in one table.
#include "runtime/text/jinja_json.h"
#include "runtime/text/jinja_runtime.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <cstdlib>

namespace ktrt::jinja {

using Kind = Value::Kind;

namespace {

using Filter = Value (*)(Runtime &rt, const Value &operand, const Arguments &args);

MarkedString textOf(Runtime &rt, const Value &v) { return rt.charge(v.weight()) ? v.toText() : MarkedString(); }

std::string textArgument(const Arguments &args, size_t index, std::string_view name, std::string fallback) {
  const Value *v = args.get(index, name);
  return v && v->is(Kind::String) ? v->str().str() : fallback;
}

bool flagArgument(const Arguments &args, size_t index, std::string_view name) {
  const Value *v = args.get(index, name);
  return v && v->truthy();
}

// Passes through to the string method of the same name.
template <const char *const *name> Value viaMethod(Runtime &rt, const Value &operand, const Arguments &args) {
  return callMethod(rt, Value::string(textOf(rt, operand)), *name, args);
}
constexpr const char *upperName = "upper", *lowerName = "lower", *titleName = "title",
                     *capitalName = "capitalize", *stripName = "strip", *replaceName = "replace";

Value length(Runtime &rt, const Value &v, const Arguments &) { return Value::integer(lengthOf(rt, v)); }

Value defaultValue(Runtime &, const Value &v, const Arguments &args) {
  bool replace = v.is(Kind::Undefined) || (flagArgument(args, 1, "boolean") && !v.truthy());
  const Value *other = args.get(0, "default_value");
  return !replace ? v : other ? *other : Value::string(MarkedString());
}

// The item's attribute `path` ("a.b" or a number), or the item itself if there is no path.
Value attributeOf(Runtime &rt, const Value &item, const Value *path) {
  if (!path || path->is(Kind::None))
    return item;
  if (!path->is(Kind::String))
    return getItem(rt, item, *path);
  Value current = item;
  std::string_view rest = path->str().str();
  while (!rt.failed()) {
    size_t dot = std::min(rest.find('.'), rest.size());
    current = getAttribute(rt, current, rest.substr(0, dot));
    if (dot == rest.size())
      break;
    rest.remove_prefix(dot + 1);
  }
  return current;
}

Value join(Runtime &rt, const Value &v, const Arguments &args) {
  std::shared_ptr<const List> items;
  if (!iterate(rt, v, items))
    return Value();
  const Value *separator = args.get(0, "d"), *attribute = args.get(1, "attribute");
  MarkedString out;
  for (size_t i = 0; i < items->size() && !rt.failed(); ++i) {
    if (i && separator)
      out.append(textOf(rt, *separator));
    out.append(textOf(rt, attributeOf(rt, (*items)[i], attribute)));
  }
  return rt.makeString(std::move(out));
}

Value list(Runtime &rt, const Value &v, const Arguments &) {
  std::shared_ptr<const List> items;
  return iterate(rt, v, items) ? rt.makeList(*items) : Value();
}

Value items(Runtime &rt, const Value &v, const Arguments &args) {
  return v.is(Kind::Undefined) ? rt.makeList({}) : callMethod(rt, v, "items", args);
}

Value first(Runtime &rt, const Value &v, const Arguments &) {
  std::shared_ptr<const List> items;
  return iterate(rt, v, items) && !items->empty() ? items->front() : Value();
}

Value last(Runtime &rt, const Value &v, const Arguments &) {
  std::shared_ptr<const List> items;
  return iterate(rt, v, items) && !items->empty() ? items->back() : Value();
}

Value reverse(Runtime &rt, const Value &v, const Arguments &) {
  return getSlice(rt, v, Value(), Value(), Value::integer(-1));
}

Value string(Runtime &rt, const Value &v, const Arguments &) { return Value::string(textOf(rt, v)); }

Value toInteger(Runtime &rt, const Value &v, const Arguments &args) {
  const Value *fallback = args.get(0, "default");
  Value otherwise = fallback ? *fallback : Value::integer(0);
  double d = 0;
  if (v.is(Kind::String)) {
    const std::string &text = v.str().str();
    char *end = nullptr;
    long long i = std::strtoll(text.c_str(), &end, 10);
    if (!text.empty() && !*end)
      return Value::integer(i);
    d = std::strtod(text.c_str(), &end);
    if (text.empty() || *end)
      return otherwise;
  } else if (v.is(Kind::Float))
    d = v.toDouble();
  else
    return v.isNumber() ? Value::integer(v.toInt()) : otherwise;
  return std::abs(d) < 9e18 ? Value::integer(int64_t(d)) : otherwise; // NaN too
}

Value toFloat(Runtime &, const Value &v, const Arguments &args) {
  const Value *fallback = args.get(0, "default");
  if (v.isNumber())
    return Value::real(v.toDouble());
  if (v.is(Kind::String) && !v.str().empty()) {
    char *end = nullptr;
    double d = std::strtod(v.str().str().c_str(), &end);
    if (!*end)
      return Value::real(d);
  }
  return fallback ? *fallback : Value::real(0);
}

Value absolute(Runtime &rt, const Value &v, const Arguments &) {
  if (!v.isNumber())
    return rt.fail("filter 'abs' needs a number");
  if (v.is(Kind::Float))
    return Value::real(std::abs(v.toDouble()));
  return v.toInt() < 0 ? binary(rt, "-", Value::integer(0), v) : v;
}

Value roundNumber(Runtime &rt, const Value &v, const Arguments &args) {
  if (!v.isNumber())
    return rt.fail("filter 'round' needs a number");
  const Value *digits = args.get(0, "precision");
  double scale =
      std::pow(10.0, digits && digits->isNumber() ? std::clamp(digits->toDouble(), -20.0, 20.0) : 0.0);
  return Value::real(std::nearbyint(v.toDouble() * scale) / scale);
}

Value tojson(Runtime &rt, const Value &v, const Arguments &args) {
  // The order of parameters is that of the `tojson` which chat templates are written for.
  JsonStyle style;
  style.ensureAscii = flagArgument(args, 0, "ensure_ascii");
  if (const Value *indent = args.get(1, "indent"); indent && indent->isNumber()) {
    style.indent = int(std::clamp<int64_t>(indent->toInt(), 0, 16));
    style.itemSeparator = MarkedString(",");
  }
  if (const Value *separators = args.get(2, "separators"); separators && separators->isSequence()) {
    if (separators->items().size() != 2)
      return rt.fail("filter 'tojson': separators must be two strings");
    style.itemSeparator = separators->items()[0].toText();
    style.keySeparator = separators->items()[1].toText();
  }
  style.sortKeys = flagArgument(args, 3, "sort_keys");
  // Indentation and separators multiply the text by at most their own size.
  uint64_t perItem = uint64_t(std::max(style.indent, 0)) * uint64_t(v.depth()) + style.itemSeparator.size() + 8;
  if (!rt.charge(v.weight() * (perItem / 8 + 1)))
    return Value();
  MarkedString out;
  if (!writeJson(v, style, out))
    return rt.fail(std::string("filter 'tojson': a value of type ") + v.kindName() + " has no JSON form");
  return rt.makeString(std::move(out));
}

Value indent(Runtime &rt, const Value &v, const Arguments &args) {
  const Value *width = args.get(0, "width");
  std::string pad = width && width->is(Kind::String)
                        ? width->str().str()
                        : std::string(size_t(std::clamp<int64_t>(width ? width->toInt() : 4, 0, 64)), ' ');
  bool indentFirst = flagArgument(args, 1, "first"), blank = flagArgument(args, 2, "blank");
  MarkedString text = textOf(rt, v), out;
  const std::string &s = text.str();
  if (!rt.charge(s.size() * (pad.size() / 8 + 1)))
    return Value();
  for (size_t begin = 0;;) {
    size_t end = std::min(s.find('\n', begin), s.size());
    if ((begin > 0 || indentFirst) && (blank || end > begin))
      out.append(pad);
    out.append(text.substr(begin, end - begin + 1));
    if (end == s.size())
      break;
    begin = end + 1;
  }
  return rt.makeString(std::move(out));
}

// `select`, `reject`, `selectattr`, `rejectattr`: keeps the items whose value passes a test (or is true) iff
// `keep`.
Value filterItems(Runtime &rt, const Value &v, const Arguments &args, bool keep, bool byAttribute) {
  std::shared_ptr<const List> items;
  if (!iterate(rt, v, items))
    return Value();
  size_t skip = byAttribute ? 1 : 0;
  const Value *path = byAttribute ? args.get(0) : nullptr;
  const Value *test = args.get(skip);
  Arguments rest;
  for (size_t i = skip + 1; i < args.positional.size(); ++i)
    rest.positional.push_back(args.positional[i]);
  List out;
  for (const Value &item : *items) {
    Value tested = attributeOf(rt, item, path);
    bool pass = test ? applyTest(rt, test->toText().str(), tested, rest) : tested.truthy();
    if (rt.failed() || !rt.charge(1))
      return Value();
    if (pass == keep)
      out.push_back(item);
  }
  return rt.makeList(std::move(out));
}
Value select(Runtime &rt, const Value &v, const Arguments &a) { return filterItems(rt, v, a, true, false); }
Value reject(Runtime &rt, const Value &v, const Arguments &a) { return filterItems(rt, v, a, false, false); }
Value selectattr(Runtime &rt, const Value &v, const Arguments &a) { return filterItems(rt, v, a, true, true); }
Value rejectattr(Runtime &rt, const Value &v, const Arguments &a) { return filterItems(rt, v, a, false, true); }

Value map(Runtime &rt, const Value &v, const Arguments &args) {
  std::shared_ptr<const List> items;
  if (!iterate(rt, v, items))
    return Value();
  const Value *path = args.get(SIZE_MAX, "attribute"), *otherwise = args.get(SIZE_MAX, "default");
  const Value *filter = path ? nullptr : args.get(0);
  if (!path && !filter)
    return rt.fail("filter 'map' needs an attribute or a filter");
  Arguments rest;
  for (size_t i = 1; i < args.positional.size(); ++i)
    rest.positional.push_back(args.positional[i]);
  List out;
  for (const Value &item : *items) {
    Value mapped = path ? attributeOf(rt, item, path) : applyFilter(rt, filter->toText().str(), item, rest);
    if (rt.failed() || !rt.charge(1))
      return Value();
    out.push_back(mapped.is(Kind::Undefined) && otherwise ? *otherwise : mapped);
  }
  return rt.makeList(std::move(out));
}

// Key by which `sort` and its relatives compare: strings without regard to case unless asked.
Value sortKey(Runtime &rt, const Value &item, const Value *attribute, bool caseSensitive) {
  Value key = attributeOf(rt, item, attribute);
  return key.is(Kind::String) && !caseSensitive ? callMethod(rt, key, "lower", {}) : key;
}

Value sortList(Runtime &rt, const List &items, const Value *attribute, bool caseSensitive, bool reverse) {
  std::vector<std::pair<Value, Value>> keyed;
  for (const Value &item : items)
    keyed.emplace_back(sortKey(rt, item, attribute, caseSensitive), item);
  for (const auto &entry : keyed) // one comparable kind, or the order would be undefined
    if (!(entry.first.isNumber() && keyed[0].first.isNumber()) &&
        !(entry.first.is(Kind::String) && keyed[0].first.is(Kind::String)))
      return rt.fail("cannot sort values that are neither all numbers nor all strings");
  if (!rt.charge(keyed.size() * 20))
    return Value();
  std::stable_sort(keyed.begin(), keyed.end(), [&](const auto &a, const auto &b) {
    // Sorting must keep a consistent order even once the budget is used up, so no charge here.
    const Value &x = reverse ? b.first : a.first, &y = reverse ? a.first : b.first;
    return x.is(Kind::String) ? x.str().str() < y.str().str() : x.toDouble() < y.toDouble();
  });
  List out;
  for (auto &entry : keyed)
    out.push_back(std::move(entry.second));
  return rt.makeList(std::move(out));
}

Value sort(Runtime &rt, const Value &v, const Arguments &args) {
  std::shared_ptr<const List> items;
  if (!iterate(rt, v, items))
    return Value();
  return sortList(rt, *items, args.get(2, "attribute"), flagArgument(args, 1, "case_sensitive"),
                  flagArgument(args, 0, "reverse"));
}

Value dictsort(Runtime &rt, const Value &v, const Arguments &args) {
  Value pairs = callMethod(rt, v, "items", {});
  if (rt.failed())
    return Value();
  Value index = Value::integer(textArgument(args, 1, "by", "key") == "value" ? 1 : 0);
  return sortList(rt, pairs.items(), &index, flagArgument(args, 0, "case_sensitive"),
                  flagArgument(args, 2, "reverse"));
}

Value extreme(Runtime &rt, const Value &v, const Arguments &args, bool greatest) {
  std::shared_ptr<const List> items;
  if (!iterate(rt, v, items) || items->empty())
    return Value();
  Value sorted =
      sortList(rt, *items, args.get(1, "attribute"), flagArgument(args, 0, "case_sensitive"), greatest);
  return rt.failed() ? Value() : sorted.items().front();
}
Value minimum(Runtime &rt, const Value &v, const Arguments &args) { return extreme(rt, v, args, false); }
Value maximum(Runtime &rt, const Value &v, const Arguments &args) { return extreme(rt, v, args, true); }

Value sum(Runtime &rt, const Value &v, const Arguments &args) {
  std::shared_ptr<const List> items;
  if (!iterate(rt, v, items))
    return Value();
  Value total = Value::integer(0);
  for (const Value &item : *items)
    total = binary(rt, "+", total, attributeOf(rt, item, args.get(0, "attribute")));
  return total;
}

Value unique(Runtime &rt, const Value &v, const Arguments &args) {
  std::shared_ptr<const List> items;
  if (!iterate(rt, v, items))
    return Value();
  List keys, out;
  for (const Value &item : *items) {
    Value key = sortKey(rt, item, args.get(1, "attribute"), flagArgument(args, 0, "case_sensitive"));
    if (!rt.charge(keys.size() + 1))
      return Value();
    if (std::any_of(keys.begin(), keys.end(), [&](const Value &k) { return k.equals(key); }))
      continue;
    keys.push_back(key);
    out.push_back(item);
  }
  return rt.makeList(std::move(out));
}

const struct {
  std::string_view name;
  Filter apply;
} filters[] = {
    {"abs", absolute},
    {"capitalize", viaMethod<&capitalName>},
    {"count", length},
    {"d", defaultValue},
    {"default", defaultValue},
    {"dictsort", dictsort},
    {"first", first},
    {"float", toFloat},
    {"indent", indent},
    {"int", toInteger},
    {"items", items},
    {"join", join},
    {"last", last},
    {"length", length},
    {"list", list},
    {"lower", viaMethod<&lowerName>},
    {"map", map},
    {"max", maximum},
    {"min", minimum},
    {"reject", reject},
    {"rejectattr", rejectattr},
    {"replace", viaMethod<&replaceName>},
    {"reverse", reverse},
    {"round", roundNumber},
    {"safe", string},
    {"select", select},
    {"selectattr", selectattr},
    {"sort", sort},
    {"string", string},
    {"sum", sum},
    {"title", viaMethod<&titleName>},
    {"tojson", tojson},
    {"trim", viaMethod<&stripName>},
    {"unique", unique},
    {"upper", viaMethod<&upperName>},
};

} // namespace

Value applyFilter(Runtime &rt, std::string_view name, const Value &operand, const Arguments &args) {
  for (const auto &filter : filters)
    if (filter.name == name)
      return filter.apply(rt, operand, args);
  return rt.fail("unknown filter '" + std::string(name) + "'");
}

} // namespace ktrt::jinja
