// Text and file forms of a CodeImage; see the header.
#include "compiler/schedule-to-kernels/dump_kernels.h"

#include "compiler/schedule-to-kernels/disassemble.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/Path.h"

using namespace llvm;

namespace ktc {

static void printValue(const ParamValue &value, raw_ostream &stream) {
  if (const int64_t *integer = std::get_if<int64_t>(&value))
    stream << *integer;
  else if (const double *real = std::get_if<double>(&value))
    stream << format("%.9g", *real);
  else
    stream << std::get<std::string>(value);
}

// kernel linear.0 "linear" {k = 256, format = q4_k}
static void printHeader(const KernelInfo &kernel, raw_ostream &stream) {
  stream << "kernel " << kernel.symbol << " \"" << kernel.family << "\" {";
  StringRef separator = "";
  for (const auto &[name, value] : kernel.params) {
    stream << separator << name << " = ";
    printValue(value, stream);
    separator = ", ";
  }
  stream << "}\n";
}

// avx2: 320 bytes of code, 128 of constants, 0 of scratch per thread, at 0x40
static void printSizes(const CodeSegment &segment, size_t index, raw_ostream &stream) {
  const KernelCode &kernel = segment.kernels[index];
  stream << "  " << x64::isaName(segment.isa) << ": " << kernel.codeBytes << " bytes of code, "
         << kernel.bytes - kernel.codeBytes << " of constants, " << kernel.scratchBytes
         << " of scratch per thread, at 0x" << utohexstr(kernel.offset, true) << "\n";
}

// sm_90a: 4480 bytes of cubin, 40 registers, 0 bytes of shared memory, 0 spilled, grid 2x1x1 of 64 threads, at
// 0x0
static void printSizes(const GpuSegment &segment, size_t index, raw_ostream &stream) {
  const GpuCode &kernel = segment.kernels[index];
  const cuda::Launch &launch = kernel.launch;
  stream << "  " << segment.target.name << ": " << kernel.bytes << " bytes of ";
  if (segment.target.ptx)
    stream << "PTX, ";
  else
    stream << "cubin, " << kernel.usage.registers << " registers, "
           << kernel.usage.sharedBytes + launch.sharedBytes << " bytes of shared memory, "
           << kernel.usage.spillBytes << " spilled, ";
  stream << "grid " << launch.gridX << "x" << launch.gridY << "x" << launch.gridZ << " of " << launch.threads
         << " threads, at 0x" << utohexstr(kernel.offset, true) << "\n";
}

static std::string assemblyText(const CodeSegment &segment, size_t index) {
  uint64_t codeBytes = segment.kernels[index].codeBytes;
  return disassembleText(segment.code(index)) + bytesText(segment.image(index).subspan(codeBytes), codeBytes);
}

void printKernels(const CodeImage &image, raw_ostream &stream, bool disassembly) {
  for (size_t i = 0; i < image.kernels.size(); ++i) {
    printHeader(image.kernels[i], stream);
    for (const CodeSegment &segment : image.segments) {
      if (segment.kernels[i].bytes == 0)
        continue;
      printSizes(segment, i, stream);
      if (disassembly)
        stream << assemblyText(segment, i);
    }
    for (const GpuSegment &segment : image.gpuSegments)
      if (segment.kernels[i].bytes != 0)
        printSizes(segment, i, stream);
  }
}

static kt::Status writeFile(const std::string &directory, const std::string &name, StringRef content) {
  SmallString<256> path(directory);
  sys::path::append(path, name);
  std::error_code error;
  raw_fd_ostream stream(path, error);
  if (!error) {
    stream << content;
    stream.close();
    error = stream.error();
    stream.clear_error(); // or the destructor would end the program
  }
  if (error)
    return kt::Error{path.str().str() + ": cannot write: " + error.message()};
  return {};
}

static std::string fileName(const std::string &symbol) {
  std::string name = symbol;
  for (char &c : name)
    if (!isAlnum(c) && c != '.' && c != '-' && c != '_')
      c = '_';
  return name;
}

static StringRef binaryText(std::span<const uint8_t> bytes) {
  return {reinterpret_cast<const char *>(bytes.data()), bytes.size()};
}

static kt::Status dumpCpu(const KernelInfo &kernel, const CodeSegment &segment, size_t index,
                          const std::string &directory) {
  std::string name = fileName(kernel.symbol) + "." + std::string(x64::isaName(segment.isa));
  if (kt::Status status = writeFile(directory, name + ".bin", binaryText(segment.image(index))); !status)
    return status;
  return writeFile(directory, name + ".asm", assemblyText(segment, index));
}

static kt::Status dumpGpu(const KernelInfo &kernel, const GpuSegment &segment, size_t index,
                          const std::string &directory) {
  const GpuCode &code = segment.kernels[index];
  std::string name = fileName(kernel.symbol) + "." + std::string(segment.target.name);
  StringRef image = binaryText(segment.image(index));
  if (segment.target.ptx)
    image = image.rtrim('\0');
  if (kt::Status status = writeFile(directory, name + (segment.target.ptx ? ".ptx" : ".cubin"), image); !status)
    return status;
  if (kt::Status status = writeFile(directory, name + ".cu", code.source); !status)
    return status;
  return writeFile(directory, name + ".log", code.log);
}

kt::Status dumpKernels(const CodeImage &image, const std::string &directory) {
  if (std::error_code error = sys::fs::create_directories(directory))
    return kt::Error{directory + ": cannot make the directory: " + error.message()};
  for (size_t i = 0; i < image.kernels.size(); ++i) {
    for (const CodeSegment &segment : image.segments)
      if (segment.kernels[i].bytes != 0)
        if (kt::Status status = dumpCpu(image.kernels[i], segment, i, directory); !status)
          return status;
    for (const GpuSegment &segment : image.gpuSegments)
      if (segment.kernels[i].bytes != 0)
        if (kt::Status status = dumpGpu(image.kernels[i], segment, i, directory); !status)
          return status;
  }
  std::string index;
  raw_string_ostream stream(index);
  printKernels(image, stream, false);
  stream.flush();
  return writeFile(directory, "kernels.txt", index);
}

} // namespace ktc
