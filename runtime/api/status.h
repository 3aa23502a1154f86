// How the C API reports failures: a status per call and one message per thread.
#pragma once

#include "runtime/api/ktrt.h"

#include <algorithm>
#include <cstring>
#include <exception>
#include <span>
#include <string>

namespace ktrt::api {

// Remembers `message` as this thread's last error and returns `status`.
KtrtStatus fail(KtrtStatus status, std::string message);

// Runs `function`, which returns a KtrtStatus, and turns exceptions (in practice: out of memory) into errors,
// because nothing may be thrown into C code.
template <typename Function> KtrtStatus guard(Function function) {
  try {
    return function();
  } catch (const std::exception &exception) {
    return fail(KTRT_ERROR, exception.what());
  }
}

// A caller's struct as this version of the library knows it: fields that an older caller does not have are
// zero, and so is everything if `given` is null.
template <typename T> T readStruct(const T *given) {
  T value{};
  if (given)
    std::memcpy(&value, given, given->size < sizeof(T) ? given->size : sizeof(T));
  value.size = sizeof(T);
  return value;
}

// Writes as much of `value` as the caller's version of the struct holds. `target` may be null.
template <typename T> void writeStruct(T *target, T value) {
  if (!target)
    return;
  value.size = target->size;
  std::memcpy(target, &value, target->size < sizeof(T) ? target->size : sizeof(T));
}

// Copies `from` to a caller's buffer and reports its size: the convention of all functions that fill buffers.
template <typename T> KtrtStatus copyOut(std::span<const T> from, T *buffer, size_t capacity, size_t *needed) {
  *needed = from.size();
  if (from.size() > capacity || (!buffer && !from.empty()))
    return fail(KTRT_BUFFER_TOO_SMALL, "the buffer is too small");
  std::copy(from.begin(), from.end(), buffer);
  return KTRT_OK;
}

// True if a struct pointer is null or carries a size that can be one.
template <typename T> bool validStruct(const T *given) { return !given || given->size >= sizeof(size_t); }

} // namespace ktrt::api
