// Disassembly: encodings are from the instruction-set manual, checked with another assembler.
#include "compiler/schedule-to-kernels/disassemble.h"

#include <gtest/gtest.h>

namespace ktc {

static std::vector<std::string> texts(const std::vector<uint8_t> &code, uint64_t address = 0) {
  std::vector<std::string> result;
  for (const Instruction &instruction : disassemble(code, address))
    result.push_back(instruction.text);
  return result;
}

TEST(Disassemble, KnowsEveryLevel) {
  EXPECT_EQ(texts({0xc5, 0xf4, 0x58, 0xc2}), std::vector<std::string>{"vaddps ymm0, ymm1, ymm2"});
  EXPECT_EQ(texts({0x62, 0xf2, 0x6d, 0x48, 0x50, 0xcb}), std::vector<std::string>{"vpdpbusd zmm1, zmm2, zmm3"});
  EXPECT_EQ(texts({0xc4, 0xe2, 0x7b, 0x4b, 0x04, 0x1f}),
            std::vector<std::string>{"tileloadd tmm0, [rdi + rbx]"});
}

TEST(Disassemble, PrintsWhatRipRelativeOperandsAndBranchesMean) {
  EXPECT_EQ(texts({0xc5, 0xfc, 0x10, 0x05, 0x10, 0, 0, 0}, 0x40),
            std::vector<std::string>{"vmovups ymm0, ymmword ptr [rip + 0x10] # 0x58"});
  EXPECT_EQ(texts({0x90, 0xeb, 0xfd}, 0x100), (std::vector<std::string>{"nop", "jmp 0x100"}));
}

TEST(Disassemble, ShowsBytesThatAreNoInstruction) {
  // 06 does not exist in 64-bit mode; c5 f4 is cut off.
  EXPECT_EQ(texts({0x06, 0xc3, 0xc5, 0xf4}),
            (std::vector<std::string>{".byte 0x06", "ret", ".byte 0xc5", "hlt"}));
  EXPECT_TRUE(disassemble({}).empty());
}

TEST(Disassemble, TextForms) {
  std::vector<uint8_t> code = {0xc5, 0xf8, 0x77, 0xc3};
  EXPECT_EQ(disassembleText(code), "     0: vzeroupper\n     3: ret\n");
  std::vector<uint8_t> bytes(17, 7);
  EXPECT_EQ(bytesText(bytes, 0x40),
            "    40: .byte 0x07, 0x07, 0x07, 0x07, 0x07, 0x07, 0x07, 0x07, 0x07, 0x07, 0x07, "
            "0x07, 0x07, 0x07, 0x07, 0x07\n    50: .byte 0x07\n");
}

} // namespace ktc
