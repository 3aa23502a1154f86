// What tests set and see of the fake driver (fake_cuda.cpp).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace fake {

struct Node {
  enum class Kind { Kernel, Copy, Fill, Wait, Write };
  Kind kind = Kind::Kernel;
  std::vector<size_t> after;      // earlier nodes of the graph
  std::string kernel;             // name of a kernel
  bool raises = false;            // a kernel
  bool waits = false;             // a kernel
  uint64_t bytes = 0;             // Copy, Fill
  std::vector<size_t> early = {}; // of `after`: kernels that this one waits for itself
};

using GraphRecord = std::vector<Node>;

struct State {
  // Settings.
  int initResult = 0;
  int version = 13000;
  int devices = 1;
  int major = 9, minor = 0;
  size_t freeBytes = size_t(1) << 30, totalBytes = size_t(2) << 30;
  int launchResult = 0;
  bool waitsExpire = false; // kernels wait in vain, without delay
  bool refusesEarlyEdges = false;

  // Records.
  std::vector<GraphRecord> graphs;                   // instantiated, in order
  size_t launches = 0;                               // of graphs
  size_t kernelLaunches = 0;                         // of kernels by themselves
  size_t deviceAllocations = 0, hostAllocations = 0; // alive
  size_t objects = 0;                                // alive: contexts, streams, events, modules, graphs
  size_t copiedToDevice = 0;                         // bytes, apart from graphs
  size_t copies = 0;                                 // by themselves, of any direction
  size_t modules = 0;                                // ever loaded
  bool stop = false;                                 // ends kernels that hang
};

// The settings that $KT_FAKE_CUDA asks for, e.g. "free=1000000 launch=700": free, devices, version, major,
// launch, waits_expire.
State stateOfEnvironment();

// The library exports `fake::State *fakeCuda(bool reset)`.
using Access = State *(*)(bool reset);

} // namespace fake
