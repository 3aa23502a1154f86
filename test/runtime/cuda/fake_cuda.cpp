// A CUDA driver on host memory, for tests without a GPU: a shared library with the functions that the runtime
// uses.
//
// "Device" memory is memory of the host. A module is text: the name of a kernel below. A launched graph runs on
// a thread of its stream, one node after the other, of those that are ready always the one created last: an
// edge that is missing shows as a wrong result. Kernels wait and raise as runtime/abi/kt_cuda.h says.
#include "test/runtime/cuda/fake_cuda.h"
#include "test/runtime/cuda/fake_kernels.h"

#include "runtime/abi/kt_cuda.h"
#include "runtime/cuda/driver.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <deque>
#include <map>
#include <mutex>
#include <thread>

using namespace ktrt::cuda;
using namespace fake;

namespace {

constexpr int kFault = 700, kOutOfMemory = 2, kNotFound = 500, kInvalid = 1, kBadImage = 200;
constexpr uint64_t kClockOffset = 1'000'000'000'000; // of the device's clock

fake::State state = fake::stateOfEnvironment();
std::mutex stateMutex;

uint64_t nanos() {
  timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return uint64_t(time.tv_sec) * 1'000'000'000 + uint64_t(time.tv_nsec);
}

template <typename T> T load(const T *address) { return __atomic_load_n(address, __ATOMIC_ACQUIRE); }

// ---- kernels

int nothing(const KtCudaArgs &) { return 0; } // stands for real code
int fault(const KtCudaArgs &) { return kFault; }
int hang(const KtCudaArgs &) {
  while (!load(&state.stop))
    std::this_thread::yield();
  return 0;
}

struct Kernel {
  int (*run)(const KtCudaArgs &);
  bool raises = true;
};
const std::map<std::string, Kernel> kernels = {{"store", {store}},
                                               {"prefix", {prefix}},
                                               {"logits", {logits}},
                                               {"best", {best}},
                                               {"fault", {fault}},
                                               {"\x7f"
                                                "ELF",
                                                {nothing}},
                                               {"hang", {hang}},
                                               {"silent", {logits, false}}};

int runKernel(const Kernel &kernel, const KtCudaArgs &args) {
  const uint64_t start = nanos();
  while (args.waitFlag && (state.waitsExpire || load(args.waitFlag) != args.step->replay) &&
         load(args.error) == 0) {
    if (nanos() - start >= args.timeout || state.waitsExpire)
      __atomic_store_n(args.error, 1 + args.waitSignal, __ATOMIC_RELEASE);
    std::this_thread::yield();
  }
  const uint64_t begin = nanos() + kClockOffset;
  if (int result = kernel.run(args))
    return result;
  if (args.trace) {
    args.trace[0] = std::min<unsigned long long>(args.trace[0], begin);
    args.trace[1] = std::max<unsigned long long>(args.trace[1], nanos() + kClockOffset);
  }
  if (args.raiseFlag && kernel.raises)
    __atomic_store_n(args.raiseFlag, args.step->replay, __ATOMIC_RELEASE);
  return 0;
}

// ---- objects

struct NodeData {
  fake::Node record;
  const Kernel *kernel = nullptr;
  KtCudaArgs args{};
  CopyNodeParams copy{};
  FillNodeParams fill{};
  MemoryOperation operation{};
};

struct GraphData {
  std::vector<NodeData> nodes;
};

struct ModuleData {
  std::string name;
  const Kernel *kernel;
};

void *sideAddress(const CopySide &side) {
  return side.memoryType == kMemoryHost ? const_cast<void *>(side.host) : reinterpret_cast<void *>(side.device);
}

int runNode(NodeData &node) {
  switch (node.record.kind) {
  case fake::Node::Kind::Kernel:
    return runKernel(*node.kernel, node.args);
  case fake::Node::Kind::Copy:
    if (sideAddress(node.copy.destination) && sideAddress(node.copy.source))
      memmove(sideAddress(node.copy.destination), sideAddress(node.copy.source), node.copy.width);
    return 0;
  case fake::Node::Kind::Fill:
    memset(reinterpret_cast<void *>(node.fill.destination), int(node.fill.value), node.fill.width);
    return 0;
  case fake::Node::Kind::Wait:
    while (load(reinterpret_cast<uint32_t *>(node.operation.address)) != node.operation.value &&
           !load(&state.stop))
      std::this_thread::yield();
    return 0;
  case fake::Node::Kind::Write:
    __atomic_store_n(reinterpret_cast<uint32_t *>(node.operation.address), uint32_t(node.operation.value),
                     __ATOMIC_RELEASE);
    return 0;
  }
  return kInvalid;
}

int runGraph(GraphData &graph) {
  std::vector<bool> done(graph.nodes.size());
  for (size_t count = 0; count < done.size(); ++count)
    for (size_t i = done.size(); i-- > 0;) {
      bool ready = !done[i];
      for (size_t earlier : graph.nodes[i].record.after)
        ready = ready && done[earlier];
      if (!ready)
        continue;
      if (int result = runNode(graph.nodes[i]))
        return result;
      done[i] = true;
      break;
    }
  return 0;
}

struct StreamData {
  std::mutex mutex;
  std::condition_variable changed;
  std::deque<GraphData *> queue;
  std::deque<GraphData> single; // of what was launched by itself
  bool busy = false, ending = false;
  int failed = 0;
  std::thread worker{[this] { work(); }};

  void work() {
    std::unique_lock lock(mutex);
    for (;;) {
      changed.wait(lock, [&] { return ending || !queue.empty(); });
      if (queue.empty())
        return;
      busy = true;
      GraphData *graph = queue.front();
      queue.pop_front();
      lock.unlock();
      int result = runGraph(*graph);
      lock.lock();
      failed = failed ? failed : result;
      busy = false;
      changed.notify_all();
    }
  }
  ~StreamData() {
    {
      std::lock_guard lock(mutex);
      ending = true;
      changed.notify_all();
    }
    worker.join();
  }
};

template <typename Handle, typename Data> Handle handleOf(Data *data) { return reinterpret_cast<Handle>(data); }
GraphData *dataOf(Graph graph) { return reinterpret_cast<GraphData *>(graph); }
GraphData *dataOf(GraphExec exec) { return reinterpret_cast<GraphData *>(exec); }
StreamData *dataOf(Stream stream) { return reinterpret_cast<StreamData *>(stream); }
ModuleData *dataOf(Module module) { return reinterpret_cast<ModuleData *>(module); }

// Nodes are numbered from 1 in their handles.
int addNode(GraphNode *node, Graph graph, const GraphNode *after, size_t count, NodeData data) {
  GraphData &target = *dataOf(graph);
  for (size_t i = 0; i < count; ++i) {
    const size_t earlier = reinterpret_cast<size_t>(after[i]);
    if (earlier == 0 || earlier > target.nodes.size())
      return kInvalid;
    data.record.after.push_back(earlier - 1);
  }
  target.nodes.push_back(std::move(data));
  *node = reinterpret_cast<GraphNode>(target.nodes.size());
  return 0;
}

int count(size_t &counter, int change) {
  std::lock_guard lock(stateMutex);
  counter += size_t(ptrdiff_t(change));
  return 0;
}

} // namespace

#define FAKE extern "C" __attribute__((visibility("default")))

FAKE fake::State *fakeCuda(bool reset) {
  if (reset)
    state = {};
  return &state;
}

// ---- the driver

FAKE int cuInit(unsigned) { return state.initResult; }
FAKE int cuDriverGetVersion(int *version) { return *version = state.version, 0; }
FAKE int cuGetErrorName(int error, const char **text) {
  *text = error == kFault         ? "CUDA_ERROR_ILLEGAL_ADDRESS"
          : error == kOutOfMemory ? "CUDA_ERROR_OUT_OF_MEMORY"
                                  : nullptr;
  return *text ? 0 : kInvalid;
}
FAKE int cuGetErrorString(int error, const char **text) {
  *text = error == kFault ? "an illegal memory access was encountered" : nullptr;
  return *text ? 0 : kInvalid;
}
FAKE int cuDeviceGetCount(int *count) { return *count = state.devices, 0; }
FAKE int cuDeviceGet(int *device, int ordinal) { return *device = ordinal, 0; }
FAKE int cuDeviceGetName(char *name, int length, int) { return strncpy(name, "Fake GPU", size_t(length)), 0; }
FAKE int cuDeviceTotalMem_v2(size_t *bytes, int) { return *bytes = state.totalBytes, 0; }
FAKE int cuDeviceGetAttribute(int *value, int attribute, int) {
  return *value = attribute == kMajorVersion ? state.major : state.minor, 0;
}
FAKE int cuDevicePrimaryCtxRetain(Context *context, int device) {
  *context = reinterpret_cast<Context>(size_t(device) + 1);
  return count(state.objects, 1);
}
FAKE int cuDevicePrimaryCtxRelease_v2(int) { return count(state.objects, -1); }
FAKE int cuCtxSetCurrent(Context) { return 0; }
FAKE int cuMemGetInfo_v2(size_t *free, size_t *total) {
  return *free = state.freeBytes, *total = state.totalBytes, 0;
}
FAKE int cuMemAlloc_v2(DeviceAddress *address, size_t bytes) {
  if (bytes > state.freeBytes)
    return kOutOfMemory;
  void *memory = aligned_alloc(256, (bytes + 255) / 256 * 256);
  memset(memory, 0xcd, bytes); // nobody may count on zeros
  *address = reinterpret_cast<DeviceAddress>(memory);
  return count(state.deviceAllocations, 1);
}
FAKE int cuMemFree_v2(DeviceAddress address) {
  free(reinterpret_cast<void *>(address));
  return count(state.deviceAllocations, -1);
}
FAKE int cuMemHostAlloc(void **address, size_t bytes, unsigned flags) {
  if (flags != (kHostPortable | kHostMapped))
    return kInvalid;
  *address = aligned_alloc(4096, (bytes + 4095) / 4096 * 4096);
  return count(state.hostAllocations, 1);
}
FAKE int cuMemFreeHost(void *address) {
  free(address);
  return count(state.hostAllocations, -1);
}
FAKE int cuMemHostGetDevicePointer_v2(DeviceAddress *address, void *host, unsigned) {
  return *address = reinterpret_cast<DeviceAddress>(host), 0;
}
FAKE int cuMemcpyHtoDAsync_v2(DeviceAddress destination, const void *source, size_t bytes, Stream) {
  memcpy(reinterpret_cast<void *>(destination), source, bytes);
  return count(state.copiedToDevice, int(bytes));
}
FAKE int cuMemcpyDtoDAsync_v2(DeviceAddress destination, DeviceAddress source, size_t bytes, Stream) {
  return memcpy(reinterpret_cast<void *>(destination), reinterpret_cast<void *>(source), bytes), 0;
}
FAKE int cuMemsetD8Async(DeviceAddress address, unsigned char value, size_t bytes, Stream) {
  return memset(reinterpret_cast<void *>(address), value, bytes), 0;
}

FAKE int cuStreamCreate(Stream *stream, unsigned) {
  *stream = handleOf<Stream>(new StreamData);
  return count(state.objects, 1);
}
FAKE int cuStreamDestroy_v2(Stream stream) {
  delete dataOf(stream);
  return count(state.objects, -1);
}
FAKE int cuStreamQuery(Stream handle) {
  StreamData &stream = *dataOf(handle);
  std::lock_guard lock(stream.mutex);
  return stream.failed ? stream.failed : stream.busy || !stream.queue.empty() ? kNotReady : 0;
}
FAKE int cuStreamSynchronize(Stream handle) {
  StreamData &stream = *dataOf(handle);
  std::unique_lock lock(stream.mutex);
  stream.changed.wait(lock, [&] { return !stream.busy && stream.queue.empty(); });
  return stream.failed;
}
FAKE int cuEventCreate(Event *event, unsigned) {
  *event = reinterpret_cast<Event>(8);
  return count(state.objects, 1);
}
FAKE int cuEventDestroy_v2(Event) { return count(state.objects, -1); }
FAKE int cuEventRecord(Event, Stream) { return 0; }
FAKE int cuEventSynchronize(Event) { return 0; }

FAKE int cuModuleLoadData(Module *module, const void *image) {
  const std::string name = static_cast<const char *>(image);
  auto found = kernels.find(name.substr(0, 4) == "\x7f"
                                                 "ELF"
                                ? name.substr(0, 4)
                                : name);
  if (found == kernels.end())
    return kBadImage;
  *module = handleOf<Module>(new ModuleData{found->first, &found->second});
  count(state.modules, 1);
  return count(state.objects, 1);
}
FAKE int cuModuleUnload(Module module) {
  delete dataOf(module);
  return count(state.objects, -1);
}
FAKE int cuModuleGetFunction(Function *function, Module module, const char *name) {
  if (strcmp(name, "kernel") != 0)
    return kNotFound;
  *function = reinterpret_cast<Function>(module);
  return 0;
}
FAKE int cuFuncSetAttribute(Function, int, int) { return 0; }

FAKE int cuGraphCreate(Graph *graph, unsigned) {
  *graph = handleOf<Graph>(new GraphData);
  return count(state.objects, 1);
}
FAKE int cuGraphDestroy(Graph graph) {
  delete dataOf(graph);
  return count(state.objects, -1);
}
FAKE int cuGraphAddKernelNode_v2(GraphNode *node, Graph graph, const GraphNode *after, size_t count,
                                 const KernelNodeParams *params) {
  const ModuleData &module = *reinterpret_cast<const ModuleData *>(params->function);
  NodeData data;
  data.kernel = module.kernel;
  memcpy(&data.args, params->parameters[0], sizeof(data.args));
  data.record = {fake::Node::Kind::Kernel,      {}, module.name, data.args.raiseFlag != nullptr,
                 data.args.waitFlag != nullptr, 0};
  if (params->grid[0] == 0 || params->grid[1] == 0 || params->grid[2] == 0 || params->block[0] == 0)
    return kInvalid;
  return addNode(node, graph, after, count, std::move(data));
}
FAKE int cuGraphAddMemcpyNode(GraphNode *node, Graph graph, const GraphNode *after, size_t count,
                              const CopyNodeParams *params, Context) {
  NodeData data;
  data.copy = *params;
  data.record = {fake::Node::Kind::Copy, {}, "", false, false, params->width};
  return params->width == 0 || params->height != 1 || params->depth != 1
             ? kInvalid
             : addNode(node, graph, after, count, std::move(data));
}
FAKE int cuGraphAddMemsetNode(GraphNode *node, Graph graph, const GraphNode *after, size_t count,
                              const FillNodeParams *params, Context) {
  NodeData data;
  data.fill = *params;
  data.record = {fake::Node::Kind::Fill, {}, "", false, false, params->width};
  return params->width == 0 || params->height != 1 || params->elementBytes != 1
             ? kInvalid
             : addNode(node, graph, after, count, std::move(data));
}
FAKE int cuGraphAddBatchMemOpNode(GraphNode *node, Graph graph, const GraphNode *after, size_t count,
                                  const MemoryNodeParams *params) {
  NodeData data;
  data.operation = params->operations[0];
  const bool wait = data.operation.operation == kWaitValue32;
  data.record = {wait ? fake::Node::Kind::Wait : fake::Node::Kind::Write, {}, "", false, false, 0};
  return params->count != 1 ? kInvalid : addNode(node, graph, after, count, std::move(data));
}
FAKE int cuGraphAddDependencies_v2(Graph graph, const GraphNode *from, const GraphNode *to,
                                   const EdgeData *data, size_t count) {
  auto &nodes = dataOf(graph)->nodes;
  for (size_t i = 0; i < count; ++i) {
    const size_t first = reinterpret_cast<size_t>(from[i]), second = reinterpret_cast<size_t>(to[i]);
    const auto isKernel = [&](size_t i) { return nodes[i - 1].record.kind == fake::Node::Kind::Kernel; };
    if (first == 0 || first >= second || second > nodes.size() || !isKernel(first) || !isKernel(second) ||
        data[i].type != kProgrammaticEdge || data[i].fromPort != kProgrammaticPort || data[i].toPort != 0)
      return kInvalid;
    std::vector<size_t> &after = nodes[second - 1].record.after;
    after.insert(std::lower_bound(after.begin(), after.end(), first - 1), first - 1);
    nodes[second - 1].record.early.push_back(first - 1);
  }
  return 0;
}
FAKE int cuGraphInstantiateWithFlags(GraphExec *exec, Graph graph, unsigned long long) {
  for (const NodeData &node : dataOf(graph)->nodes)
    if (state.refusesEarlyEdges && !node.record.early.empty())
      return kInvalid;
  *exec = handleOf<GraphExec>(new GraphData(*dataOf(graph)));
  fake::GraphRecord record;
  for (const NodeData &node : dataOf(graph)->nodes)
    record.push_back(node.record);
  std::lock_guard lock(stateMutex);
  state.graphs.push_back(std::move(record));
  ++state.objects;
  return 0;
}
FAKE int cuGraphUpload(GraphExec, Stream) { return 0; }
FAKE int cuGraphLaunch(GraphExec exec, Stream handle) {
  if (state.launchResult)
    return state.launchResult;
  count(state.launches, 1);
  StreamData &stream = *dataOf(handle);
  std::lock_guard lock(stream.mutex);
  if (stream.failed)
    return stream.failed;
  stream.queue.push_back(dataOf(exec));
  stream.changed.notify_all();
  return 0;
}

// What is launched by itself, as a graph of one node.
static int launchNode(Stream handle, NodeData node) {
  StreamData &stream = *dataOf(handle);
  std::lock_guard lock(stream.mutex);
  if (stream.failed)
    return stream.failed;
  stream.single.push_back({{std::move(node)}});
  stream.queue.push_back(&stream.single.back());
  stream.changed.notify_all();
  return 0;
}
FAKE int cuLaunchKernel(Function function, unsigned gridX, unsigned gridY, unsigned gridZ, unsigned blockX,
                        unsigned, unsigned, unsigned, Stream stream, void **parameters, void **) {
  if (state.launchResult)
    return state.launchResult;
  if (gridX == 0 || gridY == 0 || gridZ == 0 || blockX == 0)
    return kInvalid;
  NodeData node;
  node.kernel = reinterpret_cast<const ModuleData *>(function)->kernel;
  memcpy(&node.args, parameters[0], sizeof(node.args));
  node.record.kind = fake::Node::Kind::Kernel;
  count(state.kernelLaunches, 1);
  return launchNode(stream, std::move(node));
}
FAKE int cuMemcpyAsync(DeviceAddress destination, DeviceAddress source, size_t bytes, Stream stream) {
  NodeData node;
  node.copy.destination.device = destination;
  node.copy.source.device = source;
  node.copy.width = bytes;
  node.record.kind = fake::Node::Kind::Copy;
  count(state.copies, 1);
  return launchNode(stream, std::move(node));
}
FAKE int cuStreamBatchMemOp_v2(Stream stream, unsigned count, MemoryOperation *operations, unsigned) {
  NodeData node;
  node.operation = operations[0];
  node.record.kind = operations[0].operation == kWaitValue32 ? fake::Node::Kind::Wait : fake::Node::Kind::Write;
  return count != 1 ? kInvalid : launchNode(stream, std::move(node));
}
FAKE int cuGraphExecDestroy(GraphExec exec) {
  delete dataOf(exec);
  return count(state.objects, -1);
}
