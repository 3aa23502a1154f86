// WeightTable: the weights of a plan and where their bytes are.
//
// Only what entries refer to gets in, in the order of first use, so that packed weights lie in the order in
// which a token reads them. A weight used on two devices has two entries that share their bytes.
#pragma once

#include "compiler/schedule-to-plan/model_files.h"
#include "compiler/schedule-to-plan/spool_file.h"
#include "compiler/schedule-to-plan/write_plan.h"
#include "plan_generated.h"

#include "llvm/ADT/StringMap.h"

#include <map>
#include <memory>
#include <optional>
#include <utility>

namespace ktc {

class WeightTable {
public:
  // All arguments must outlive the table; `planDirectory` is where the plan will be.
  WeightTable(mlir::ModuleOp module, const GgufModel &model, WeightStorage storage, std::string planDirectory);

  // Index of weight, derived weight or constant `symbol` on device `device`; adds it on first use, which
  // computes what is not in the file. Errors: no such symbol, bytes outside the model's files, and those of the
  // computations.
  kt::Result<uint32_t> index(llvm::StringRef symbol, uint32_t device);

  // Moves weights and files into `plan` and appends the sections that hold bytes to `sections`, whose indices
  // the weights then name. Call once, last; this object keeps what the sections refer to.
  void finish(ktrt::plan::PlanT &plan, std::vector<ktrt::plan::SectionSource> &sections);

  // Bytes of all weights, each counted once.
  uint64_t bytes() const { return totalBytes; }

private:
  enum class Place { File, Constants, Weights };
  // A weight without device.
  struct Source {
    Place place = Place::File;
    int32_t file = -1; // index into plan.files
    uint64_t offset = 0, bytes = 0;
    uint32_t type = 0;
    std::vector<uint64_t> shape; // GGUF order
  };

  kt::Result<const Source *> source(llvm::StringRef symbol);
  kt::Result<Source> fromFile(mlir::Operation *op);
  kt::Result<Source> computed(mlir::Operation *op);
  kt::Result<int32_t> linkedFile(uint32_t file);
  std::string linkPath(const std::string &path) const;

  mlir::ModuleOp module;
  mlir::SymbolTable symbols;
  ModelFiles files;
  bool isPacked;
  std::string planDirectory;
  std::optional<SpoolFile> spool; // made for the first constant
  ktrt::plan::SectionSource constants{ktrt::plan::SectionKind::Constants};
  ktrt::plan::SectionSource packed{ktrt::plan::SectionKind::Weights};
  llvm::StringMap<Source> sources;
  std::map<std::pair<std::string, uint32_t>, uint32_t> indices; // by symbol and device
  std::vector<std::unique_ptr<ktrt::plan::WeightT>> weights;
  std::vector<Place> places;               // of `weights`
  std::map<uint32_t, int32_t> linkedFiles; // model file -> index into plan.files
  std::vector<std::unique_ptr<ktrt::plan::WeightFileT>> fileTable;
  uint64_t totalBytes = 0;
};

} // namespace ktc
