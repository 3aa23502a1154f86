// Keys and files of the kernel cache; see the header.
#include "compiler/schedule-to-kernels/cuda/kernel_cache.h"

#include "templates/cuda/cuda.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <unistd.h>

namespace ktc::cuda {

namespace fs = std::filesystem;

// ---- keys
// -----------------------------------------------------------------------------------------------------

namespace {

class Hasher {
public:
  Hasher() { XXH3_128bits_reset(&state); }
  // Lengths go in too, so that no two lists of texts have the same bytes.
  void add(std::string_view text) {
    const uint64_t bytes = text.size();
    XXH3_128bits_update(&state, &bytes, sizeof(bytes));
    XXH3_128bits_update(&state, text.data(), text.size());
  }
  XXH128_hash_t take() { return XXH3_128bits_digest(&state); }

private:
  XXH3_state_t state;
};

} // namespace

// Marks the headers that `text` includes, and theirs. Includes that the preprocessor would skip count as well:
// that only makes the key depend on more than it must.
static void markIncludes(std::string_view text, std::vector<bool> &marked) {
  constexpr std::string_view directive = "#include \"";
  for (size_t at = text.find(directive); at != std::string_view::npos; at = text.find(directive, at)) {
    at += directive.size();
    const std::string_view name = text.substr(at, text.find('"', at) - at);
    for (size_t i = 0; i < headers().size(); ++i)
      if (!marked[i] && name == headers()[i].name) {
        marked[i] = true;
        markIncludes(headers()[i].text, marked);
      }
  }
}

std::string kernelKey(std::string_view source, std::span<const std::string> options) {
  Hasher hasher;
  hasher.add(source);
  std::vector<bool> included(headers().size());
  markIncludes(source, included);
  for (size_t i = 0; i < included.size(); ++i)
    if (included[i]) {
      hasher.add(headers()[i].name);
      hasher.add(headers()[i].text);
    }
  for (const std::string &option : options)
    hasher.add(option);
  const XXH128_hash_t hash = hasher.take();
  char text[33];
  std::snprintf(text, sizeof(text), "%016llx%016llx", static_cast<unsigned long long>(hash.high64),
                static_cast<unsigned long long>(hash.low64));
  return text;
}

// ---- files
// ----------------------------------------------------------------------------------------------------

namespace {

// A file is this header, the log and the image. Only this machine reads it, so the bytes are as in memory.
struct FileHeader {
  char magic[8];
  ResourceUsage usage;
  uint64_t logBytes;
  uint64_t imageBytes;
  uint64_t hash; // of usage, log and image
};
constexpr char Magic[8] = {'K', 'T', 'C', 'U', 'B', 'I', 'N', '1'};

uint64_t contentHash(const ResourceUsage &usage, std::string_view log, std::span<const uint8_t> image) {
  return XXH3_64bits_withSeed(image.data(), image.size(),
                              XXH3_64bits_withSeed(log.data(), log.size(), XXH3_64bits(&usage, sizeof(usage))));
}

std::optional<CompiledKernel> readFile(const fs::path &path) {
  std::error_code error;
  const uint64_t bytes = fs::file_size(path, error);
  std::ifstream stream(path, std::ios::binary);
  FileHeader header;
  if (error || bytes < sizeof(header) || !stream.read(reinterpret_cast<char *>(&header), sizeof(header)) ||
      std::memcmp(header.magic, Magic, sizeof(Magic)) != 0)
    return std::nullopt;
  const uint64_t rest = bytes - sizeof(header);
  if (header.logBytes > rest || header.imageBytes != rest - header.logBytes || header.imageBytes == 0)
    return std::nullopt;
  CompiledKernel kernel;
  kernel.log.resize(header.logBytes);
  kernel.image.resize(header.imageBytes);
  kernel.usage = header.usage;
  kernel.fromCache = true;
  stream.read(kernel.log.data(), static_cast<std::streamsize>(header.logBytes));
  stream.read(reinterpret_cast<char *>(kernel.image.data()), static_cast<std::streamsize>(header.imageBytes));
  if (!stream || contentHash(kernel.usage, kernel.log, kernel.image) != header.hash)
    return std::nullopt;
  return kernel;
}

} // namespace

std::string KernelCache::defaultFolder() {
  if (const char *folder = std::getenv("KTC_CUDA_CACHE"))
    return folder;
  if (const char *base = std::getenv("XDG_CACHE_HOME"); base && *base)
    return std::string(base) + "/ktc/cuda";
  const char *home = std::getenv("HOME");
  return home && *home ? std::string(home) + "/.cache/ktc/cuda" : "";
}

std::optional<CompiledKernel> KernelCache::find(const std::string &key, const std::string &version) const {
  if (folder.empty())
    return std::nullopt;
  if (!version.empty())
    return readFile(fs::path(folder) / (key + "." + version));
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error))
    if (entry->path().filename().string().starts_with(key + "."))
      if (std::optional<CompiledKernel> kernel = readFile(entry->path()))
        return kernel;
  return std::nullopt;
}

void KernelCache::store(const std::string &key, const std::string &version,
                        const CompiledKernel &kernel) const {
  if (folder.empty())
    return;
  static std::atomic<uint64_t> serial = 0;
  std::error_code error;
  fs::create_directories(folder, error);
  const fs::path place = fs::path(folder) / (key + "." + version);
  const fs::path beside =
      fs::path(folder) / ("new-" + std::to_string(getpid()) + "-" + std::to_string(++serial));
  FileHeader header = {};
  std::memcpy(header.magic, Magic, sizeof(Magic));
  header.usage = kernel.usage;
  header.logBytes = kernel.log.size();
  header.imageBytes = kernel.image.size();
  header.hash = contentHash(kernel.usage, kernel.log, kernel.image);
  bool complete = false;
  {
    std::ofstream stream(beside, std::ios::binary | std::ios::trunc);
    stream.write(reinterpret_cast<const char *>(&header), sizeof(header));
    stream.write(kernel.log.data(), static_cast<std::streamsize>(kernel.log.size()));
    stream.write(reinterpret_cast<const char *>(kernel.image.data()),
                 static_cast<std::streamsize>(kernel.image.size()));
    stream.close();
    complete = !stream.fail();
  }
  if (complete)
    fs::rename(beside, place, error);
  if (!complete || error)
    fs::remove(beside, error);
}

} // namespace ktc::cuda
