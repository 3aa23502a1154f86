// Settings of the fake driver for whole programs, which cannot reach its state: words of $KT_FAKE_CUDA.
#include "test/runtime/cuda/fake_cuda.h"

#include <cstdlib>
#include <sstream>

namespace fake {

State stateOfEnvironment() {
  State settings;
  const char *text = getenv("KT_FAKE_CUDA");
  std::istringstream words(text ? text : "");
  for (std::string name, value; std::getline(words >> std::ws, name, '=') && words >> value;) {
    const long number = strtol(value.c_str(), nullptr, 10);
    if (name == "free")
      settings.freeBytes = size_t(number);
    else if (name == "devices")
      settings.devices = int(number);
    else if (name == "version")
      settings.version = int(number);
    else if (name == "major")
      settings.major = int(number);
    else if (name == "launch")
      settings.launchResult = int(number);
    else if (name == "waits_expire")
      settings.waitsExpire = number != 0;
  }
  return settings;
}

} // namespace fake
