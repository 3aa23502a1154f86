// Spellings shared by policies, machine descriptions and the command line: sizes, devices and layer ranges.
#pragma once

#include "runtime/abi/result.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace ktc::policy {

// Bytes of `24GiB`, `1.5 TiB`, `500MB` or a plain number of bytes. KB, MB, GB, TB are powers of 1000; KiB, MiB,
// GiB, TiB powers of 1024. Fails on anything else, with the spelling that was probably meant.
kt::Result<uint64_t> parseSize(std::string_view text);

// `12.3 GiB`, `340 MiB`, `17 B`: for people, three significant digits.
std::string formatBytes(uint64_t bytes);

// The canonical name of a device: `cpu`, `cuda:N` (`cuda` is `cuda:0`), and `auto` where `allowAuto`. The error
// says what is known.
kt::Result<std::string> parseDevice(std::string_view text, bool allowAuto);

inline bool isGpu(std::string_view device) { return device.rfind("cuda:", 0) == 0; }

// Layers first..last, both included.
struct LayerRange {
  int first = 0;
  int last = 0;
  bool operator==(const LayerRange &) const = default;
};

// Ranges of `0-9,12,40-`: an open end reaches the last layer. Fails on reversed ranges and on anything else.
kt::Result<std::vector<LayerRange>> parseLayers(std::string_view text);

bool containsLayer(const std::vector<LayerRange> &ranges, int layer);

// True if every layer of `inner` is in `outer`.
bool containsLayers(const std::vector<LayerRange> &outer, const std::vector<LayerRange> &inner);

// `0-9,12` of a sorted list of different layers.
std::string foldLayers(const std::vector<int> &layers);

} // namespace ktc::policy
