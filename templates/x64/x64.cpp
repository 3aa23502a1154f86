// Entry point of the generators: finds the family and turns every failure into a kt::Error.
#include "templates/x64/x64.h"

#include "templates/param_check.h"
#include "templates/x64/families.h"

#include <exception>
#include <string>

namespace ktc::x64 {

static constexpr std::string_view isaNames[] = {"avx2", "avx2vnni", "avx512", "amx"};

std::string_view isaName(Isa isa) { return isaNames[static_cast<int>(isa)]; }

std::optional<Isa> parseIsa(std::string_view name) {
  for (int i = 0; i < 4; ++i)
    if (isaNames[i] == name)
      return static_cast<Isa>(i);
  return std::nullopt;
}

kt::Result<Kernel> generateAt(std::string_view family, const Params &params, const Target &target) {
  for (const Family *candidate : families()) {
    if (candidate->name != family)
      continue;
    try {
      return candidate->generate(params, target);
    } catch (const std::exception &problem) {
      return kt::Error{"kernel " + kernelName(family, params) + " for " + std::string(isaName(target.isa)) +
                       ": " + problem.what()};
    }
  }
  return kt::Error{"unknown kernel family '" + std::string(family) + "'"};
}

kt::Result<Kernel> generate(std::string_view family, const Params &params, Isa isa) {
  return generateAt(family, params, Target{isa});
}

} // namespace ktc::x64
