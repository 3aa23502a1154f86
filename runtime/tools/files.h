// Reading inputs whole, and writing outputs so that nothing partial is ever left behind.
#pragma once

#include "runtime/abi/result.hpp"

#include <cstddef>
#include <cstdio>
#include <string>

namespace ktrt::tools {

// The contents of the file at `path`, or of standard input if `path` is "-".
kt::Result<std::string> readInput(const std::string &path);

// A file that appears under its name only when it is complete: written beside it, then renamed. Destroying it
// without commit() removes what was written.
class OutputFile {
public:
  OutputFile() = default;
  OutputFile(const OutputFile &) = delete;
  OutputFile &operator=(const OutputFile &) = delete;
  ~OutputFile();

  // Starts writing what will become `path`.
  kt::Status open(const std::string &path);
  kt::Status write(const void *data, size_t bytes);
  // Finishes the file and gives it its name, replacing a file that has it.
  kt::Status commit();

private:
  kt::Status failed(const char *what) const;

  std::string path, temporary;
  std::FILE *file = nullptr;
};

} // namespace ktrt::tools
