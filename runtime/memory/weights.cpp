// Finding, checking and mapping weights; see weights.h.
#include "runtime/memory/weights.h"

#include "runtime/plan/hash.h"
#include "runtime/plan/message.h"

#include <cinttypes>
#include <cstdlib>
#include <unistd.h>

namespace ktrt {

static std::string directoryOf(const std::string &path) {
  size_t slash = path.rfind('/');
  return slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
}

static std::string fileNameOf(const std::string &path) {
  size_t slash = path.rfind('/');
  return slash == std::string::npos ? path : path.substr(slash + 1);
}

// Paths to try for a file compiled as `path`, best first, without repetition.
static std::vector<std::string> candidatePaths(const std::string &path, const std::string &planPath) {
  std::vector<std::string> candidates;
  auto add = [&](std::string candidate) {
    for (const std::string &known : candidates)
      if (known == candidate)
        return;
    candidates.push_back(std::move(candidate));
  };
  bool absolute = !path.empty() && path[0] == '/';
  add(directoryOf(planPath) + "/" + (absolute ? fileNameOf(path) : path));
  add(path);
  if (const char *directory = getenv("KTRT_MODEL_DIR"))
    add(std::string(directory) + "/" + fileNameOf(path));
  return candidates;
}

// Compares a found file with what the plan was compiled from.
static kt::Status checkFile(const MappedFile &file, const plan::WeightFile &expected, size_t index) {
  if (file.bytes() != expected.bytes())
    return failure("%s: not the file the plan was compiled from (files[%zu]): expected %" PRIu64
                   " bytes, found %" PRIu64,
                   file.path().c_str(), index, expected.bytes(), file.bytes());
  uint64_t hash = plan::sampleHash(file.data(), file.bytes());
  if (hash != expected.hash())
    return failure("%s: not the file the plan was compiled from (files[%zu]): expected hash %016" PRIx64
                   ", found %016" PRIx64,
                   file.path().c_str(), index, expected.hash(), hash);
  return {};
}

static kt::Result<MappedFile> openLinked(const plan::WeightFile &expected, size_t index,
                                         const std::string &planPath) {
  std::vector<std::string> candidates = candidatePaths(expected.path()->str(), planPath);
  kt::Status mismatch;
  std::string tried;
  for (const std::string &candidate : candidates) {
    tried += (tried.empty() ? "" : ", ") + candidate;
    if (access(candidate.c_str(), F_OK) != 0)
      continue;
    kt::Result<MappedFile> file = MappedFile::open(candidate);
    kt::Status status = file ? checkFile(*file, expected, index) : kt::Status(file.error());
    if (status)
      return file;
    if (mismatch)
      mismatch = status;
  }
  if (!mismatch)
    return mismatch.error();
  return failure("weight file '%s' (files[%zu] of %s) not found; looked at: %s. Set KTRT_MODEL_DIR to the "
                 "directory that holds it",
                 expected.path()->c_str(), index, planPath.c_str(), tried.c_str());
}

kt::Result<WeightMap> WeightMap::open(const plan::Plan &plan, const std::string &planPath,
                                      const std::vector<const uint8_t *> &sectionBases) {
  WeightMap map;
  if (auto *files = plan.files())
    for (size_t i = 0; i < files->size(); ++i) {
      kt::Result<MappedFile> file = openLinked(*files->Get(uint32_t(i)), i, planPath);
      if (!file)
        return file.error();
      map.files.push_back(std::move(*file));
    }
  if (auto *weights = plan.weights())
    for (const plan::Weight *weight : *weights) {
      const uint8_t *base = weight->file() >= 0 ? map.files[size_t(weight->file())].data()
                                                : sectionBases[size_t(weight->section())];
      map.addresses.push_back(base + weight->offset());
    }
  return map;
}

kt::Status WeightMap::copy(const plan::Plan &plan, const std::vector<uint32_t> &cpus) {
  kt::Result<WeightCopies> made = WeightCopies::make(plan, addresses, cpus);
  if (!made)
    return made.error();
  copies = std::move(*made);
  return {};
}

} // namespace ktrt
