// Names that KTransformers rule files use: replacement classes, kernels and keyword arguments.
//
// Facts about another project's file format, kept in one table so that a new class is one line. Private to this
// folder.
#pragma once

#include <span>
#include <string_view>

namespace ktc::policy {

// What a replacement class stands for.
enum class KtClassKind {
  Default, // keeps the module, moves it
  Linear,  // a matrix
  Experts, // the routed experts: generate_device is the CPU unless given
  Module,  // attention, MoE block, MLP, gate, norm: a module on a device
  Rope,    // tables of cosines: part of attention here, nothing to place
  Model,   // the whole network: only settings
};

struct KtClass {
  std::string_view name; // last component of the dotted name
  KtClassKind kind;
};

// Where a kernel of `generate_op` or `prefill_op` can run.
enum class KtOpDevice { Any, Cpu, Gpu };

struct KtOp {
  std::string_view name;
  KtOpDevice device;
};

// What a keyword argument means here.
struct KtArgument {
  std::string_view name;
  std::string_view note; // why it has no effect; empty if it has one
};

std::span<const KtClass> ktClasses();
std::span<const KtOp> ktOps();
std::span<const KtArgument> ktArguments();

// Hugging Face classes that rules name in `match`, including those of models that are not supported here.
std::span<const std::string_view> ktModelClasses();

// The part of a dotted name behind the last dot.
std::string_view lastComponent(std::string_view dotted);

} // namespace ktc::policy
