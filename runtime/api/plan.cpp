// Plans as files: text form and full check, without running them.
#include "runtime/api/ktrt.h"
#include "runtime/api/status.h"
#include "runtime/memory/weights.h"
#include "runtime/plan/dump.h"
#include "runtime/plan/reader.h"

#include <string>
#include <vector>

namespace ktrt::api {
namespace {

KtrtStatus dump(const char *path, KtrtTextFn onText, void *user) {
  auto file = plan::PlanFile::open(path);
  if (!file)
    return fail(KTRT_ERROR, file.error().message);
  std::string text = plan::dumpPlan(*file);
  return onText(user, text.data(), text.size()) ? fail(KTRT_CANCELLED, "cancelled") : KTRT_OK;
}

KtrtStatus verify(const char *path) {
  auto file = plan::PlanFile::open(path, {.hashWeights = true});
  if (!file)
    return fail(KTRT_ERROR, file.error().message);
  std::vector<const uint8_t *> bases;
  for (uint32_t i = 0; i < file->sections().size(); ++i)
    bases.push_back(file->section(i));
  // Mapping the weights checks that all linked files are there and are the right ones.
  auto weights = WeightMap::open(file->plan(), path, bases);
  return weights ? KTRT_OK : fail(KTRT_ERROR, weights.error().message);
}

} // namespace
} // namespace ktrt::api

using namespace ktrt::api;

KtrtStatus ktrtDumpPlan(const char *path, KtrtTextFn onText, void *user) {
  return guard([&] {
    if (!path || !onText)
      return fail(KTRT_INVALID_ARGUMENT, "ktrtDumpPlan: a required argument is missing");
    return dump(path, onText, user);
  });
}

KtrtStatus ktrtVerifyPlan(const char *path) {
  return guard([&] {
    return path ? verify(path) : fail(KTRT_INVALID_ARGUMENT, "ktrtVerifyPlan: a required argument is missing");
  });
}
