// Executable memory under W^X: code is writable while it is copied in and executable afterwards, never both.
#pragma once

#include "runtime/abi/result.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace ktrt {

// One loaded code section. Copied into anonymous memory, so that neither a later change of the file nor a
// noexec mount can affect running code. Movable; unmapped when destroyed.
class CodeSegment {
public:
  // Loads `bytes` bytes of machine code. The address is page aligned. `what` names the section in the error.
  static kt::Result<CodeSegment> load(const uint8_t *code, uint64_t bytes, const std::string &what);

  CodeSegment() = default;
  CodeSegment(CodeSegment &&other) noexcept;
  CodeSegment &operator=(CodeSegment &&other) noexcept;
  ~CodeSegment();

  const uint8_t *data() const { return base; }
  uint64_t bytes() const { return size; }

private:
  uint8_t *base = nullptr;
  uint64_t size = 0;
};

// A named range of loaded code, for the perf map.
struct CodeSymbol {
  const void *address;
  uint64_t bytes;
  std::string_view name;
};

// Appends symbols to the perf map of this process (perf-<pid>.map in the system's temporary directory, where
// `perf` looks for it), so that `perf report` shows kernel names.
kt::Status writePerfMap(const std::vector<CodeSymbol> &symbols);

} // namespace ktrt
