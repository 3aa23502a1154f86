// What a compiled GPU kernel uses of an SM, as the assembler reports it.
#pragma once

#include <cstdint>
#include <string_view>

namespace ktc::cuda {

struct ResourceUsage {
  uint32_t registers = 0;   // per thread
  uint32_t sharedBytes = 0; // static shared memory per block
  uint32_t stackBytes = 0;  // per thread
  uint32_t spillBytes = 0;  // per thread: bytes of spill stores and loads in the code; 0 in a good kernel
};

// Reads the report of ptxas -v in a compile log: the sum over functions of spills, the largest of the rest. A
// log without a report (PTX) gives zeros.
ResourceUsage readResourceUsage(std::string_view log);

} // namespace ktc::cuda
