// Launching the nodes of graphs one by one; see node_launch.h.
#include "runtime/cuda/node_launch.h"

#include "runtime/abi/kt_cuda.h"
#include "runtime/plan/message.h"

#include <cstdlib>
#include <cstring>
#include <string_view>
#include <variant>
#include <vector>

namespace ktrt::cuda {
namespace {

struct KernelNode {
  KernelNodeParams params;
  KtCudaArgs arguments; // what params.parameters pointed to
};
using Node = std::variant<KernelNode, CopyNodeParams, FillNodeParams, MemoryOperation>;
using Nodes = std::vector<Node>;

// The driver's own functions, by which nodes are launched. Plain functions take the place of others, so there
// is one for the process; all sessions load the same driver.
Driver real;

Nodes *nodesOf(Graph graph) { return reinterpret_cast<Nodes *>(graph); }
Nodes *nodesOf(GraphExec exec) { return reinterpret_cast<Nodes *>(exec); }

int add(GraphNode *made, Graph graph, Node node) {
  nodesOf(graph)->push_back(std::move(node));
  *made = reinterpret_cast<GraphNode>(nodesOf(graph)->size());
  return kSuccess;
}

DeviceAddress addressOf(const CopySide &side) {
  return side.memoryType == kMemoryHost ? reinterpret_cast<DeviceAddress>(side.host) : side.device;
}

struct Launch {
  Stream stream;

  int operator()(KernelNode &node) const {
    void *parameters[] = {&node.arguments};
    const KernelNodeParams &p = node.params;
    return real.launchKernel(p.function, p.grid[0], p.grid[1], p.grid[2], p.block[0], p.block[1], p.block[2],
                             p.sharedBytes, stream, parameters, nullptr);
  }
  int operator()(CopyNodeParams &node) const {
    return real.copy(addressOf(node.destination), addressOf(node.source), node.width, stream);
  }
  int operator()(FillNodeParams &node) const {
    return real.fillBytes(node.destination, static_cast<unsigned char>(node.value), node.width, stream);
  }
  int operator()(MemoryOperation &node) const { return real.streamMemoryOperations(stream, 1, &node, 0); }
};

int create(Graph *graph, unsigned) {
  *graph = reinterpret_cast<Graph>(new Nodes);
  return kSuccess;
}
int destroy(Graph graph) {
  delete nodesOf(graph);
  return kSuccess;
}
int addKernel(GraphNode *made, Graph graph, const GraphNode *, size_t, const KernelNodeParams *params) {
  KernelNode node{*params, {}};
  memcpy(&node.arguments, params->parameters[0], sizeof(node.arguments));
  return add(made, graph, node);
}
int addCopy(GraphNode *made, Graph graph, const GraphNode *, size_t, const CopyNodeParams *params, Context) {
  return add(made, graph, *params);
}
int addFill(GraphNode *made, Graph graph, const GraphNode *, size_t, const FillNodeParams *params, Context) {
  return add(made, graph, *params);
}
int addMemory(GraphNode *made, Graph graph, const GraphNode *, size_t, const MemoryNodeParams *params) {
  return add(made, graph, params->operations[0]);
}
// A stream runs its work in order, so all edges are kept.
int addDependencies(Graph, const GraphNode *, const GraphNode *, const EdgeData *, size_t) { return kSuccess; }
int instantiate(GraphExec *exec, Graph graph, unsigned long long) {
  *exec = reinterpret_cast<GraphExec>(new Nodes(*nodesOf(graph)));
  return kSuccess;
}
int upload(GraphExec, Stream) { return kSuccess; }
int launch(GraphExec exec, Stream stream) {
  for (Node &node : *nodesOf(exec))
    if (int result = std::visit(Launch{stream}, node); result != kSuccess)
      return result;
  return kSuccess;
}
int destroyExec(GraphExec exec) {
  delete nodesOf(exec);
  return kSuccess;
}

} // namespace

kt::Status applyGraphMode(Driver &driver) {
  const char *text = getenv("KTRT_GRAPH");
  const std::string_view mode = text ? text : "";
  if (mode.empty() || mode == "1")
    return {};
  if (mode != "0")
    return failure("KTRT_GRAPH is '%s', expected 0 or 1", text);
  real = driver;
  driver.graphCreate = create;
  driver.graphDestroy = destroy;
  driver.graphAddKernelNode = addKernel;
  driver.graphAddCopyNode = addCopy;
  driver.graphAddFillNode = addFill;
  driver.graphAddMemoryNode = addMemory;
  driver.graphAddDependencies = addDependencies;
  driver.graphInstantiate = instantiate;
  driver.graphUpload = upload;
  driver.graphLaunch = launch;
  driver.graphExecDestroy = destroyExec;
  return {};
}

} // namespace ktrt::cuda
