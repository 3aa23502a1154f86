// Disassembly with LLVM's MC layer; see the header.
#include "compiler/schedule-to-kernels/disassemble.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/MC/MCAsmInfo.h"
#include "llvm/MC/MCContext.h"
#include "llvm/MC/MCDisassembler/MCDisassembler.h"
#include "llvm/MC/MCInst.h"
#include "llvm/MC/MCInstPrinter.h"
#include "llvm/MC/MCInstrAnalysis.h"
#include "llvm/MC/MCInstrInfo.h"
#include "llvm/MC/MCRegisterInfo.h"
#include "llvm/MC/MCSubtargetInfo.h"
#include "llvm/MC/MCTargetOptions.h"
#include "llvm/MC/TargetRegistry.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/TargetSelect.h"
#include "llvm/Support/raw_ostream.h"
#include "llvm/TargetParser/Triple.h"

#include <algorithm>
#include <memory>

extern "C" void LLVMInitializeX86TargetInfo();
extern "C" void LLVMInitializeX86TargetMC();
extern "C" void LLVMInitializeX86Disassembler();

namespace ktc {

namespace {

constexpr unsigned intelSyntax = 1; // the printer's variant

const llvm::Target &x86Target() {
  static const llvm::Target *target = [] {
    LLVMInitializeX86TargetInfo();
    LLVMInitializeX86TargetMC();
    LLVMInitializeX86Disassembler();
    std::string error;
    return llvm::TargetRegistry::lookupTarget("x86_64-unknown-linux-gnu", error);
  }();
  return *target;
}

// Everything that MC wants to have around it, and one instruction at a time.
class Disassembler {
public:
  Disassembler()
      : target(x86Target()), triple("x86_64-unknown-linux-gnu"),
        registers(target.createMCRegInfo(triple.str())),
        assembly(target.createMCAsmInfo(*registers, triple.str(), llvm::MCTargetOptions())),
        instructions(target.createMCInstrInfo()), subtarget(target.createMCSubtargetInfo(triple.str(), "", "")),
        context(triple, assembly.get(), registers.get(), subtarget.get()),
        decoder(target.createMCDisassembler(*subtarget, context)),
        printer(target.createMCInstPrinter(triple, intelSyntax, *assembly, *instructions, *registers)),
        analysis(target.createMCInstrAnalysis(instructions.get())) {
    printer->setPrintImmHex(true);
    printer->setPrintBranchImmAsAddress(true);
  }

  // The instruction at the front of `code`; at least one byte.
  Instruction next(std::span<const uint8_t> code, uint64_t address) {
    llvm::MCInst inst;
    uint64_t size = 0;
    auto status = decoder->getInstruction(inst, size, llvm::ArrayRef<uint8_t>(code.data(), code.size()),
                                          address, llvm::nulls());
    if (status != llvm::MCDisassembler::Success || size == 0 || size > code.size())
      return {address, code.first(1), byteText(code[0])};
    std::string text;
    llvm::raw_string_ostream stream(text);
    // The printer wants the end of the instruction, where the displacement of a branch counts from.
    printer->printInst(&inst, address + size, "", *subtarget, stream);
    if (auto meant = analysis->evaluateMemoryOperandAddress(inst, subtarget.get(), address, size))
      stream << " # 0x" << llvm::utohexstr(*meant, true);
    stream.flush();
    std::replace(text.begin(), text.end(), '\t', ' ');
    return {address, code.first(size), text.substr(std::min(text.find_first_not_of(' '), text.size()))};
  }

  static std::string byteText(uint8_t byte) {
    std::string text;
    llvm::raw_string_ostream(text) << ".byte " << llvm::format("0x%02x", unsigned(byte));
    return text;
  }

private:
  const llvm::Target &target;
  llvm::Triple triple;
  std::unique_ptr<llvm::MCRegisterInfo> registers;
  std::unique_ptr<llvm::MCAsmInfo> assembly;
  std::unique_ptr<llvm::MCInstrInfo> instructions;
  std::unique_ptr<llvm::MCSubtargetInfo> subtarget;
  llvm::MCContext context;
  std::unique_ptr<llvm::MCDisassembler> decoder;
  std::unique_ptr<llvm::MCInstPrinter> printer;
  std::unique_ptr<llvm::MCInstrAnalysis> analysis;
};

} // namespace

std::vector<Instruction> disassemble(std::span<const uint8_t> code, uint64_t address) {
  Disassembler disassembler;
  std::vector<Instruction> result;
  for (size_t at = 0; at < code.size(); at += result.back().bytes.size())
    result.push_back(disassembler.next(code.subspan(at), address + at));
  return result;
}

std::string disassembleText(std::span<const uint8_t> code, uint64_t address) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  for (const Instruction &instruction : disassemble(code, address))
    stream << llvm::format("%6llx: ", static_cast<unsigned long long>(instruction.address)) << instruction.text
           << '\n';
  return text;
}

std::string bytesText(std::span<const uint8_t> bytes, uint64_t address) {
  constexpr size_t perLine = 16;
  std::string text;
  llvm::raw_string_ostream stream(text);
  for (size_t at = 0; at < bytes.size(); at += perLine) {
    stream << llvm::format("%6llx: .byte", static_cast<unsigned long long>(address + at));
    for (size_t i = at; i < std::min(at + perLine, bytes.size()); ++i)
      stream << (i == at ? " " : ", ") << llvm::format("0x%02x", unsigned(bytes[i]));
    stream << '\n';
  }
  return text;
}

} // namespace ktc
