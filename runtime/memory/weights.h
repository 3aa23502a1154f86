// Addresses of a plan's weights: linked GGUF files are found, checked and mapped; packed weights are used
// straight from the plan's own mapping. Nothing is copied unless the plan asks for it.
#pragma once

#include "plan_generated.h"
#include "runtime/abi/result.hpp"
#include "runtime/memory/mapped_file.h"
#include "runtime/memory/weight_copy.h"

#include <cstdint>
#include <string>
#include <vector>

namespace ktrt {

// The weights of one open plan. Movable; addresses stay valid as long as it and the plan's mapping live.
class WeightMap {
public:
  // Finds the files of `plan` and resolves each weight. `planPath` is where the plan was opened (relative file
  // paths are relative to its directory); sectionBases[i] is the address of section i. The plan must be
  // verified: ranges are not checked again.
  //
  // A file is looked for, in this order: beside the plan (relative paths as written, absolute ones by file
  // name), at the path as compiled, in $KTRT_MODEL_DIR by file name. The first one with the right size and hash
  // is taken.
  static kt::Result<WeightMap> open(const plan::Plan &plan, const std::string &planPath,
                                    const std::vector<const uint8_t *> &sectionBases);

  // Makes the copies that the plan's weight layout asks for (weight_copy.h); `cpus` of the team in node order.
  kt::Status copy(const plan::Plan &plan, const std::vector<uint32_t> &cpus);
  const WeightCopies &copied() const { return copies; }

  // First byte of weight `index` of the plan.
  const uint8_t *address(uint32_t index) const { return addresses[index]; }
  // Says where weight `index` lies instead: one that was copied to a GPU.
  void setAddress(uint32_t index, const uint8_t *address) { addresses[index] = address; }
  const std::vector<MappedFile> &linkedFiles() const { return files; }

private:
  std::vector<MappedFile> files;
  std::vector<const uint8_t *> addresses;
  WeightCopies copies;
};

} // namespace ktrt
