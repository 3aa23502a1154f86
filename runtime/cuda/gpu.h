// One GPU: its primary context, its stream, and memory that it can see.
#pragma once

#include "runtime/cuda/driver.h"

#include <memory>
#include <string>

namespace ktrt::cuda {

// Free and whole memory of a GPU, in bytes.
struct MemoryInfo {
  uint64_t free, total;
};

// A GPU in use by one session. Whoever calls the driver for it makes it current on the calling thread first.
class Gpu {
public:
  // Takes the `ordinal`-th device of the driver (as CUDA_VISIBLE_DEVICES leaves them).
  static kt::Result<std::unique_ptr<Gpu>> open(const Driver &driver, uint32_t ordinal);
  ~Gpu();
  Gpu(const Gpu &) = delete;
  Gpu &operator=(const Gpu &) = delete;

  const Driver &driver() const { return table; }
  Context context() const { return primary; }
  Stream stream() const { return work; }
  const std::string &name() const { return label; } // "NVIDIA H200"
  uint32_t sm() const { return version; }           // compute capability, 90 for 9.0
  void makeCurrent() const { table.contextSetCurrent(primary); }
  kt::Result<MemoryInfo> memoryInfo() const;
  // Waits for all work on the stream.
  kt::Status synchronize() const;
  // Copies `bytes` bytes of its memory to pinned memory of the host, after all work on the stream, and waits.
  kt::Status copyToHost(void *to, const void *from, uint64_t bytes) const;

  // Gives the GPU up: work on it does not end. Nothing of it is freed any more, because that would wait for
  // ever.
  void abandon() { lost = true; }
  bool abandoned() const { return lost; }

private:
  explicit Gpu(const Driver &driver) : table(driver) {}

  const Driver &table;
  int device = 0;
  Context primary = nullptr;
  Stream work = nullptr;
  std::string label;
  uint32_t version = 0;
  bool lost = false;
};

// Owns one zero-filled allocation. The GPU outlives it. Movable.
class GpuMemory {
public:
  // On the GPU. `what` names it in the error.
  static kt::Result<GpuMemory> onDevice(Gpu &gpu, uint64_t bytes, const std::string &what);
  // In pinned host memory, at the same address for the host and all GPUs.
  static kt::Result<GpuMemory> onHost(Gpu &gpu, uint64_t bytes, const std::string &what);

  GpuMemory() = default;
  GpuMemory(GpuMemory &&other) noexcept;
  GpuMemory &operator=(GpuMemory &&other) noexcept;
  ~GpuMemory();

  // Of memory on the GPU only the address means something here.
  uint8_t *data() const { return reinterpret_cast<uint8_t *>(address); }
  uint64_t bytes() const { return size; }

private:
  Gpu *gpu = nullptr;
  bool host = false;
  DeviceAddress address = 0;
  uint64_t size = 0;
};

} // namespace ktrt::cuda
