// Disassembly of x86-64 machine code, for people and for FileCheck.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace ktc {

// One instruction, or bytes that are none.
struct Instruction {
  uint64_t address = 0;
  std::span<const uint8_t> bytes; // into the disassembled code
  std::string text;               // Intel syntax; `.byte 0x..` where the bytes are no instruction
};

// Disassembles `code` as if it lay at `address`. Branch targets are printed as addresses, and the address that
// a rip-relative operand means as a comment. Knows every instruction-set extension; never fails.
std::vector<Instruction> disassemble(std::span<const uint8_t> code, uint64_t address = 0);

// The same as text: a line `  1a: vaddps ymm0, ymm1, ymm2` per instruction.
std::string disassembleText(std::span<const uint8_t> code, uint64_t address = 0);

// Lines `  40: .byte 0x00, …` of 16 bytes each, for the constants behind the code.
std::string bytesText(std::span<const uint8_t> bytes, uint64_t address = 0);

} // namespace ktc
