// Guarded execution of GPU kernels; see the header.
#include "test/templates/cuda/cuda_case.h"

#include "compiler/schedule-to-kernels/cuda/compiler.h"
#include "runtime/abi/kt_cuda.h"
#include "test/templates/cuda/driver.h"

#include <algorithm>
#include <cstdlib>

namespace ktc::test {
namespace {

constexpr size_t Alignment = 256;
constexpr size_t RedZone = 4096; // before and after an operand
constexpr uint8_t Poison = 0xFF; // NaN in every floating-point type: reads outside show as well

std::string environment(const char *name) {
  const char *value = std::getenv(name);
  return value ? value : "";
}

const cuda::Compiler &compiler() {
  static const cuda::Compiler instance({});
  return instance;
}

// The target of KT_CUDA_TARGET, else that of the GPU, else sm_90a.
kt::Result<cuda::Target> chosenTarget() {
  if (std::string name = environment("KT_CUDA_TARGET"); !name.empty())
    return cuda::parseTarget(name);
  if (cudaCompileOnly())
    return cuda::parseTarget("sm_90a");
  kt::Result<const Driver *> gpu = driver();
  if (!gpu)
    return gpu.error();
  return cuda::targetFor((*gpu)->major, (*gpu)->minor);
}

// An operand in device memory.
class DeviceBuffer {
public:
  DeviceBuffer(const Driver &gpu, size_t bytes, size_t redZone) : gpu(gpu), bytes(bytes), red(redZone) {}
  DeviceBuffer(const DeviceBuffer &) = delete;
  DeviceBuffer &operator=(const DeviceBuffer &) = delete;
  ~DeviceBuffer() {
    if (base)
      gpu.table.memFree(base);
  }

  kt::Status fill(const void *content) {
    Bytes image(red + bytes + red, Poison);
    std::memcpy(image.data() + red, content, bytes);
    image.resize((image.size() + 15) / 16 * 16, Poison); // what holds its last byte may be read as a whole
    if (kt::Status status = gpu.check(gpu.table.memAlloc(&base, image.size()), "device memory"); !status)
      return status;
    return gpu.check(gpu.toDevice(base, image.data(), image.size()), "copy to the device");
  }

  // What it holds now; an error if a red zone changed.
  kt::Result<Bytes> read() const {
    Bytes image(red + bytes + red);
    if (kt::Status status = gpu.check(gpu.toHost(image.data(), base, image.size()), "copy from the device");
        !status)
      return status.error();
    const auto content = image.begin() + static_cast<ptrdiff_t>(red),
               end = content + static_cast<ptrdiff_t>(bytes);
    auto isClean = [](uint8_t byte) { return byte == Poison; };
    if (auto at = std::find_if_not(image.begin(), content, isClean); at != content)
      return kt::Error{"wrote " + std::to_string(content - at) + " bytes before its begin"};
    if (auto at = std::find_if_not(end, image.end(), isClean); at != image.end())
      return kt::Error{"wrote " + std::to_string(at - end) + " bytes behind its " + std::to_string(bytes)};
    return Bytes(content, end);
  }

  DevicePointer address() const { return base + red; }

private:
  const Driver &gpu;
  size_t bytes, red;
  DevicePointer base = 0;
};

// A loaded cubin or PTX text.
class LoadedModule {
public:
  explicit LoadedModule(const Driver &gpu) : gpu(gpu) {}
  LoadedModule(const LoadedModule &) = delete;
  LoadedModule &operator=(const LoadedModule &) = delete;
  ~LoadedModule() {
    if (module)
      gpu.table.moduleUnload(module);
  }
  kt::Status load(const cuda::GpuKernel &kernel) {
    std::vector<uint8_t> image = kernel.compiled.image;
    image.push_back(0); // for PTX
    if (kt::Status status = gpu.check(gpu.table.moduleLoadData(&module, image.data()), "loading"); !status)
      return status;
    if (kt::Status status =
            gpu.check(gpu.table.moduleGetFunction(&function, module, "kernel"), "function `kernel`");
        !status)
      return status;
    const uint32_t bytes = kernel.instance.launch.sharedBytes;
    if (bytes == 0)
      return {};
    return gpu.check(
        gpu.table.functionSetAttribute(function, ktrt::cuda::kMaxDynamicSharedBytes, static_cast<int>(bytes)),
        std::to_string(bytes) + " bytes of dynamic shared memory");
  }
  ktrt::cuda::Function function = nullptr;

private:
  const Driver &gpu;
  ktrt::cuda::Module module = nullptr;
};

// What a kernel gets beside its operands, in device memory.
struct Control {
  KtCudaStep step;
  uint32_t raised, arrivals, error, unused;
  unsigned long long trace[2];
};
constexpr uint32_t Replay = 12345;

class Run {
public:
  Run(const Driver &gpu, const KernelCase &kernelCase, const cuda::GpuKernel &kernel)
      : gpu(gpu), kernelCase(kernelCase), kernel(kernel), module(gpu), controlBuffer(gpu, sizeof(Control), 0) {}

  kt::Result<std::vector<Bytes>> operator()() {
    kt::Status status = prepare();
    if (status)
      status = launch();
    if (!status)
      return status.error();
    return results();
  }

private:
  kt::Status prepare() {
    if (kernelCase.operands.size() > KT_CUDA_MAX_OPERANDS)
      return kt::Error{std::to_string(kernelCase.operands.size()) + " operands, expected at most " +
                       std::to_string(KT_CUDA_MAX_OPERANDS)};
    const size_t redZone = environment("KT_CUDA_EXACT").empty() ? RedZone : 0;
    static_assert(RedZone % Alignment == 0);
    for (size_t i = 0; i < kernelCase.operands.size(); ++i) {
      const Bytes &operand = kernelCase.operands[i];
      buffers.push_back(nullptr);
      if (operand.empty())
        continue;
      buffers.back() = std::make_unique<DeviceBuffer>(gpu, operand.size(), redZone);
      if (kt::Status status = buffers.back()->fill(operand.data()); !status)
        return status;
      args.operands[i] = reinterpret_cast<void *>(buffers.back()->address());
    }
    Control control = {};
    control.step = {kernelCase.step.nTokens, kernelCase.step.nPast, kernelCase.step.rowOffset, Replay};
    control.trace[0] = ~0ull;
    if (kt::Status status = controlBuffer.fill(&control); !status)
      return status;
    const DevicePointer base = controlBuffer.address();
    args.step = reinterpret_cast<const KtCudaStep *>(base + offsetof(Control, step));
    args.raiseFlag = reinterpret_cast<unsigned *>(base + offsetof(Control, raised));
    args.arrivals = reinterpret_cast<unsigned *>(base + offsetof(Control, arrivals));
    args.error = reinterpret_cast<unsigned *>(base + offsetof(Control, error));
    args.trace = reinterpret_cast<unsigned long long *>(base + offsetof(Control, trace));
    return module.load(kernel);
  }

  kt::Status launch() {
    const cuda::Launch &grid = kernel.instance.launch;
    void *parameters[] = {&args};
    const std::string shape = std::to_string(grid.gridX) + "x" + std::to_string(grid.gridY) + "x" +
                              std::to_string(grid.gridZ) + " blocks of " + std::to_string(grid.threads);
    int code = gpu.launch(module.function, grid.gridX, grid.gridY, grid.gridZ, grid.threads, 1, 1,
                          grid.sharedBytes, nullptr, parameters, nullptr);
    if (kt::Status status = gpu.check(code, "launch of " + shape); !status)
      return status;
    kt::Status status = gpu.check(gpu.synchronize(), "running " + shape);
    if (!status)
      resetDriver();
    return status;
  }

  kt::Result<std::vector<Bytes>> results() {
    std::vector<Bytes> operands(kernelCase.operands.size());
    const std::vector<size_t> &outputs = kernelCase.outputs;
    for (size_t i = 0; i < operands.size(); ++i) {
      if (!buffers[i])
        continue;
      kt::Result<Bytes> bytes = buffers[i]->read();
      if (!bytes)
        return kt::Error{"operand " + std::to_string(i) + ": " + bytes.error().message};
      if (std::find(outputs.begin(), outputs.end(), i) == outputs.end() && *bytes != kernelCase.operands[i])
        return kt::Error{"wrote into operand " + std::to_string(i) + ", which is an input"};
      operands[i] = std::move(*bytes);
    }
    kt::Result<Bytes> bytes = controlBuffer.read();
    if (!bytes)
      return bytes.error();
    Control control;
    std::memcpy(&control, bytes->data(), sizeof(control));
    if (control.raised != Replay || control.arrivals != 0 || control.error != 0)
      return kt::Error{"after the kernel its signal is " + std::to_string(control.raised) + ", arrivals " +
                       std::to_string(control.arrivals) + ", error " + std::to_string(control.error) +
                       ", expected " + std::to_string(Replay) + ", 0 and 0"};
    if (control.trace[0] > control.trace[1])
      return kt::Error{"the kernel ended before it began, by its trace"};
    return operands;
  }

  const Driver &gpu;
  const KernelCase &kernelCase;
  const cuda::GpuKernel &kernel;
  LoadedModule module;
  std::vector<std::unique_ptr<DeviceBuffer>> buffers;
  DeviceBuffer controlBuffer;
  KtCudaArgs args = {};
};

} // namespace

bool cudaCompileOnly() {
  const std::string value = environment("KT_CUDA_COMPILE_ONLY");
  return !value.empty() && value != "0";
}

bool cudaLeavesOut() {
  static const int64_t every =
      std::max<int64_t>(1, std::strtoll(environment("KT_CUDA_EVERY").c_str(), nullptr, 10));
  static int64_t cases = 0;
  return cases++ % every != 0;
}

bool cudaAvailable() {
  if (cudaCompileOnly())
    return true;
  static const bool available = static_cast<bool>(driver());
  return available;
}

kt::Result<std::vector<Bytes>> runCuda(const KernelCase &kernelCase) {
  const std::string name = kernelName(kernelCase.family, kernelCase.params);
  kt::Result<cuda::Target> target = chosenTarget();
  if (!target)
    return target.error();
  kt::Result<cuda::GpuKernel> kernel = compiler().make(kernelCase.family, kernelCase.params, *target);
  if (!kernel)
    return kernel.error();
  if (cudaCompileOnly())
    return kernelCase.operands;
  kt::Result<const Driver *> gpu = driver();
  if (!gpu)
    return gpu.error();
  kt::Result<std::vector<Bytes>> results = Run(**gpu, kernelCase, *kernel)();
  if (!results)
    return kt::Error{name + " for " + std::string(target->name) + ": " + results.error().message};
  return results;
}

void checkCuda(const KernelCase &kernelCase, const Compare &compare) {
  if (cudaLeavesOut())
    return;
  checkCuda(kernelCase, compare, cudaCompileOnly() ? kernelCase.operands : runReference(kernelCase));
}

void checkCuda(const KernelCase &kernelCase, const Compare &compare, const std::vector<Bytes> &reference) {
  SCOPED_TRACE(kernelName(kernelCase.family, kernelCase.params));
  kt::Result<std::vector<Bytes>> got = runCuda(kernelCase);
  ASSERT_TRUE(static_cast<bool>(got)) << got.error().message;
  if (cudaCompileOnly())
    return;
  for (size_t output : kernelCase.outputs)
    compare(output, (*got)[output], reference[output]);
  kt::Result<std::vector<Bytes>> again = runCuda(kernelCase);
  ASSERT_TRUE(static_cast<bool>(again)) << again.error().message;
  EXPECT_EQ(*got, *again) << "a second run gives other bits";
}

void expectCudaRefused(const std::string &family, const Params &params, const std::string &part) {
  SCOPED_TRACE(kernelName(family, params));
  kt::Result<cuda::Instance> instance = cuda::instantiate(family, params, {90});
  ASSERT_FALSE(static_cast<bool>(instance));
  EXPECT_NE(instance.error().message.find(part), std::string::npos) << instance.error().message;
}

} // namespace ktc::test
