// A small strict JSON reader, and a writer that matches Python's json.dumps byte by byte.
#include "runtime/text/jinja_json.h"
#include "runtime/text/utf8.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>

namespace ktrt::jinja {

namespace {

class Reader {
public:
  Reader(std::string_view text, bool trusted) : text(text), trusted(trusted) {}

  kt::Result<Value> run() {
    Value value = parseValue(0);
    skipSpace();
    if (failure.empty() && pos != text.size())
      fail("unexpected text after the value");
    if (!failure.empty())
      return kt::Error{"JSON, byte " + std::to_string(pos) + ": " + failure};
    return value;
  }

private:
  Value fail(const char *message) {
    if (failure.empty())
      failure = message;
    return Value();
  }
  void skipSpace() {
    while (pos < text.size() &&
           (text[pos] == ' ' || text[pos] == '\n' || text[pos] == '\r' || text[pos] == '\t'))
      ++pos;
  }
  bool take(char c) {
    skipSpace();
    return pos < text.size() && text[pos] == c && ++pos;
  }
  bool takeWord(std::string_view word) {
    if (text.substr(pos, word.size()) != word)
      return false;
    pos += word.size();
    return true;
  }

  Value parseValue(int depth) {
    skipSpace();
    if (depth >= Value::maxDepth)
      return fail("nested too deeply");
    if (pos >= text.size())
      return fail("expected a value, found the end");
    char c = text[pos];
    if (c == '{')
      return parseObject(depth);
    if (c == '[')
      return parseArray(depth);
    if (c == '"')
      return Value::string(MarkedString(parseString(), trusted));
    if (takeWord("true"))
      return Value::boolean(true);
    if (takeWord("false"))
      return Value::boolean(false);
    if (takeWord("null"))
      return Value::none();
    return parseNumber();
  }

  Value parseObject(int depth) {
    Dict entries;
    ++pos;
    if (take('}'))
      return Value::dict({});
    do {
      skipSpace();
      if (pos >= text.size() || text[pos] != '"')
        return fail("expected a key in quotes");
      std::string key = parseString();
      if (!take(':'))
        return fail("expected ':'");
      Value value = parseValue(depth + 1);
      if (!failure.empty())
        return Value();
      auto same =
          std::find_if(entries.begin(), entries.end(), [&](const auto &e) { return e.first.str() == key; });
      if (same != entries.end())
        same->second = std::move(value);
      else if (entries.size() >= maxKeys)
        return fail("an object has too many keys");
      else
        entries.emplace_back(MarkedString(std::move(key), trusted), std::move(value));
    } while (take(','));
    if (!take('}'))
      return fail("expected ',' or '}'");
    return Value::dict(std::move(entries));
  }

  Value parseArray(int depth) {
    List items;
    ++pos;
    if (take(']'))
      return Value::list({});
    do {
      items.push_back(parseValue(depth + 1));
      if (!failure.empty())
        return Value();
    } while (take(','));
    if (!take(']'))
      return fail("expected ',' or ']'");
    return Value::list(std::move(items));
  }

  Value parseNumber() {
    size_t end = pos;
    bool real = false;
    for (; end < text.size() && (std::string_view("+-.eE").find(text[end]) != std::string_view::npos ||
                                 (text[end] >= '0' && text[end] <= '9'));
         ++end)
      real |= text[end] == '.' || text[end] == 'e' || text[end] == 'E';
    std::string digits(text.substr(pos, end - pos));
    char *rest = nullptr;
    errno = 0;
    long long integer = real ? 0 : std::strtoll(digits.c_str(), &rest, 10);
    bool useReal = real || errno == ERANGE;
    double number = useReal ? std::strtod(digits.c_str(), &rest) : 0;
    bool leadingOk = !digits.empty() && digits[0] != '+' && digits[0] != '.';
    if (!leadingOk || !rest || *rest)
      return fail("expected a value");
    pos = end;
    return useReal ? Value::real(number) : Value::integer(integer);
  }

  // The four hexadecimal digits at `pos`, or -1.
  int32_t parseHex() {
    int32_t value = 0;
    if (text.size() - pos < 4)
      return -1;
    for (int i = 0; i < 4; ++i) {
      char c = text[pos + size_t(i)];
      int digit = c >= '0' && c <= '9'                     ? c - '0'
                  : (c | 0x20) >= 'a' && (c | 0x20) <= 'f' ? (c | 0x20) - 'a' + 10
                                                           : -1;
      if (digit < 0)
        return -1;
      value = value * 16 + digit;
    }
    pos += 4;
    return value;
  }

  std::string parseString() {
    std::string out;
    for (++pos; pos < text.size() && text[pos] != '"';) {
      char c = text[pos++];
      if (uint8_t(c) < 0x20) {
        fail("a control character in a string");
        return out;
      }
      if (c != '\\') {
        out += c;
        continue;
      }
      char escape = pos < text.size() ? text[pos++] : ' ';
      size_t simple = std::string_view("\"\\/bfnrt").find(escape);
      if (simple != std::string_view::npos) {
        out += "\"\\/\b\f\n\r\t"[simple];
        continue;
      }
      int32_t code = escape == 'u' ? parseHex() : -1;
      if (code < 0) {
        fail("a wrong escape in a string");
        return out;
      }
      if (code >= 0xD800 && code < 0xDC00 && text.substr(pos, 2) == "\\u") { // first half of a pair
        size_t mark = pos;
        pos += 2;
        int32_t low = parseHex();
        if (low >= 0xDC00 && low < 0xE000)
          code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
        else
          pos = mark;
      }
      appendUtf8(out, uint32_t(code));
    }
    if (pos >= text.size())
      fail("a string is not closed");
    else
      ++pos;
    return out;
  }

  static constexpr size_t maxKeys = 4096; // objects are scanned linearly
  std::string_view text;
  bool trusted;
  size_t pos = 0;
  std::string failure;
};

void appendEscape(std::string &out, uint32_t unit) {
  char buffer[8];
  std::snprintf(buffer, sizeof buffer, "\\u%04x", unit);
  out += buffer;
}

// A string with quotes. Escapes have the trust of the string.
void writeString(const MarkedString &s, const JsonStyle &style, MarkedString &out) {
  out.append("\"");
  for (const MarkedText &run : s.runs()) {
    std::string text;
    for (std::string_view rest = run.text; !rest.empty();) {
      Utf8Char c = decodeUtf8(rest);
      size_t simple = std::string_view("\"\\\b\f\n\r\t").find(rest[0]);
      if (simple != std::string_view::npos) {
        text += '\\';
        text += "\"\\bfnrt"[simple];
      } else if (c.codepoint < 0x20)
        appendEscape(text, c.codepoint);
      else if (c.codepoint >= 0x80 && style.ensureAscii) {
        if (c.codepoint >= 0x10000) {
          appendEscape(text, 0xD800 + ((c.codepoint - 0x10000) >> 10));
          appendEscape(text, 0xDC00 + ((c.codepoint - 0x10000) & 0x3FF));
        } else
          appendEscape(text, c.codepoint);
      } else
        text.append(rest.substr(0, c.length));
      rest.remove_prefix(c.length);
    }
    out.append(text, run.trusted);
  }
  out.append("\"");
}

void writeBreak(const JsonStyle &style, int level, MarkedString &out) {
  if (style.indent >= 0)
    out.append("\n" + std::string(size_t(style.indent) * size_t(level), ' '));
}

bool write(const Value &value, const JsonStyle &style, int level, MarkedString &out) {
  using Kind = Value::Kind;
  switch (value.kind()) {
  case Kind::None:
    out.append("null");
    return true;
  case Kind::Bool:
    out.append(value.boolean() ? "true" : "false");
    return true;
  case Kind::Int:
  case Kind::Float:
    out.append(value.toText());
    return true;
  case Kind::String:
    writeString(value.str(), style, out);
    return true;
  case Kind::List:
  case Kind::Tuple: {
    out.append("[");
    bool first = true;
    for (const Value &item : value.items()) {
      if (!first)
        out.append(style.itemSeparator);
      first = false;
      writeBreak(style, level + 1, out);
      if (!write(item, style, level + 1, out))
        return false;
    }
    if (!first)
      writeBreak(style, level, out);
    out.append("]");
    return true;
  }
  case Kind::Dict: {
    std::vector<const Dict::value_type *> order;
    for (const auto &entry : value.entries())
      order.push_back(&entry);
    if (style.sortKeys)
      std::stable_sort(order.begin(), order.end(),
                       [](auto *a, auto *b) { return a->first.str() < b->first.str(); });
    out.append("{");
    for (size_t i = 0; i < order.size(); ++i) {
      if (i)
        out.append(style.itemSeparator);
      writeBreak(style, level + 1, out);
      writeString(order[i]->first, style, out);
      out.append(style.keySeparator);
      if (!write(order[i]->second, style, level + 1, out))
        return false;
    }
    if (!order.empty())
      writeBreak(style, level, out);
    out.append("}");
    return true;
  }
  default:
    return false;
  }
}

} // namespace

kt::Result<Value> parseJson(std::string_view text, bool trusted) { return Reader(text, trusted).run(); }

bool writeJson(const Value &value, const JsonStyle &style, MarkedString &out) {
  return write(value, style, 0, out);
}

} // namespace ktrt::jinja
