// Expressions of the template language, and the token handling that statements share. Internal to the parser.
//
// Recursive descent, one function per precedence level. From loosest to tightest: if-else, or, and, not,
// comparisons, + and -, ~,
// * / // %, **, unary sign, then the postfix forms: attribute, index, call; filters and tests bind tightest of
// all but postfix.
#pragma once

#include "runtime/text/jinja_lexer.h"
#include "runtime/text/jinja_parser.h"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <initializer_list>

namespace ktrt::jinja {

class ExpressionParser {
protected:
  using Kind = Token::Kind;

  explicit ExpressionParser(std::vector<Token> t) : tokens(std::move(t)) {}

  // --- tokens ---
  const Token &peek(size_t ahead = 0) const { return tokens[std::min(pos + ahead, tokens.size() - 1)]; }
  bool isOp(std::string_view op) const { return peek().kind == Kind::Operator && peek().text == op; }
  bool isName(std::string_view name) const { return peek().kind == Kind::Name && peek().text == name; }
  bool takeOp(std::string_view op) { return isOp(op) && ++pos; }
  bool takeName(std::string_view name) { return isName(name) && ++pos; }

  // The first error counts; parsing then runs to its end without effect, because every loop checks ok().
  bool ok() const { return failure.empty(); }
  NodePtr fail(std::string message) {
    if (ok()) {
      failure = std::move(message);
      failureLine = peek().line;
    }
    return make(NodeKind::Constant);
  }
  void expectOp(std::string_view op) {
    if (!takeOp(op))
      fail("expected '" + std::string(op) + "', found " + found());
  }
  void expect(Kind kind, const char *what) {
    if (peek().kind == kind)
      ++pos;
    else
      fail(std::string("expected ") + what + ", found " + found());
  }
  std::string expectName() {
    if (peek().kind == Kind::Name)
      return tokens[pos++].text;
    fail("expected a name, found " + found());
    return "";
  }
  std::string found() const {
    switch (peek().kind) {
    case Kind::End:
      return "the end of the template";
    case Kind::BlockEnd:
      return "'%}'";
    case Kind::PrintEnd:
      return "'}}'";
    default:
      return "'" + peek().text.substr(0, 40) + "'";
    }
  }

  // --- nodes ---
  NodePtr make(NodeKind kind, std::string text = "") const {
    auto node = std::make_unique<Node>();
    node->kind = kind;
    node->line = peek().line;
    node->text = std::move(text);
    return node;
  }
  void addChild(Node &parent, NodePtr child) {
    if (child)
      parent.height = std::max<uint16_t>(parent.height, uint16_t(child->height + 1));
    parent.children.push_back(std::move(child));
    if (parent.height > maxHeight)
      fail("the template is nested too deeply");
  }
  NodePtr make(NodeKind kind, std::string text, NodePtr a, NodePtr b = nullptr) {
    NodePtr node = make(kind, std::move(text));
    addChild(*node, std::move(a));
    if (b)
      addChild(*node, std::move(b));
    return node;
  }

  // Counts the recursion of the parser itself, which unclosed brackets can drive without making nodes.
  struct DepthGuard {
    ExpressionParser &parser;
    explicit DepthGuard(ExpressionParser &p) : parser(p) {
      if (++p.depth > maxHeight)
        p.fail("the template is nested too deeply");
    }
    ~DepthGuard() { --parser.depth; }
  };

  // --- expressions ---
  NodePtr parseExpression() {
    DepthGuard guard(*this);
    NodePtr node = parseOr();
    while (ok() && takeName("if")) {
      NodePtr condition = parseOr();
      node = make(NodeKind::Ternary, "", std::move(condition), std::move(node));
      if (takeName("else"))
        addChild(*node, parseExpression());
    }
    return node;
  }

  // `a, b` without brackets is a tuple.
  NodePtr parseTupleExpression() {
    NodePtr first = parseExpression();
    if (!isOp(","))
      return first;
    NodePtr tuple = make(NodeKind::Tuple, "", std::move(first));
    while (ok() && takeOp(",") && !atExpressionEnd())
      addChild(*tuple, parseExpression());
    return tuple;
  }
  bool atExpressionEnd() const {
    return peek().kind == Kind::BlockEnd || peek().kind == Kind::PrintEnd || isOp(")") || isOp("=");
  }

  NodePtr parseOr() {
    NodePtr left = parseAnd();
    while (ok() && takeName("or"))
      left = make(NodeKind::Or, "", std::move(left), parseAnd());
    return left;
  }
  NodePtr parseAnd() {
    NodePtr left = parseNot();
    while (ok() && takeName("and"))
      left = make(NodeKind::And, "", std::move(left), parseNot());
    return left;
  }
  NodePtr parseNot() {
    DepthGuard guard(*this);
    if (ok() && takeName("not"))
      return make(NodeKind::Not, "", parseNot());
    return parseCompare();
  }

  NodePtr parseCompare() {
    NodePtr left = parseSum(), chain;
    while (ok()) {
      std::string op;
      if (peek().kind == Kind::Operator &&
          (isOp("==") || isOp("!=") || isOp("<") || isOp(">") || isOp("<=") || isOp(">=")))
        op = tokens[pos++].text;
      else if (takeName("in"))
        op = "in";
      else if (isName("not") && peek(1).kind == Kind::Name && peek(1).text == "in") {
        pos += 2;
        op = "not in";
      } else
        break;
      if (!chain)
        chain = make(NodeKind::Compare, "", std::move(left));
      chain->names.push_back(op);
      addChild(*chain, parseSum());
    }
    return chain ? std::move(chain) : std::move(left);
  }

  // One level of left-associative binary operators.
  NodePtr parseBinary(std::initializer_list<std::string_view> ops, NodePtr (ExpressionParser::*next)()) {
    NodePtr left = (this->*next)();
    while (ok() && peek().kind == Kind::Operator &&
           std::find(ops.begin(), ops.end(), peek().text) != ops.end()) {
      std::string op = tokens[pos++].text;
      left = make(NodeKind::Binary, op, std::move(left), (this->*next)());
    }
    return left;
  }
  NodePtr parseSum() { return parseBinary({"+", "-"}, &ExpressionParser::parseConcat); }
  NodePtr parseConcat() { return parseBinary({"~"}, &ExpressionParser::parseProduct); }
  NodePtr parseProduct() { return parseBinary({"*", "/", "//", "%"}, &ExpressionParser::parsePower); }
  NodePtr parsePower() { return parseBinary({"**"}, &ExpressionParser::parseSigned); }
  NodePtr parseSigned() { return parseUnary(true); }

  NodePtr parseUnary(bool withFilter) {
    DepthGuard guard(*this);
    NodePtr node;
    if (ok() && takeOp("-"))
      node = make(NodeKind::Negate, "", parseUnary(false));
    else if (ok() && takeOp("+"))
      node = make(NodeKind::Plus, "", parseUnary(false));
    else
      node = parsePostfix(parsePrimary());
    return withFilter ? parseFilters(parsePostfix(std::move(node))) : std::move(node);
  }

  NodePtr parsePrimary() {
    Token token = peek();
    switch (token.kind) {
    case Kind::Name:
      ++pos;
      return nameOrConstant(token.text);
    case Kind::String: {
      NodePtr node = constant(Value());
      std::string text;
      while (peek().kind == Kind::String) // neighbouring literals are one
        text += tokens[pos++].text;
      node->value = Value::string(std::move(text));
      return node;
    }
    case Kind::Integer: {
      errno = 0;
      long long value = std::strtoll(token.text.c_str(), nullptr, 10);
      if (errno)
        return fail("the number " + token.text + " is too large");
      ++pos;
      return constant(Value::integer(value));
    }
    case Kind::Float:
      ++pos;
      return constant(Value::real(std::strtod(token.text.c_str(), nullptr)));
    default:
      break;
    }
    if (takeOp("("))
      return parseParenthesis();
    if (takeOp("["))
      return parseItems("]", make(NodeKind::List));
    if (takeOp("{"))
      return parseDict();
    return fail("expected an expression, found " + found());
  }

  NodePtr constant(Value value) const {
    NodePtr node = make(NodeKind::Constant);
    node->value = std::move(value);
    return node;
  }
  NodePtr nameOrConstant(const std::string &name) {
    if (name == "true" || name == "True" || name == "false" || name == "False")
      return constant(Value::boolean(name[0] == 't' || name[0] == 'T'));
    if (name == "none" || name == "None")
      return constant(Value::none());
    return make(NodeKind::Name, name);
  }
  NodePtr parseItems(std::string_view close, NodePtr list) {
    while (ok() && !isOp(close)) {
      addChild(*list, parseExpression());
      if (!takeOp(","))
        break;
    }
    expectOp(close);
    return list;
  }
  NodePtr parseParenthesis() {
    if (takeOp(")"))
      return make(NodeKind::Tuple);
    NodePtr inner = parseTupleExpression();
    expectOp(")");
    return inner;
  }
  NodePtr parseDict() {
    NodePtr dict = make(NodeKind::Dict);
    while (ok() && !isOp("}")) {
      addChild(*dict, parseExpression());
      expectOp(":");
      addChild(*dict, parseExpression());
      if (!takeOp(","))
        break;
    }
    expectOp("}");
    return dict;
  }

  NodePtr parsePostfix(NodePtr node) {
    while (ok()) {
      if (takeOp(".")) {
        if (peek().kind == Kind::Integer)
          node = make(NodeKind::Index, "", std::move(node), parsePrimary());
        else {
          std::string name = expectName();
          node = make(NodeKind::Attribute, name, std::move(node));
        }
      } else if (takeOp("["))
        node = parseSubscript(std::move(node));
      else if (takeOp("(")) {
        node = make(NodeKind::Call, "", std::move(node));
        parseArguments(*node);
      } else
        break;
    }
    return node;
  }

  NodePtr parseSubscript(NodePtr object) {
    NodePtr parts[3];
    int colons = 0;
    while (ok() && !isOp("]")) {
      if (takeOp(":")) {
        if (++colons > 2)
          return fail("a slice has at most three parts");
      } else if (parts[colons])
        return fail("expected ']', found " + found());
      else
        parts[colons] = parseExpression();
    }
    expectOp("]");
    if (colons == 0 && !parts[0])
      return fail("expected an index");
    NodePtr node = make(colons ? NodeKind::Slice : NodeKind::Index, "", std::move(object));
    for (int i = 0; i < (colons ? 3 : 1); ++i)
      addChild(*node, std::move(parts[i]));
    return node;
  }

  // Arguments up to ")", after the operand that `call` already has as first child. Fills names in step.
  void parseArguments(Node &call) {
    while (ok() && !isOp(")")) {
      std::string keyword;
      if (peek().kind == Kind::Name && peek(1).kind == Kind::Operator && peek(1).text == "=") {
        keyword = peek().text;
        pos += 2;
      }
      call.names.push_back(keyword);
      addChild(call, parseExpression());
      if (!takeOp(","))
        break;
    }
    expectOp(")");
  }

  NodePtr parseFilters(NodePtr node) {
    while (ok()) {
      if (takeOp("|"))
        node = parseFilter(std::move(node));
      else if (takeName("is"))
        node = parseTest(std::move(node));
      else if (takeOp("(")) {
        node = make(NodeKind::Call, "", std::move(node));
        parseArguments(*node);
      } else
        break;
    }
    return node;
  }
  NodePtr parseFilter(NodePtr operand) {
    std::string name = expectName();
    NodePtr filter = make(NodeKind::Filter, name, std::move(operand));
    if (takeOp("("))
      parseArguments(*filter);
    return filter;
  }
  NodePtr parseTest(NodePtr operand) {
    bool negated = takeName("not");
    std::string name = expectName();
    NodePtr test = make(NodeKind::Test, name, std::move(operand));
    Kind next = peek().kind;
    bool word = next == Kind::Name && !isName("else") && !isName("or") && !isName("and") && !isName("if") &&
                !isName("is") && !isName("in") && !isName("not");
    if (takeOp("("))
      parseArguments(*test);
    else if (word || next == Kind::String || next == Kind::Integer || next == Kind::Float || isOp("[") ||
             isOp("{")) {
      test->names.push_back("");
      addChild(*test, parsePostfix(parsePrimary()));
    }
    return negated ? make(NodeKind::Not, "", std::move(test)) : std::move(test);
  }

  std::vector<Token> tokens;
  size_t pos = 0;
  int depth = 0, loops = 0;
  std::string failure;
  uint32_t failureLine = 0;
};

} // namespace ktrt::jinja
