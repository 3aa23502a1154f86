// The table of kernel families: a family is a name and a function that generates one of its kernels.
//
// A new family is a new file that defines a `Family` object, a declaration here and a line in families.cpp. The
// table is explicit because objects registered by constructors are dropped when they come from a static
// library.
#pragma once

#include "templates/x64/x64.h"

#include <span>

namespace ktc::x64 {

// Where and for what code is generated. Without a buffer the emitter allocates one of its own, which grows;
// with a buffer (64-byte aligned, owned by the caller) the code is assembled in place there, so that tests can
// prove that the bytes do not depend on the address.
struct Target {
  Isa isa = Isa::Avx2;
  uint8_t *buffer = nullptr;
  size_t bufferBytes = 0;
};

// One kernel family. `generate` throws ParamError on bad parameters and lets xbyak's exceptions pass.
struct Family {
  std::string_view name;
  Kernel (*generate)(const Params &params, const Target &target);
};

extern const Family linearFamily;
extern const Family gateUpFamily;
extern const Family downFamily;
extern const Family embedFamily;
extern const Family quantizeFamily;
extern const Family packFamily;
extern const Family rmsNormFamily;
extern const Family addFamily;
extern const Family ropeFamily;
extern const Family kvStoreFamily;
extern const Family attentionGqaFamily;
extern const Family attentionMlaFamily;
extern const Family attentionMergeFamily;
extern const Family routerTopkFamily;
extern const Family expertGroupFamily;

// All families, in no particular order.
std::span<const Family *const> families();

// As generate() of x64.h, assembling in `target`.
kt::Result<Kernel> generateAt(std::string_view family, const Params &params, const Target &target);

} // namespace ktc::x64
