// See the header.
#include "test/templates/tools/cuda_catalogue.h"

#include "templates/cuda/families.h"
#include "test/templates/support/matrix_case.h"
#include "test/templates/tools/param_text.h"

#include <algorithm>
#include <atomic>
#include <fstream>
#include <mutex>
#include <set>
#include <sstream>
#include <thread>

namespace ktc::catalogue {

// Takes a limit out of the parameters.
static void takeLimit(Params &params, const char *name, uint32_t &limit) {
  limit = static_cast<uint32_t>(intParam(params, name, limit));
  params.erase(name);
}

// Appends `entry`, or one for every weight format if it has values `*`.
static void append(const Entry &entry, std::vector<Entry> &entries) {
  const ParamValue any = std::string("*");
  auto isAny = [&](const auto &param) { return param.second == any; };
  if (std::none_of(entry.params.begin(), entry.params.end(), isAny)) {
    entries.push_back(entry);
    return;
  }
  for (const std::string &format : test::formatNames()) {
    entries.push_back(entry);
    for (auto &param : entries.back().params)
      if (isAny(param))
        param.second = format;
  }
}

kt::Result<std::vector<Entry>> read(const std::string &file) {
  std::ifstream stream(file);
  if (!stream)
    return kt::Error{file + ": cannot be read"};
  std::vector<Entry> entries;
  size_t number = 0;
  for (std::string line; std::getline(stream, line);) {
    ++number;
    std::istringstream words(line.substr(0, line.find('#')));
    Entry entry;
    entry.line = number;
    if (!(words >> entry.family))
      continue;
    for (std::string word; words >> word;)
      if (!parseParam(word, entry.params))
        return kt::Error{file + ":" + std::to_string(number) + ": expected name=value, found '" + word + "'"};
    takeLimit(entry.params, "spill", entry.maxSpillBytes);
    takeLimit(entry.params, "registers", entry.maxRegisters);
    append(entry, entries);
  }
  return entries;
}

// What is wrong with a kernel; empty if nothing is.
static std::string problemOf(const Entry &entry, const kt::Result<cuda::GpuKernel> &kernel) {
  if (!kernel)
    return kernel.error().message;
  const cuda::ResourceUsage &usage = kernel->compiled.usage;
  if (usage.spillBytes > entry.maxSpillBytes)
    return "spills " + std::to_string(usage.spillBytes) + " bytes, expected at most " +
           std::to_string(entry.maxSpillBytes);
  if (usage.registers > entry.maxRegisters)
    return "needs " + std::to_string(usage.registers) + " registers, expected at most " +
           std::to_string(entry.maxRegisters);
  return {};
}

static void printKernel(const cuda::GpuKernel &kernel, FILE *stream) {
  const cuda::ResourceUsage &usage = kernel.compiled.usage;
  const cuda::Launch &launch = kernel.instance.launch;
  std::fprintf(stream,
               "  %u registers, %u + %u bytes of shared memory, %u spilled, grid %ux%ux%u of %u threads\n",
               usage.registers, usage.sharedBytes, launch.sharedBytes, usage.spillBytes, launch.gridX,
               launch.gridY, launch.gridZ, launch.threads);
}

bool compileAll(const cuda::Compiler &compiler, const std::vector<Entry> &entries, const cuda::Target &target,
                bool verbose, FILE *stream) {
  std::atomic<size_t> next = 0, failed = 0;
  std::mutex mutex;
  auto work = [&] {
    for (size_t i = next++; i < entries.size(); i = next++) {
      const Entry &entry = entries[i];
      kt::Result<cuda::GpuKernel> kernel = compiler.make(entry.family, entry.params, target);
      const std::string problem = problemOf(entry, kernel);
      std::lock_guard lock(mutex);
      failed += !problem.empty();
      if (problem.empty() && !verbose)
        continue;
      std::fprintf(stream, "%s, line %zu: %s%s%s\n", std::string(target.name).c_str(), entry.line,
                   kernelName(entry.family, entry.params).c_str(), problem.empty() ? "" : ": ",
                   problem.c_str());
      if (kernel)
        printKernel(*kernel, stream);
    }
  };
  std::vector<std::thread> threads;
  for (unsigned t = 1; t < std::thread::hardware_concurrency(); ++t)
    threads.emplace_back(work);
  work();
  for (std::thread &thread : threads)
    thread.join();
  std::fprintf(stream, "%s: %zu kernels, %zu problems\n", std::string(target.name).c_str(), entries.size(),
               failed.load());
  return failed == 0;
}

bool hasAllFamilies(const std::vector<Entry> &entries, FILE *stream) {
  bool complete = true;
  for (const cuda::Family *family : cuda::families()) {
    auto isOfFamily = [&](const Entry &entry) { return entry.family == family->name; };
    if (std::any_of(entries.begin(), entries.end(), isOfFamily))
      continue;
    std::fprintf(stream, "no kernel of family '%s' in the catalogue\n", std::string(family->name).c_str());
    complete = false;
  }
  return complete;
}

} // namespace ktc::catalogue
