// Collects weights while entries are serialised; see the header.
#include "compiler/schedule-to-plan/weight_table.h"

#include "compiler/schedule-to-plan/constants.h"
#include "compiler/schedule-to-plan/derived_weights.h"

#include <filesystem>

using namespace mlir;
using namespace ktrt::plan;

namespace ktc {

static bool shouldPack(ModuleOp module, WeightStorage storage) {
  uint64_t bytes = 0;
  for (auto weight : module.getOps<model::WeightOp>())
    bytes += weight.getBytes();
  return storage == WeightStorage::Auto ? bytes < autoPackLimit : storage == WeightStorage::Pack;
}

static std::vector<uint64_t> ggufShape(RankedTensorType type) {
  return std::vector<uint64_t>(type.getShape().rbegin(), type.getShape().rend());
}

WeightTable::WeightTable(ModuleOp module, const GgufModel &model, WeightStorage storage,
                         std::string planDirectory)
    : module(module), symbols(module), files(model), isPacked(shouldPack(module, storage)),
      planDirectory(std::move(planDirectory)) {}

kt::Result<uint32_t> WeightTable::index(StringRef symbol, uint32_t device) {
  auto [known, isNew] = indices.try_emplace({symbol.str(), device}, static_cast<uint32_t>(weights.size()));
  if (!isNew)
    return known->second;
  kt::Result<const Source *> found = source(symbol);
  if (!found)
    return found.error();
  const Source &bytes = **found;
  auto weight = std::make_unique<WeightT>();
  weight->name = symbol.str();
  weight->type = bytes.type;
  weight->shape = bytes.shape;
  weight->file = bytes.file;
  weight->offset = bytes.offset;
  weight->bytes = bytes.bytes;
  weight->device = device;
  if (Operation *op = symbols.lookup(symbol))
    if (auto split = op->getAttrOfType<IntegerAttr>(sched::names::kSplitBytes))
      weight->split_bytes = static_cast<uint64_t>(split.getInt());
  weights.push_back(std::move(weight));
  places.push_back(bytes.place);
  return known->second;
}

kt::Result<const WeightTable::Source *> WeightTable::source(StringRef symbol) {
  auto [known, isNew] = sources.try_emplace(symbol);
  if (!isNew)
    return &known->second;
  Operation *op = symbols.lookup(symbol);
  if (!isa_and_nonnull<model::WeightOp, model::DerivedWeightOp, sched::ConstantOp>(op))
    return kt::Error{"expected a weight, derived weight or constant '" + symbol.str() + "', found " +
                     (op ? op->getName().getStringRef().str() : "none")};
  kt::Result<Source> made = isa<model::WeightOp>(op) ? fromFile(op) : computed(op);
  if (!made)
    return made.error();
  totalBytes += made->bytes;
  known->second = std::move(*made);
  return &known->second;
}

kt::Result<WeightTable::Source> WeightTable::fromFile(Operation *op) {
  auto weight = cast<model::WeightOp>(op);
  auto type = cast<RankedTensorType>(weight.getType());
  std::string where = "weight '" + weight.getSymName().str() + "'";
  if (kt::Status status = files.checkRange(weight.getFile(), weight.getOffset(), weight.getBytes(), where);
      !status)
    return status.error();
  Source source;
  source.type = quant::typeIdOf(type.getElementType());
  source.shape = ggufShape(type);
  source.bytes = weight.getBytes();
  if (isPacked) {
    kt::Result<int> fd = files.descriptor(weight.getFile());
    if (!fd)
      return fd.error();
    source.place = Place::Weights;
    source.offset = packed.addFile(*fd, weight.getOffset(), weight.getBytes());
    return source;
  }
  kt::Result<int32_t> file = linkedFile(weight.getFile());
  if (!file)
    return file.error();
  source.file = *file;
  source.offset = weight.getOffset();
  return source;
}

kt::Result<WeightTable::Source> WeightTable::computed(Operation *op) {
  if (!spool) {
    kt::Result<SpoolFile> made = SpoolFile::create(planDirectory);
    if (!made)
      return made.error();
    spool = std::move(*made);
  }
  Source source;
  source.place = Place::Constants;
  uint64_t start = spool->bytes();
  kt::Status status;
  if (auto weight = dyn_cast<model::DerivedWeightOp>(op)) {
    auto type = cast<RankedTensorType>(weight.getType());
    source.type = quant::typeIdOf(type.getElementType());
    source.shape = ggufShape(type);
    source.bytes = quant::tensorBytes(type);
    status = appendDerivedWeight(module, weight, files, *spool);
  } else {
    auto constant = cast<sched::ConstantOp>(op);
    source.type = KT_TYPE_F32;
    source.shape = {constant.getBytes() / sizeof(float)};
    source.bytes = constant.getBytes();
    status = appendConstant(module, constant, files, *spool);
  }
  if (!status)
    return status.error();
  source.offset = constants.addFile(spool->descriptor(), start, source.bytes);
  return source;
}

kt::Result<int32_t> WeightTable::linkedFile(uint32_t file) {
  auto [known, isNew] = linkedFiles.try_emplace(file, static_cast<int32_t>(fileTable.size()));
  if (!isNew)
    return known->second;
  kt::Result<uint64_t> hash = files.sampleHash(file);
  if (!hash)
    return hash.error();
  auto entry = std::make_unique<WeightFileT>();
  entry->path = linkPath(files.info(file).path);
  entry->bytes = files.info(file).bytes;
  entry->hash = *hash;
  fileTable.push_back(std::move(entry));
  return known->second;
}

// A relative path is one the user wants to stay relative: it is kept so, but seen from the plan.
std::string WeightTable::linkPath(const std::string &path) const {
  namespace fs = std::filesystem;
  if (fs::path(path).is_absolute())
    return path;
  // Folders are resolved, because ".." leaves the real folder; the file's own name stays as given.
  std::error_code error;
  fs::path folder = fs::path(path).parent_path();
  fs::path from = fs::canonical(planDirectory, error);
  fs::path to = error ? fs::path() : fs::canonical(folder.empty() ? "." : folder, error);
  fs::path relative = error ? fs::path() : to.lexically_relative(from);
  fs::path name = fs::path(path).filename();
  return relative.empty() ? fs::absolute(path, error).string() : (relative / name).lexically_normal().string();
}

void WeightTable::finish(PlanT &plan, std::vector<SectionSource> &sections) {
  int32_t constantSection = -1, weightSection = -1;
  if (constants.bytes() != 0) {
    constantSection = static_cast<int32_t>(sections.size());
    sections.push_back(constants);
  }
  if (packed.bytes() != 0) {
    weightSection = static_cast<int32_t>(sections.size());
    sections.push_back(packed);
  }
  for (size_t i = 0; i < weights.size(); ++i)
    if (places[i] != Place::File)
      weights[i]->section = places[i] == Place::Constants ? constantSection : weightSection;
  plan.weights = std::move(weights);
  plan.files = std::move(fileTable);
}

} // namespace ktc
