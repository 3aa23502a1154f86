// Statements of the template language: blocks of text, output and tags. Expressions are in
// jinja_expression_parser.h.
#include "runtime/text/jinja_parser.h"

#include "runtime/text/jinja_expression_parser.h"

namespace ktrt::jinja {

namespace {

class Parser : ExpressionParser {
public:
  explicit Parser(std::vector<Token> t) : ExpressionParser(std::move(t)) {}

  kt::Result<NodePtr> run() {
    NodePtr root = parseBlock({});
    if (!failure.empty())
      return kt::Error{"chat template: line " + std::to_string(failureLine) + ": " + failure};
    return root;
  }

private:
  // Statements up to a tag that starts with one of `ends`; that tag's "{%" is consumed, its name is not.
  NodePtr parseBlock(std::initializer_list<std::string_view> ends) {
    DepthGuard guard(*this);
    NodePtr block = make(NodeKind::Block);
    while (ok()) {
      switch (peek().kind) {
      case Kind::Text:
        addChild(*block, make(NodeKind::Text, peek().text));
        ++pos;
        break;
      case Kind::PrintBegin: {
        ++pos;
        addChild(*block, make(NodeKind::Print, "", parseTupleExpression()));
        expect(Kind::PrintEnd, "'}}'");
        break;
      }
      case Kind::BlockBegin:
        ++pos;
        if (peek().kind == Kind::Name && std::find(ends.begin(), ends.end(), peek().text) != ends.end())
          return block;
        parseStatement(*block);
        break;
      default:
        if (ends.size())
          fail("expected '" + std::string(*(ends.end() - 1)) + "', found " + found());
        return block;
      }
    }
    return block;
  }
  void closeTag() { expect(Kind::BlockEnd, "'%}'"); }

  void parseStatement(Node &block) {
    std::string name = expectName();
    if (name == "if")
      addChild(block, parseIf());
    else if (name == "for")
      addChild(block, parseFor());
    else if (name == "set")
      addChild(block, parseSet());
    else if (name == "macro")
      addChild(block, parseMacro());
    else if (name == "filter")
      addChild(block, parseFilterBlock());
    else if (name == "break" || name == "continue") {
      if (!loops)
        fail("'" + name + "' outside a loop");
      addChild(block, make(name == "break" ? NodeKind::Break : NodeKind::Continue));
      closeTag();
    } else if (name == "generation") { // marks answers for training; no effect on the text
      closeTag();
      addChild(block, parseBlock({"endgeneration"}));
      ++pos;
      closeTag();
    } else
      fail("unsupported statement '" + name + "'");
  }

  NodePtr parseIf() {
    NodePtr node = make(NodeKind::If);
    do {
      addChild(*node, parseTupleExpression());
      closeTag();
      addChild(*node, parseBlock({"elif", "else", "endif"}));
    } while (ok() && takeName("elif"));
    if (takeName("else")) {
      closeTag();
      addChild(*node, parseBlock({"endif"}));
    }
    ++pos;
    closeTag();
    return node;
  }

  NodePtr parseFor() {
    NodePtr node = make(NodeKind::For);
    bool bracket = takeOp("(");
    do
      node->names.push_back(expectName());
    while (ok() && takeOp(","));
    if (bracket)
      expectOp(")");
    if (!takeName("in"))
      fail("expected 'in', found " + found());
    addChild(*node, parseOr()); // not an if-else: the 'if' of a loop filters
    addChild(*node, takeName("if") ? parseExpression() : nullptr);
    if (takeName("recursive"))
      fail("recursive loops are not supported");
    closeTag();
    ++loops;
    addChild(*node, parseBlock({"else", "endfor"}));
    --loops;
    if (takeName("else")) {
      closeTag();
      addChild(*node, parseBlock({"endfor"}));
    } else
      addChild(*node, nullptr);
    ++pos;
    closeTag();
    return node;
  }

  NodePtr parseSet() {
    NodePtr node = make(NodeKind::Set);
    node->names.push_back(expectName());
    if (takeOp("."))
      node->text = expectName();
    while (ok() && takeOp(","))
      node->names.push_back(expectName());
    if (takeOp("=")) {
      addChild(*node, parseTupleExpression());
      closeTag();
      return node;
    }
    node->kind = NodeKind::SetBlock;
    NodePtr filters = parseFilterChain();
    addChild(*node, parseBlock({"endset"}));
    addChild(*node, std::move(filters));
    ++pos;
    closeTag();
    return node;
  }

  // `| a | b` up to the end of the tag, over the text of the block that follows; null if there is none.
  NodePtr parseFilterChain() {
    NodePtr filters;
    if (isOp("|"))
      filters = parseFilters(make(NodeKind::Name, blockOperand));
    closeTag();
    return filters;
  }
  NodePtr parseFilterBlock() {
    NodePtr node = make(NodeKind::FilterBlock);
    NodePtr filters = parseFilters(parseFilter(make(NodeKind::Name, blockOperand)));
    closeTag();
    addChild(*node, parseBlock({"endfilter"}));
    addChild(*node, std::move(filters));
    ++pos;
    closeTag();
    return node;
  }

  NodePtr parseMacro() {
    NodePtr node = make(NodeKind::Macro, expectName());
    std::vector<NodePtr> defaults;
    expectOp("(");
    while (ok() && !isOp(")")) {
      node->names.push_back(expectName());
      if (takeOp("="))
        defaults.push_back(parseExpression());
      else if (!defaults.empty())
        fail("a parameter without a default follows one with a default");
      if (!takeOp(","))
        break;
    }
    expectOp(")");
    closeTag();
    int outer = loops;
    loops = 0;
    addChild(*node, parseBlock({"endmacro"}));
    loops = outer;
    for (NodePtr &value : defaults)
      addChild(*node, std::move(value));
    ++pos;
    closeTag();
    return node;
  }
};

} // namespace

kt::Result<NodePtr> parseTemplate(std::string_view source) {
  auto tokens = tokenize(source);
  if (!tokens)
    return tokens.error();
  return Parser(std::move(*tokens)).run();
}

} // namespace ktrt::jinja
