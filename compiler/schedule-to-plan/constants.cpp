// Constants of a schedule; see the header.
#include "compiler/schedule-to-plan/constants.h"

#include "compiler/schedule-to-plan/rope_table.h"
#include "templates/reference/reference.h"

#include <algorithm>
#include <cmath>

using namespace mlir;

namespace ktc {

// Rows of a rope table that are computed at a time: a table of a long context is larger than it needs to be in
// memory.
constexpr uint64_t rowsAtATime = 4096;

static kt::Result<std::vector<float>> readFactors(ModuleOp module, model::RopeAttr rope, ModelFiles &files,
                                                  const std::string &where) {
  std::vector<float> factors;
  if (!rope.getFreqFactors())
    return factors;
  std::string name = rope.getFreqFactors().getValue().str();
  auto weight = module.lookupSymbol<model::WeightOp>(name);
  if (!weight)
    return kt::Error{where + ": there is no weight @" + name};
  auto type = cast<RankedTensorType>(weight.getType());
  if (type.getNumElements() != rope.getDims() / 2)
    return kt::Error{where + ": expected " + std::to_string(rope.getDims() / 2) + " elements in " + name +
                     ", found " + std::to_string(type.getNumElements())};
  if (kt::Status range = files.checkRange(weight.getFile(), weight.getOffset(), weight.getBytes(), name);
      !range)
    return range.error();
  std::vector<uint8_t> bytes(weight.getBytes());
  if (kt::Status status = files.read(weight.getFile(), weight.getOffset(), bytes.data(), bytes.size()); !status)
    return status.error();
  factors.resize(static_cast<size_t>(type.getNumElements()));
  reference::dequantize(quant::typeIdOf(type.getElementType()), bytes.data(), factors.data(), factors.size());
  for (float factor : factors)
    if (!(factor > 0) || !std::isfinite(factor))
      return kt::Error{where + ": expected positive elements in " + name + ", found " + std::to_string(factor)};
  return factors;
}

kt::Status appendConstant(ModuleOp module, sched::ConstantOp constant, ModelFiles &files, SpoolFile &spool) {
  // The verifier of the operation admits rope tables only.
  std::string where = "constant @" + constant.getSymName().str();
  auto rope = constant.getParams().getAs<model::RopeAttr>("rope");
  uint64_t context = constant.getParams().getAs<IntegerAttr>("context").getValue().getZExtValue();
  kt::Result<std::vector<float>> factors = readFactors(module, rope, files, where);
  if (!factors)
    return factors.error();
  std::vector<double> frequencies = ropeFrequencies(rope, *factors);
  std::vector<float> rows;
  for (uint64_t first = 0; first < context; first += rowsAtATime) {
    rows.resize(std::min(rowsAtATime, context - first) * frequencies.size() * 2);
    ropeRows(frequencies, rope.getMagnitude(), first, rows);
    if (kt::Status status = spool.append(rows.data(), rows.size() * sizeof(float)); !status)
      return status;
  }
  return {};
}

} // namespace ktc
