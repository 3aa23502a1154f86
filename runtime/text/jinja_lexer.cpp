// Hand-written lexer: alternates between template text and tags.
#include "runtime/text/jinja_lexer.h"
#include "runtime/text/utf8.h"

namespace ktrt::jinja {

namespace {

bool isSpace(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
bool isDigit(char c) { return c >= '0' && c <= '9'; }
bool isNameStart(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || uint8_t(c) >= 0x80;
}

constexpr std::string_view operators[] = {"//", "**", "==", "!=", "<=", ">=", "+", "-", "*",
                                          "/",  "%",  "~",  "<",  ">",  "=",  ".", ",", ":",
                                          "|",  "(",  ")",  "[",  "]",  "{",  "}", ";"};

class Lexer {
public:
  explicit Lexer(std::string_view source) { // line ends as the template language sees them
    for (size_t i = 0; i < source.size(); ++i) {
      if (source[i] == '\r' && i + 1 < source.size() && source[i + 1] == '\n')
        continue;
      text += source[i] == '\r' ? '\n' : source[i];
    }
    if (!text.empty() && text.back() == '\n')
      text.pop_back();
  }

  kt::Result<std::vector<Token>> run() {
    while (failure.empty() && pos < text.size())
      lexText();
    if (!failure.empty())
      return kt::Error{"chat template: line " + std::to_string(line) + ": " + failure};
    add(Token::Kind::End, "");
    return std::move(tokens);
  }

private:
  bool at(std::string_view s) const { return std::string_view(text).substr(pos, s.size()) == s; }
  void add(Token::Kind kind, std::string value) { tokens.push_back({kind, line, std::move(value)}); }

  void advance(size_t to) {
    for (; pos < to; ++pos)
      line += text[pos] == '\n';
  }

  // Template text up to the next tag, then the tag.
  void lexText() {
    size_t begin = pos, tag = begin;
    for (;; ++tag) {
      tag = text.find('{', tag);
      if (tag == std::string::npos || tag + 1 >= text.size()) {
        tag = text.size();
        break;
      }
      if (text[tag + 1] == '{' || text[tag + 1] == '%' || text[tag + 1] == '#')
        break;
    }
    if (tag == text.size()) {
      emitText(begin, tag);
      advance(tag);
      return;
    }
    char type = text[tag + 1], sign = tag + 2 < text.size() ? text[tag + 2] : ' ';
    size_t end = tag;
    if (sign == '-')
      while (end > begin && isSpace(text[end - 1]))
        --end;
    else if (type != '{' && sign != '+')
      end = stripLine(begin, tag);
    emitText(begin, end);
    advance(tag);
    pos += sign == '-' || sign == '+' ? 3 : 2;
    if (type == '#')
      lexComment();
    else
      lexTag(type == '%');
  }

  void emitText(size_t begin, size_t end) {
    if (end > begin)
      add(Token::Kind::Text, text.substr(begin, end - begin));
  }

  // lstrip_blocks: where the text ends if only blanks stand between the start of the line and the tag.
  size_t stripLine(size_t begin, size_t tag) const {
    size_t i = tag;
    while (i > begin && (text[i - 1] == ' ' || text[i - 1] == '\t'))
      --i;
    bool lineStart = i > begin ? text[i - 1] == '\n' : atLineStart;
    return lineStart ? i : tag;
  }

  // After a tag whose closing mark ends at `to`: a minus sign eats all space, trim_blocks one line break.
  void afterTag(size_t to, bool minus, bool plus, bool trimBreak) {
    advance(to);
    size_t end = pos;
    if (minus)
      while (end < text.size() && isSpace(text[end]))
        ++end;
    else if (trimBreak && !plus && end < text.size() && text[end] == '\n')
      ++end;
    atLineStart = end > pos && text[end - 1] == '\n';
    advance(end);
  }

  void lexComment() {
    size_t close = text.find("#}", pos);
    if (close == std::string::npos) {
      failure = "a comment is not closed";
      return;
    }
    char sign = close > pos ? text[close - 1] : ' ';
    afterTag(close + 2, sign == '-', sign == '+', true);
  }

  void lexTag(bool block) {
    size_t first = tokens.size();
    add(block ? Token::Kind::BlockBegin : Token::Kind::PrintBegin, "");
    int nesting = 0; // a "}}" inside braces closes two dicts, not the tag
    while (failure.empty()) {
      while (pos < text.size() && isSpace(text[pos]))
        advance(pos + 1);
      if (pos >= text.size()) {
        failure = "a tag is not closed";
        return;
      }
      bool minus = text[pos] == '-', plus = text[pos] == '+';
      size_t close = pos + (minus || plus);
      std::string_view end = block ? "%}" : "}}";
      if (nesting == 0 && std::string_view(text).substr(close, 2) == end) {
        add(block ? Token::Kind::BlockEnd : Token::Kind::PrintEnd, "");
        afterTag(close + 2, minus, plus, block);
        if (block && tokens.size() == first + 3 && tokens[first + 1].text == "raw")
          lexRaw(first);
        return;
      }
      lexToken(nesting);
    }
  }

  // {% raw %} ... {% endraw %}: the text between is not interpreted. Drops the tokens of the opening tag.
  void lexRaw(size_t first) {
    tokens.resize(first);
    for (size_t i = pos; (i = text.find("{%", i)) != std::string::npos; i += 2) {
      size_t word = i + 2;
      bool minusBefore = word < text.size() && text[word] == '-';
      word += minusBefore;
      while (word < text.size() && isSpace(text[word]))
        ++word;
      if (text.compare(word, 6, "endraw") != 0)
        continue;
      size_t close = text.find("%}", word);
      if (close == std::string::npos)
        break;
      size_t end = i;
      if (minusBefore)
        while (end > pos && isSpace(text[end - 1]))
          --end;
      else
        end = stripLine(pos, i);
      emitText(pos, end);
      afterTag(close + 2, text[close - 1] == '-', text[close - 1] == '+', true);
      return;
    }
    failure = "'raw' is not closed by 'endraw'";
  }

  void lexToken(int &nesting) {
    char c = text[pos];
    if (isNameStart(c)) {
      size_t end = pos;
      while (end < text.size() && (isNameStart(text[end]) || isDigit(text[end])))
        ++end;
      add(Token::Kind::Name, text.substr(pos, end - pos));
      pos = end;
    } else if (isDigit(c)) {
      lexNumber();
    } else if (c == '"' || c == '\'') {
      lexString(c);
    } else {
      for (std::string_view op : operators)
        if (at(op)) {
          nesting += op == "{" || op == "(" || op == "[";
          nesting -= (op == "}" || op == ")" || op == "]") && nesting > 0;
          add(Token::Kind::Operator, std::string(op));
          pos += op.size();
          return;
        }
      failure = std::string("unexpected character '") + c + "'";
    }
  }

  void lexNumber() {
    size_t end = pos;
    std::string digits;
    auto eat = [&] {
      for (; end < text.size() && (isDigit(text[end]) || text[end] == '_'); ++end)
        if (text[end] != '_')
          digits += text[end];
    };
    eat();
    bool real = false;
    if (end + 1 < text.size() && text[end] == '.' && isDigit(text[end + 1])) {
      real = true;
      digits += text[end++];
      eat();
    }
    if (end + 1 < text.size() && (text[end] == 'e' || text[end] == 'E')) {
      size_t exponent = end + 1 + (text[end + 1] == '-' || text[end + 1] == '+');
      if (exponent < text.size() && isDigit(text[exponent])) {
        real = true;
        digits.append(text, end, exponent - end);
        end = exponent;
        eat();
      }
    }
    add(real ? Token::Kind::Float : Token::Kind::Integer, digits);
    pos = end;
  }

  // Value of the `count` hexadecimal digits at `from`, or -1.
  int64_t hex(size_t from, size_t count) const {
    int64_t value = 0;
    for (size_t i = from; i < from + count; ++i) {
      char c = i < text.size() ? char(text[i] | 0x20) : ' ';
      if (isDigit(c))
        value = value * 16 + (c - '0');
      else if (c >= 'a' && c <= 'f')
        value = value * 16 + (c - 'a' + 10);
      else
        return -1;
    }
    return value;
  }

  void lexString(char quote) {
    std::string out;
    size_t i = pos + 1;
    for (; i < text.size() && text[i] != quote; ++i) {
      if (text[i] != '\\' || i + 1 >= text.size()) {
        out += text[i];
        continue;
      }
      char c = text[++i];
      size_t digits = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
      constexpr std::string_view names = "ntrbfav0";
      if (int64_t code = digits ? hex(i + 1, digits) : -1; code >= 0) {
        appendUtf8(out, uint32_t(code));
        i += digits;
      } else if (size_t k = names.find(c); k != std::string_view::npos) {
        out += std::string_view("\n\t\r\b\f\a\v\0", 8)[k];
      } else if (c == '\n') {
        // a line continuation
      } else {
        if (c != '\\' && c != '\'' && c != '"')
          out += '\\'; // Python keeps unknown escapes
        out += c;
      }
    }
    if (i >= text.size()) {
      failure = "a string is not closed";
      return;
    }
    add(Token::Kind::String, std::move(out));
    advance(i + 1);
  }

  std::string text;
  size_t pos = 0;
  uint32_t line = 1;
  bool atLineStart = true;
  std::string failure;
  std::vector<Token> tokens;
};

} // namespace

kt::Result<std::vector<Token>> tokenize(std::string_view source) { return Lexer(source).run(); }

} // namespace ktrt::jinja
