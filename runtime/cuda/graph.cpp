// Building graphs with the driver; see graph.h.
#include "runtime/cuda/graph.h"

#include "runtime/plan/message.h"

#include <cinttypes>
#include <utility>

namespace ktrt::cuda {
namespace {

template <typename T> DeviceAddress addressOf(T *pointer) { return reinterpret_cast<DeviceAddress>(pointer); }

class Builder {
public:
  Builder(const LaneContext &context, const plan::Entry &entry, const plan::LaneProgram &program,
          uint32_t *counters, const TraceMemory *trace, bool early)
      : context(context), driver(context.gpu->driver()), entry(entry), program(program), counters(counters),
        trace(trace), sources(signalSources(entry)), early(early) {}
  ~Builder() {
    if (graph)
      driver.graphDestroy(graph);
  }

  kt::Status build();
  kt::Result<GraphExec> instantiate();
  bool flagsUsed = false;
  bool earlyEdges = false; // there are some

private:
  void findBefore(const LaneGraph &lane, const LaneNode &node);
  kt::Status addNode(const LaneNode &node);
  kt::Status addKernel(const LaneNode &node, const plan::Dispatch &dispatch);
  kt::Status addEarlyEdges();
  kt::Status addCopy(const plan::Copy &copy);
  kt::Status addFill(const plan::Fill &fill);
  kt::Status addHandOver(uint32_t signal, bool raise);
  kt::Status addFlag(uint32_t signal, bool raise, const std::vector<GraphNode> &after);
  bool isAwaitedByGpu(uint32_t signal) const;
  kt::Status addEnd(const LaneGraph &lane);
  kt::Status copyNode(const void *source, bool fromHost, void *destination, bool toHost, uint64_t bytes);
  GpuOperand find(const plan::Operand *operand) const {
    return context.memory->find(operand, *context.weights);
  }
  uint64_t transferBytes(uint64_t bytes, uint64_t perToken) const {
    return bytes + perToken * (entry.capacity() / entry.parts());
  }

  const LaneContext &context;
  const Driver &driver;
  const plan::Entry &entry;
  const plan::LaneProgram &program;
  uint32_t *counters;
  const TraceMemory *trace;
  const std::vector<SignalSource> sources;
  const bool early; // kernels may be launched before those that they follow have ended
  Graph graph = nullptr;
  std::vector<GraphNode> roots;         // before all commands
  std::vector<GraphNode> nodes;         // of the lane's nodes
  std::vector<GraphNode> before;        // the next node
  std::vector<GraphNode> kernelsBefore; // likewise: kernels that it waits for itself
  std::vector<GraphNode> flagNodes;     // that raise flags behind the nodes that raise the words
  GraphNode made = nullptr;             // the last one
};

kt::Status Builder::build() {
  // Kernels of many tokens have many blocks. If each of them looked at a word of the host until its signal
  // came, they would keep the link busy and slow the lane down that they wait for: nodes wait in their place.
  const bool fold = context.handOver == HandOver::Fused && !entry.dynamic();
  const LaneGraph lane = arrangeLane(program, sources, fold, !trace);
  if (kt::Status status = driver.check(driver.graphCreate(&graph, 0), "cuGraphCreate"); !status)
    return status;
  if (kt::Status status =
          copyNode(context.hostStep, true, context.step, false, entry.parts() * sizeof(KtCudaStep));
      !status)
    return status;
  roots.push_back(made);
  if (trace) {
    if (kt::Status status = copyNode(trace->initial, true, trace->device, false, trace->bytes); !status)
      return status;
    roots.push_back(made);
  }
  for (const LaneNode &node : lane.nodes) {
    findBefore(lane, node);
    if (kt::Status status = addNode(node); !status) {
      const plan::Dispatch *dispatch = program.commands()->Get(node.command)->body_as_Dispatch();
      const char *path = dispatch && dispatch->path() ? dispatch->path()->c_str() : "";
      return failure("commands[%u]%s%s: %s", node.command, *path ? " of " : "", path,
                     status.error().message.c_str());
    }
    nodes.push_back(made);
    if (context.handOver != HandOver::Fused || node.raise == LaneNode::kNone ||
        !isAwaitedByGpu(uint32_t(node.raise)))
      continue;
    if (kt::Status status = addFlag(uint32_t(node.raise), true, {made}); !status)
      return status;
    flagNodes.push_back(made);
  }
  return addEnd(lane);
}

// Between kernels the edge may be one that the second awaits itself. A kernel that reads nothing but weights
// before it does is safe: the end of a kernel is the end of all before it, so that its wait covers every
// earlier reader and writer of its buffers, whether the edge is its own or follows from others.
void Builder::findBefore(const LaneGraph &lane, const LaneNode &node) {
  before.clear();
  kernelsBefore.clear();
  const plan::Dispatch *dispatch = program.commands()->Get(node.command)->body_as_Dispatch();
  const bool waits = early && dispatch && node.kind == LaneNode::Kind::Kernel &&
                     context.kernels->startsEarly(dispatch->kernel());
  for (uint32_t earlier : node.after) {
    const bool isKernel = lane.nodes[earlier].kind == LaneNode::Kind::Kernel;
    (waits && isKernel ? kernelsBefore : before).push_back(nodes[earlier]);
  }
  if (node.after.empty())
    before = roots;
  if (node.completes)
    before.insert(before.end(), flagNodes.begin(), flagNodes.end());
}

kt::Status Builder::addNode(const LaneNode &node) {
  const plan::Command &command = *program.commands()->Get(node.command);
  switch (node.kind) {
  case LaneNode::Kind::Kernel:
    return addKernel(node, *command.body_as_Dispatch());
  case LaneNode::Kind::Copy:
    return addCopy(*command.body_as_Copy());
  case LaneNode::Kind::Fill:
    return addFill(*command.body_as_Fill());
  case LaneNode::Kind::Raise:
    return addHandOver(uint32_t(node.raise), true);
  default:
    return addHandOver(uint32_t(node.wait), false);
  }
}

// Says that the replay is done, unless the last kernel does.
kt::Status Builder::addEnd(const LaneGraph &lane) {
  if (lane.nodes.size() != 0 && lane.nodes.back().completes)
    return {};
  before.clear();
  for (uint32_t last : lane.last)
    before.push_back(nodes[last]);
  before.insert(before.end(), flagNodes.begin(), flagNodes.end());
  if (before.empty())
    before = roots;
  if (trace) {
    if (kt::Status status = copyNode(trace->device, false, trace->result, true, trace->bytes); !status)
      return status;
    before = {made};
  }
  return copyNode(&context.step->replay, false, context.completion, true, sizeof(uint32_t));
}

kt::Status Builder::addKernel(const LaneNode &node, const plan::Dispatch &dispatch) {
  const uint32_t operands = dispatch.operands() ? dispatch.operands()->size() : 0;
  KtCudaArgs arguments{};
  for (uint32_t i = 0; i < operands; ++i)
    arguments.operands[i] = find(dispatch.operands()->Get(i)).address;
  arguments.step = context.step + program.commands()->Get(node.command)->part();
  arguments.arrivals = counters + node.command;
  arguments.error = context.error;
  arguments.timeout = context.timeout;
  if (node.wait != LaneNode::kNone) {
    arguments.waitSignal = uint32_t(node.wait);
    arguments.waitFlag = context.words[size_t(node.wait)];
  }
  if (node.raise != LaneNode::kNone)
    arguments.raiseFlag = context.words[size_t(node.raise)];
  else if (node.completes)
    arguments.raiseFlag = context.completion;
  if (trace)
    arguments.trace = reinterpret_cast<unsigned long long *>(trace->device + 2 * node.command);
  const plan::Launch &launch = context.kernels->launch(dispatch.kernel());
  void *parameters[] = {&arguments};
  KernelNodeParams params{};
  params.function = context.kernels->function(dispatch.kernel());
  params.grid[0] = launch.grid_x();
  params.grid[1] = launch.grid_y();
  params.grid[2] = launch.grid_z();
  params.block[0] = launch.threads();
  params.block[1] = params.block[2] = 1;
  params.sharedBytes = launch.shared_bytes();
  params.parameters = parameters;
  kt::Status status = driver.check(
      driver.graphAddKernelNode(&made, graph, before.data(), before.size(), &params), "cuGraphAddKernelNode");
  return status && !kernelsBefore.empty() ? addEarlyEdges() : status;
}

kt::Status Builder::addEarlyEdges() {
  earlyEdges = true;
  const std::vector<GraphNode> to(kernelsBefore.size(), made);
  const std::vector<EdgeData> data(to.size(), EdgeData{kProgrammaticPort, 0, kProgrammaticEdge, {}});
  return driver.check(
      driver.graphAddDependencies(graph, kernelsBefore.data(), to.data(), data.data(), to.size()),
      "cuGraphAddDependencies");
}

static CopySide sideOf(const void *address, bool host, uint64_t bytes) {
  CopySide side{};
  side.memoryType = host ? kMemoryHost : kMemoryDevice;
  side.host = host ? address : nullptr;
  side.device = host ? 0 : addressOf(address);
  side.pitch = bytes;
  return side;
}

kt::Status Builder::copyNode(const void *source, bool fromHost, void *destination, bool toHost,
                             uint64_t bytes) {
  if (bytes == 0)
    return failure("a copy of nothing");
  CopyNodeParams params{sideOf(source, fromHost, bytes), sideOf(destination, toHost, bytes), bytes, 1, 1};
  return driver.check(
      driver.graphAddCopyNode(&made, graph, before.data(), before.size(), &params, context.gpu->context()),
      "cuGraphAddMemcpyNode");
}

kt::Status Builder::addCopy(const plan::Copy &copy) {
  const GpuOperand source = find(copy.source()), destination = find(copy.destination());
  return copyNode(source.address, source.host, destination.address, destination.host,
                  transferBytes(copy.bytes(), copy.bytes_per_token()));
}

kt::Status Builder::addFill(const plan::Fill &fill) {
  const uint64_t bytes = transferBytes(fill.bytes(), fill.bytes_per_token());
  if (bytes == 0)
    return failure("a fill of nothing");
  FillNodeParams params{addressOf(find(fill.destination()).address), bytes, fill.value(), 1, bytes, 1};
  return driver.check(
      driver.graphAddFillNode(&made, graph, before.data(), before.size(), &params, context.gpu->context()),
      "cuGraphAddMemsetNode");
}

// True if a lane of another GPU waits for `signal`, perhaps by a node, which can only await a flag.
bool Builder::isAwaitedByGpu(uint32_t signal) const {
  for (const plan::LaneProgram *other : *entry.programs())
    for (uint32_t i = 0; other != &program && context.isGpuLane[other->lane()] && other->commands() &&
                         i < other->commands()->size();
         ++i)
      if (const plan::Wait *wait = other->commands()->Get(i)->body_as_Wait(); wait && wait->signal() == signal)
        return true;
  return false;
}

// A node that raises or awaits a signal. Where kernels hand over, a copy of the replay's number raises a signal
// as they do; a wait needs a flag, which lanes of the CPU raise beside the word, and GPUs for each other.
kt::Status Builder::addHandOver(uint32_t signal, bool raise) {
  if (raise && context.handOver == HandOver::Fused)
    return copyNode(&context.step->replay, false, context.words[signal], true, sizeof(uint32_t));
  return addFlag(signal, raise, before);
}

kt::Status Builder::addFlag(uint32_t signal, bool raise, const std::vector<GraphNode> &after) {
  flagsUsed = true;
  MemoryOperation operation{};
  operation.operation = raise ? kWriteValue32 : kWaitValue32;
  operation.address = addressOf(context.flags[signal]);
  operation.value = 1;
  operation.flags = raise ? 0 : kWaitEqual;
  MemoryNodeParams params{context.gpu->context(), 1, &operation, 0};
  return driver.check(driver.graphAddMemoryNode(&made, graph, after.data(), after.size(), &params),
                      "cuGraphAddBatchMemOpNode");
}

kt::Result<GraphExec> Builder::instantiate() {
  GraphExec exec = nullptr;
  kt::Status status = driver.check(driver.graphInstantiate(&exec, graph, 0), "cuGraphInstantiateWithFlags");
  if (!status)
    return status.error();
  status = driver.check(driver.graphUpload(exec, context.gpu->stream()), "cuGraphUpload");
  if (!status) {
    driver.graphExecDestroy(exec);
    return status.error();
  }
  return exec;
}

} // namespace

kt::Result<LaneProgramGraph> LaneProgramGraph::build(const LaneContext &context, const plan::Entry &entry,
                                                     const plan::LaneProgram &program, uint32_t *counters,
                                                     const TraceMemory *trace) {
  context.gpu->makeCurrent();
  for (bool early = context.startsEarly && context.gpu->driver().graphAddDependencies;; early = false) {
    Builder builder(context, entry, program, counters, trace, early);
    kt::Status status = builder.build();
    kt::Result<GraphExec> exec = status ? builder.instantiate() : kt::Result<GraphExec>(status.error());
    // A driver that does not take such edges may take the graph without them.
    if (!exec && builder.earlyEdges)
      continue;
    if (!exec)
      return exec.error();
    LaneProgramGraph result;
    result.gpu = context.gpu;
    result.exec = *exec;
    result.flags = builder.flagsUsed;
    return result;
  }
}

LaneProgramGraph::LaneProgramGraph(LaneProgramGraph &&other) noexcept
    : gpu(other.gpu), exec(std::exchange(other.exec, nullptr)), flags(other.flags) {}

LaneProgramGraph &LaneProgramGraph::operator=(LaneProgramGraph &&other) noexcept {
  std::swap(gpu, other.gpu);
  std::swap(exec, other.exec);
  std::swap(flags, other.flags);
  return *this;
}

LaneProgramGraph::~LaneProgramGraph() {
  if (!exec || gpu->abandoned())
    return;
  gpu->makeCurrent();
  gpu->driver().graphExecDestroy(exec);
}

} // namespace ktrt::cuda
