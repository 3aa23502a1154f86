// Nodes and edges of a lane; see lane_graph.h.
#include "runtime/cuda/lane_graph.h"

#include <algorithm>

namespace ktrt::cuda {
namespace {

using Indices = std::vector<uint32_t>;

void merge(Indices &into, const Indices &more) {
  into.insert(into.end(), more.begin(), more.end());
  std::sort(into.begin(), into.end());
  into.erase(std::unique(into.begin(), into.end()), into.end());
}

class Arranger {
public:
  Arranger(const plan::LaneProgram &program, const std::vector<SignalSource> &sources, bool fold)
      : program(program), sources(sources), fold(fold) {}

  LaneGraph run(bool completion);

private:
  // What must be done before something can begin: nodes, and waits that nobody has done yet.
  struct State {
    Indices nodes;
    Indices waits; // commands
  };

  State before(uint32_t command) const;
  uint32_t addNode(LaneNode::Kind kind, uint32_t command, Indices after);
  void addWork(uint32_t command, LaneNode::Kind kind);
  void addSignal(uint32_t command, uint32_t signal);
  void addWait(uint32_t command);
  uint32_t waitNode(uint32_t wait);
  uint32_t signalOf(uint32_t wait) const { return program.commands()->Get(wait)->body_as_Wait()->signal(); }
  bool impliedBy(uint32_t wait, uint32_t other) const;
  void findLast();
  void foldCompletion();
  void reduceEdges();

  const plan::LaneProgram &program;
  const std::vector<SignalSource> &sources;
  const bool fold;
  LaneGraph graph;
  std::vector<State> done;        // by command: what its end means
  std::vector<int64_t> waitNodes; // by command, or -1
  int64_t lastSignal = -1;        // command
};

Arranger::State Arranger::before(uint32_t command) const {
  State state;
  if (auto *after = program.commands()->Get(command)->after())
    for (uint32_t earlier : *after) {
      merge(state.nodes, done[earlier].nodes);
      merge(state.waits, done[earlier].waits);
    }
  return state;
}

uint32_t Arranger::addNode(LaneNode::Kind kind, uint32_t command, Indices after) {
  graph.nodes.push_back({kind, command, std::move(after)});
  return uint32_t(graph.nodes.size() - 1);
}

// Signals of one lane are raised in order: having the later one means having the earlier one.
bool Arranger::impliedBy(uint32_t wait, uint32_t other) const {
  const SignalSource &a = sources[signalOf(wait)], &b = sources[signalOf(other)];
  return wait != other && a.program == b.program &&
         (a.command < b.command || (a.command == b.command && wait < other));
}

uint32_t Arranger::waitNode(uint32_t wait) {
  if (waitNodes[wait] < 0) {
    waitNodes[wait] = addNode(LaneNode::Kind::Wait, wait, done[wait].nodes);
    graph.nodes.back().wait = signalOf(wait);
  }
  return uint32_t(waitNodes[wait]);
}

void Arranger::addWork(uint32_t command, LaneNode::Kind kind) {
  State state = before(command);
  Indices waits;
  for (uint32_t wait : state.waits)
    if (std::none_of(state.waits.begin(), state.waits.end(),
                     [&](uint32_t other) { return impliedBy(wait, other); }))
      waits.push_back(wait);
  int64_t folded = LaneNode::kNone;
  if (fold && kind == LaneNode::Kind::Kernel && !waits.empty()) {
    folded = signalOf(waits.back());
    waits.pop_back();
  }
  for (uint32_t wait : waits)
    merge(state.nodes, {waitNode(wait)});
  const uint32_t node = addNode(kind, command, std::move(state.nodes));
  graph.nodes[node].wait = folded;
  done[command].nodes = {node};
}

// The kernel that ends last raises the signal; if it has to follow others for that, it gets edges from them.
void Arranger::addSignal(uint32_t command, uint32_t signal) {
  State state = before(command);
  lastSignal = command;
  LaneNode *kernel = state.nodes.empty() ? nullptr : &graph.nodes[state.nodes.back()];
  if (fold && state.waits.empty() && kernel && kernel->kind == LaneNode::Kind::Kernel &&
      kernel->raise == LaneNode::kNone) {
    const uint32_t node = state.nodes.back();
    state.nodes.pop_back();
    merge(kernel->after, state.nodes);
    kernel->raise = signal;
    done[command].nodes = {node};
    return;
  }
  for (uint32_t wait : state.waits)
    merge(state.nodes, {waitNode(wait)});
  const uint32_t node = addNode(LaneNode::Kind::Raise, command, std::move(state.nodes));
  graph.nodes[node].raise = signal;
  done[command].nodes = {node};
}

// A wait also follows the signal before it: what waits on the GPU must not keep the kernel that the other lane
// is waiting for from running.
void Arranger::addWait(uint32_t command) {
  State state = before(command);
  if (lastSignal >= 0)
    merge(state.nodes, done[size_t(lastSignal)].nodes);
  done[command].nodes = state.nodes;
  done[command].waits = state.waits;
  merge(done[command].waits, {command});
}

LaneGraph Arranger::run(bool completion) {
  const uint32_t count = program.commands() ? program.commands()->size() : 0;
  done.resize(count);
  waitNodes.assign(count, -1);
  for (uint32_t i = 0; i < count; ++i) {
    const plan::Command &command = *program.commands()->Get(i);
    switch (command.body_type()) {
    case plan::CommandBody::Dispatch:
      addWork(i, LaneNode::Kind::Kernel);
      break;
    case plan::CommandBody::Copy:
      addWork(i, LaneNode::Kind::Copy);
      break;
    case plan::CommandBody::Fill:
      addWork(i, LaneNode::Kind::Fill);
      break;
    case plan::CommandBody::Signal:
      addSignal(i, command.body_as_Signal()->signal());
      break;
    default:
      addWait(i);
      break;
    }
  }
  findLast();
  if (completion)
    foldCompletion();
  reduceEdges();
  findLast();
  return std::move(graph);
}

void Arranger::findLast() {
  std::vector<bool> followed(graph.nodes.size());
  for (const LaneNode &node : graph.nodes)
    for (uint32_t earlier : node.after)
      followed[earlier] = true;
  graph.last.clear();
  for (uint32_t i = 0; i < followed.size(); ++i)
    if (!followed[i])
      graph.last.push_back(i);
}

// Nothing follows the chosen kernel, so edges to it from everything else that is last make no circle; it moves
// to the end to be created after them.
void Arranger::foldCompletion() {
  auto suits = [&](uint32_t node) {
    return graph.nodes[node].kind == LaneNode::Kind::Kernel && graph.nodes[node].raise == LaneNode::kNone;
  };
  auto chosen = std::find_if(graph.last.rbegin(), graph.last.rend(), suits);
  if (chosen == graph.last.rend())
    return;
  const uint32_t from = *chosen;
  LaneNode kernel = std::move(graph.nodes[from]);
  graph.nodes.erase(graph.nodes.begin() + from);
  auto shift = [&](uint32_t &index) { index -= index > from; };
  for (LaneNode &node : graph.nodes)
    std::for_each(node.after.begin(), node.after.end(), shift);
  for (uint32_t last : graph.last)
    if (last != from) {
      shift(last);
      merge(kernel.after, {last});
    }
  kernel.completes = true;
  graph.nodes.push_back(std::move(kernel));
}

// Removes edges that follow from others.
void Arranger::reduceEdges() {
  const size_t words = (graph.nodes.size() + 63) / 64;
  std::vector<uint64_t> ancestors(graph.nodes.size() * words);
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    Indices &after = graph.nodes[i].after;
    uint64_t *own = ancestors.data() + i * words;
    Indices kept;
    // A node's ancestors come before it, so from the last one on everything that is implied is known already.
    for (size_t k = after.size(); k-- > 0;) {
      const uint32_t earlier = after[k];
      if (own[earlier / 64] >> (earlier % 64) & 1)
        continue;
      kept.insert(kept.begin(), earlier);
      const uint64_t *more = ancestors.data() + earlier * words;
      for (size_t w = 0; w < words; ++w)
        own[w] |= more[w];
      own[earlier / 64] |= uint64_t(1) << (earlier % 64);
    }
    after = std::move(kept);
  }
}

} // namespace

LaneGraph arrangeLane(const plan::LaneProgram &program, const std::vector<SignalSource> &sources, bool fold,
                      bool completion) {
  return Arranger(program, sources, fold).run(completion);
}

std::vector<SignalSource> signalSources(const plan::Entry &entry) {
  std::vector<SignalSource> sources(entry.signals());
  for (uint32_t p = 0; p < entry.programs()->size(); ++p) {
    auto *commands = entry.programs()->Get(p)->commands();
    for (uint32_t i = 0; commands && i < commands->size(); ++i)
      if (const plan::Signal *signal = commands->Get(i)->body_as_Signal())
        sources[signal->signal()] = {p, i};
  }
  return sources;
}

} // namespace ktrt::cuda
