// Result<T> and Status: errors as values, for code that neither throws nor aborts.
//
// An error is one sentence for the user that names the file or tensor, the place, what was expected and what
// was found. Shared by runtime and compiler; needs only the standard library.
#pragma once

#include <string>
#include <utility>
#include <variant>

namespace kt {

// One error message. Complete for the user: whoever prints it adds only the program's name.
struct Error {
  std::string message;
};

// Either a value or an Error. Check with operator bool before dereferencing.
template <typename T> class [[nodiscard]] Result {
public:
  Result(T value) : storage(std::in_place_index<0>, std::move(value)) {}
  Result(Error error) : storage(std::in_place_index<1>, std::move(error)) {}

  explicit operator bool() const { return storage.index() == 0; }
  T &operator*() { return std::get<0>(storage); }
  const T &operator*() const { return std::get<0>(storage); }
  T *operator->() { return &std::get<0>(storage); }
  const T *operator->() const { return &std::get<0>(storage); }
  const Error &error() const { return std::get<1>(storage); }

private:
  std::variant<T, Error> storage;
};

// Success, or an Error.
class [[nodiscard]] Status {
public:
  Status() = default;
  Status(Error error) : failed(true), err(std::move(error)) {}
  explicit operator bool() const { return !failed; }
  const Error &error() const { return err; }

private:
  bool failed = false;
  Error err;
};

} // namespace kt
