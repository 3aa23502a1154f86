// Entry point of the x86-64 kernel generators: (family, parameters, ISA) → position-independent machine code.
//
// The generators never look at the CPU they run on: the ISA is an argument, so any kernel can be generated,
// dumped and disassembled on any machine. No global state; safe to call from several threads at once.
#pragma once

#include "runtime/abi/kt_abi.h"
#include "runtime/abi/result.hpp"
#include "templates/params.h"

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace ktc::x64 {

// Instruction-set levels, each containing the one before it in what it may use.
//   Avx2      AVX2, FMA, F16C, BMI2
//   Avx2Vnni  + AVX-VNNI (VEX encoded)
//   Avx512    AVX-512 F/BW/DQ/VL/VNNI with AVX2
//   Amx       Avx512 + AMX-TILE/INT8/BF16 + AVX512-BF16/VBMI + GFNI
enum class Isa { Avx2, Avx2Vnni, Avx512, Amx };

// "avx2", "avx2vnni", "avx512", "amx": the spelling in plans, in --cpu and in file names.
std::string_view isaName(Isa isa);
std::optional<Isa> parseIsa(std::string_view name);

// Machine code of one kernel: code, then its constants. Runs at any 64-byte aligned address.
struct Kernel {
  std::vector<uint8_t> code;
  size_t codeBytes = 0;    // instructions at the front of `code`; padding and constants follow
  size_t scratchBytes = 0; // per thread
};

// Kernels with dynamic = 1 of linear (without batches), gate_up and down multiply a matrix that has at least so
// many tokens by panels, from Avx512 on and for quantised formats; otherwise by tiles. The two add in different
// orders. Measured: with fewer tokens, making a panel costs more than it saves.
constexpr int64_t panelCrossover(Isa isa) { return isa == Isa::Amx ? 10 : 16; }

// Generates one kernel. Fails with a message when the family is unknown or a parameter is out of range.
kt::Result<Kernel> generate(std::string_view family, const Params &params, Isa isa);

} // namespace ktc::x64
