// Tree-walking evaluator.
//
// Scopes are a stack. Loop bodies and macro calls push one; what is set inside a loop is gone after it, as in
// the original language. A macro sees its own scopes and the outermost one.
#include "runtime/text/jinja_evaluator.h"

#include <algorithm>

namespace ktrt::jinja {

using Kind = Value::Kind;

namespace {

enum class Flow { Next, Break, Continue };

class Evaluator {
public:
  Evaluator(Dict globals, uint64_t budget, int64_t now) {
    rt.budget = budget;
    rt.now = now;
    scopes.emplace_back();
    for (auto &[name, value] : globals)
      scopes[0].emplace_back(name.str(), std::move(value));
  }

  kt::Result<MarkedString> run(const Node &root) {
    execute(root);
    if (rt.failed())
      return kt::Error{"chat template: line " + std::to_string(failureLine) + ": " + rt.failure};
    return std::move(output);
  }

private:
  using Scope = std::vector<std::pair<std::string, Value>>;
  // Nested evaluations; macros may call themselves. Together with the height of the tree it bounds the stack.
  static constexpr int maxDepth = 1200;

  // Entered for every node: counts work and depth, and remembers where the first failure happened.
  struct Visit {
    Evaluator &e;
    const Node &node;
    bool allowed;
    Visit(Evaluator &e, const Node &node) : e(e), node(node) {
      if (++e.depth > maxDepth)
        e.rt.fail("the template calls itself too deeply");
      e.rt.charge(1);
      allowed = !e.rt.failed();
    }
    ~Visit() {
      --e.depth;
      if (e.rt.failed() && !e.failureLine)
        e.failureLine = node.line;
    }
  };

  // --- variables ---
  Value lookup(const std::string &name) const {
    for (size_t i = scopes.size(); i-- > 0;) {
      if (i < frame && i > 0)
        continue; // scopes of the caller of a macro
      for (const auto &[key, value] : scopes[i])
        if (key == name)
          return value;
    }
    return isFunction(name) ? Value::function(name) : Value::undefined(name);
  }
  void assign(const std::string &name, Value value) {
    for (auto &[key, old] : scopes.back())
      if (key == name) {
        old = std::move(value);
        return;
      }
    scopes.back().emplace_back(name, std::move(value));
  }
  // Assigns to one name, or takes a sequence apart.
  void unpack(const std::vector<std::string> &names, const Value &value) {
    if (names.size() == 1)
      return assign(names[0], value);
    if (!value.isSequence() || value.items().size() != names.size()) {
      rt.fail("expected a sequence of " + std::to_string(names.size()) + " values, found " + value.kindName());
      return;
    }
    for (size_t i = 0; i < names.size(); ++i)
      assign(names[i], value.items()[i]);
  }

  // --- expressions ---
  Value evaluate(const Node *node) { return node ? evaluate(*node) : Value(); }

  Value evaluate(const Node &n) {
    Visit visit(*this, n);
    if (!visit.allowed)
      return Value();
    switch (n.kind) {
    case NodeKind::Constant:
      return n.value;
    case NodeKind::Name:
      return lookup(n.text);
    case NodeKind::List:
      return rt.makeList(evaluateAll(n));
    case NodeKind::Tuple:
      return rt.makeList(evaluateAll(n), Kind::Tuple);
    case NodeKind::Dict:
      return makeDict(n);
    case NodeKind::Attribute:
      return getAttribute(rt, evaluate(*n.children[0]), n.text);
    case NodeKind::Index: {
      Value object = evaluate(*n.children[0]), key = evaluate(*n.children[1]);
      return rt.failed() ? Value() : getItem(rt, object, key);
    }
    case NodeKind::Slice:
      return slice(n);
    case NodeKind::Call:
      return call(n);
    case NodeKind::Filter: {
      Value operand = evaluate(*n.children[0]);
      Arguments args = arguments(n);
      return rt.failed() ? Value() : applyFilter(rt, n.text, operand, args);
    }
    case NodeKind::Test: {
      Value operand = evaluate(*n.children[0]);
      Arguments args = arguments(n);
      return rt.failed() ? Value() : Value::boolean(applyTest(rt, n.text, operand, args));
    }
    case NodeKind::Not:
      return Value::boolean(!evaluate(*n.children[0]).truthy());
    case NodeKind::Negate:
    case NodeKind::Plus:
      return binary(rt, n.kind == NodeKind::Plus ? "+" : "-", Value::integer(0), evaluate(*n.children[0]));
    case NodeKind::And:
    case NodeKind::Or: {
      Value left = evaluate(*n.children[0]);
      return left.truthy() == (n.kind == NodeKind::Or) ? left : evaluate(*n.children[1]);
    }
    case NodeKind::Ternary:
      if (evaluate(*n.children[0]).truthy())
        return evaluate(*n.children[1]);
      return n.children.size() > 2 ? evaluate(*n.children[2]) : Value();
    case NodeKind::Binary: {
      Value left = evaluate(*n.children[0]), right = evaluate(*n.children[1]);
      return rt.failed() ? Value() : binary(rt, n.text, left, right);
    }
    case NodeKind::Compare:
      return compare(n);
    default:
      return rt.fail("not an expression");
    }
  }

  List evaluateAll(const Node &n) {
    List out;
    for (const NodePtr &child : n.children)
      out.push_back(evaluate(*child));
    return out;
  }

  Value makeDict(const Node &n) {
    Dict entries;
    for (size_t i = 0; i + 1 < n.children.size(); i += 2) {
      Value key = evaluate(*n.children[i]), value = evaluate(*n.children[i + 1]);
      if (!key.is(Kind::String))
        return rt.fail(std::string("the keys of a dict must be strings, found ") + key.kindName());
      auto same = std::find_if(entries.begin(), entries.end(),
                               [&](const auto &e) { return e.first.str() == key.str().str(); });
      if (same != entries.end())
        same->second = std::move(value);
      else
        entries.emplace_back(key.str(), std::move(value));
    }
    return rt.makeDict(std::move(entries));
  }

  Value slice(const Node &n) {
    Value object = evaluate(*n.children[0]), start = evaluate(n.children[1].get());
    Value stop = evaluate(n.children[2].get()), step = evaluate(n.children[3].get());
    return rt.failed() ? Value() : getSlice(rt, object, start, stop, step);
  }

  Value compare(const Node &n) {
    Value left = evaluate(*n.children[0]);
    for (size_t i = 0; i < n.names.size(); ++i) {
      const std::string &op = n.names[i];
      Value right = evaluate(*n.children[i + 1]);
      if (rt.failed() || !rt.charge(std::min(left.weight(), right.weight())))
        return Value();
      bool result = op == "=="       ? left.equals(right)
                    : op == "!="     ? !left.equals(right)
                    : op == "in"     ? contains(rt, right, left)
                    : op == "not in" ? !contains(rt, right, left)
                    : op == "<"      ? lessThan(rt, left, right)
                    : op == ">"      ? lessThan(rt, right, left)
                    : op == "<="     ? !lessThan(rt, right, left)
                                     : !lessThan(rt, left, right);
      if (!result)
        return Value::boolean(false);
      left = std::move(right);
    }
    return Value::boolean(true);
  }

  // Arguments of a Call, Filter or Test node, whose first child is the operand.
  Arguments arguments(const Node &n) {
    Arguments args;
    for (size_t i = 0; i + 1 < n.children.size() && !rt.failed(); ++i) {
      Value value = evaluate(*n.children[i + 1]);
      if (n.names[i].empty())
        args.positional.push_back(std::move(value));
      else
        args.named.emplace_back(n.names[i], std::move(value));
    }
    return args;
  }

  Value call(const Node &n) {
    const Node &callee = *n.children[0];
    if (callee.kind == NodeKind::Attribute) {
      Value object = evaluate(*callee.children[0]);
      Arguments args = arguments(n);
      if (rt.failed())
        return Value();
      if (const Value *entry = object.find(callee.text); entry && entry->is(Kind::Macro))
        return callMacro(*entry->macro(), args);
      return callMethod(rt, object, callee.text, args);
    }
    Value function = evaluate(callee);
    Arguments args = arguments(n);
    if (rt.failed())
      return Value();
    if (function.is(Kind::Macro))
      return callMacro(*function.macro(), args);
    if (function.is(Kind::Function))
      return callFunction(rt, function.name(), args);
    if (function.is(Kind::Undefined))
      return rt.fail("'" + function.name() + "' is undefined, so it cannot be called");
    return rt.fail(std::string("a value of type ") + function.kindName() + " cannot be called");
  }

  Value callMacro(const Node &macro, const Arguments &args) {
    size_t outerFrame = frame, firstDefault = macro.names.size() - (macro.children.size() - 1);
    if (args.positional.size() > macro.names.size())
      return rt.fail("macro '" + macro.text + "' takes " + std::to_string(macro.names.size()) + " arguments");
    Scope scope;
    for (size_t i = 0; i < macro.names.size(); ++i) {
      const Value *given = args.get(i, macro.names[i]);
      Value value = given               ? *given
                    : i >= firstDefault ? evaluate(*macro.children[1 + i - firstDefault])
                                        : Value();
      scope.emplace_back(macro.names[i], std::move(value));
    }
    frame = scopes.size();
    scopes.push_back(std::move(scope));
    MarkedString text = capture(*macro.children[0]);
    scopes.pop_back();
    frame = outerFrame;
    return rt.makeString(std::move(text));
  }

  // --- statements ---
  // What a block would print.
  MarkedString capture(const Node &block) {
    MarkedString outer;
    std::swap(outer, output);
    execute(block);
    std::swap(outer, output);
    return outer;
  }

  void print(const Value &value) {
    if (rt.charge(value.weight()))
      output.append(value.toText());
  }

  Flow execute(const Node &n) {
    Visit visit(*this, n);
    if (!visit.allowed)
      return Flow::Break;
    switch (n.kind) {
    case NodeKind::Block:
      for (const NodePtr &child : n.children)
        if (Flow flow = execute(*child); flow != Flow::Next || rt.failed())
          return flow;
      return Flow::Next;
    case NodeKind::Text:
      rt.chargeBytes(n.text.size());
      output.append(n.text);
      return Flow::Next;
    case NodeKind::Print: {
      Value value = evaluate(*n.children[0]);
      if (!rt.failed())
        print(value);
      return Flow::Next;
    }
    case NodeKind::If:
      return executeIf(n);
    case NodeKind::For:
      return executeFor(n);
    case NodeKind::Set:
      executeSet(n);
      return Flow::Next;
    case NodeKind::SetBlock:
    case NodeKind::FilterBlock:
      executeBlock(n);
      return Flow::Next;
    case NodeKind::Macro:
      assign(n.text, Value::macro(&n));
      return Flow::Next;
    case NodeKind::Break:
      return Flow::Break;
    case NodeKind::Continue:
      return Flow::Continue;
    default:
      rt.fail("not a statement");
      return Flow::Break;
    }
  }

  Flow executeIf(const Node &n) {
    size_t i = 0;
    for (; i + 1 < n.children.size(); i += 2) {
      bool condition = evaluate(*n.children[i]).truthy();
      if (rt.failed())
        return Flow::Break;
      if (condition)
        return execute(*n.children[i + 1]);
    }
    return i < n.children.size() ? execute(*n.children[i]) : Flow::Next;
  }

  // The items of a loop that pass its filter.
  std::shared_ptr<const List> loopItems(const Node &n) {
    Value iterable = evaluate(*n.children[0]);
    std::shared_ptr<const List> items;
    if (rt.failed() || !iterate(rt, iterable, items) || !n.children[1])
      return items;
    auto kept = std::make_shared<List>();
    for (const Value &item : *items) {
      scopes.emplace_back();
      unpack(n.names, item);
      bool keep = evaluate(*n.children[1]).truthy();
      scopes.pop_back();
      if (rt.failed())
        break;
      if (keep)
        kept->push_back(item);
    }
    return kept;
  }

  Flow executeFor(const Node &n) {
    auto state = std::make_shared<Loop>();
    state->items = loopItems(n);
    if (rt.failed())
      return Flow::Break;
    if (state->items->empty())
      return n.children[3] ? execute(*n.children[3]) : Flow::Next;
    for (size_t i = 0; i < state->items->size(); ++i) {
      state->index = i;
      scopes.emplace_back();
      assign("loop", Value::loop(state));
      unpack(n.names, (*state->items)[i]);
      Flow flow = execute(*n.children[2]);
      scopes.pop_back();
      if (rt.failed() || flow == Flow::Break)
        break;
    }
    return Flow::Next;
  }

  void executeSet(const Node &n) {
    Value value = evaluate(*n.children[0]);
    if (rt.failed())
      return;
    if (n.text.empty())
      return unpack(n.names, value);
    Value target = lookup(n.names[0]);
    if (!target.is(Kind::Namespace)) {
      rt.fail("cannot set '" + n.names[0] + "." + n.text + "': '" + n.names[0] + "' is not a namespace");
      return;
    }
    if (!value.isStorable()) {
      rt.fail("a namespace or loop variable cannot be stored in a namespace");
      return;
    }
    Dict &entries = target.namespaceEntries();
    for (auto &[key, old] : entries)
      if (key.str() == n.text) {
        old = std::move(value);
        return;
      }
    entries.emplace_back(MarkedString(n.text), std::move(value));
  }

  // {% set x %}...{% endset %} and {% filter f %}...{% endfilter %}.
  void executeBlock(const Node &n) {
    scopes.emplace_back();
    Value text = rt.makeString(capture(*n.children[0]));
    if (n.children[1]) {
      assign(blockOperand, std::move(text));
      text = evaluate(*n.children[1]);
    }
    scopes.pop_back();
    if (rt.failed())
      return;
    if (n.kind == NodeKind::SetBlock)
      unpack(n.names, text);
    else
      print(text);
  }

  Runtime rt;
  std::vector<Scope> scopes;
  size_t frame = 0; // first scope of the current macro call
  int depth = 0;
  uint32_t failureLine = 0;
  MarkedString output;
};

} // namespace

kt::Result<MarkedString> evaluate(const Node &root, Dict globals, uint64_t budget, int64_t now) {
  return Evaluator(std::move(globals), budget, now).run(root);
}

} // namespace ktrt::jinja
