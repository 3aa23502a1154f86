// Command-line parsing, see args.h.
#include "runtime/tools/args.h"

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace ktrt::tools {
namespace {

bool parseUnsigned(const std::string &text, uint64_t maximum, uint64_t &value) {
  // strtoull accepts signs and leading space; an option value may have neither.
  if (text.empty() || text[0] < '0' || text[0] > '9')
    return false;
  char *end = nullptr;
  errno = 0;
  value = std::strtoull(text.c_str(), &end, 10);
  return errno == 0 && *end == '\0' && value <= maximum;
}

bool parseFloat(const std::string &text, float &value) {
  if (text.empty() || std::strchr(" \t\n", text[0]))
    return false;
  char *end = nullptr;
  value = std::strtof(text.c_str(), &end);
  return *end == '\0' && std::isfinite(value);
}

std::vector<std::string> splitNames(const char *names) {
  std::vector<std::string> result(1);
  for (const char *c = names; *c; ++c) {
    if (*c == ',')
      result.emplace_back();
    else
      result.back() += *c;
  }
  return result;
}

} // namespace

size_t editDistance(const std::string &a, const std::string &b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j < row.size(); ++j)
    row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      size_t replaced = diagonal + (a[i - 1] != b[j - 1]);
      diagonal = row[j];
      row[j] = std::min({replaced, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row.back();
}

std::optional<std::vector<int32_t>> parseTokens(const std::string &text) {
  std::vector<int32_t> tokens;
  size_t at = 0;
  while (true) {
    at = text.find_first_not_of(" ,\t\r\n", at);
    if (at == std::string::npos)
      return tokens;
    size_t end = std::min(text.find_first_of(" ,\t\r\n", at), text.size());
    uint64_t value = 0;
    if (!parseUnsigned(text.substr(at, end - at), INT32_MAX, value))
      return std::nullopt;
    tokens.push_back(static_cast<int32_t>(value));
    at = end;
  }
}

Arguments::Arguments(std::string command, std::string summary)
    : command(std::move(command)), summary(std::move(summary)) {}

void Arguments::positional(const char *name, std::string &target, const char *help) {
  positionals.push_back({name, &target, help});
}

void Arguments::option(const char *names, const char *value, OptionTarget target, const char *help) {
  options.push_back({splitNames(names), value, target, help});
}

const Arguments::Option *Arguments::find(const std::string &name) const {
  for (const Option &option : options)
    if (std::find(option.names.begin(), option.names.end(), name) != option.names.end())
      return &option;
  return nullptr;
}

std::string Arguments::unknown(const std::string &name) const {
  std::string message = "unknown option '" + name + "'";
  std::string nearest;
  size_t best = 3; // more than two edits away is no typing mistake
  for (const Option &option : options)
    for (const std::string &known : option.names)
      if (size_t distance = editDistance(name, known); known.size() > 2 && distance < best) {
        best = distance;
        nearest = known;
      }
  return nearest.empty() ? message : message + " (did you mean '" + nearest + "'?)";
}

const char *Arguments::assign(const OptionTarget &target, const std::string &text) {
  uint64_t number = 0;
  if (auto *flag = std::get_if<bool *>(&target)) {
    **flag = true;
  } else if (auto *string = std::get_if<std::string *>(&target)) {
    **string = text;
  } else if (auto *optional = std::get_if<std::optional<std::string> *>(&target)) {
    **optional = text;
  } else if (auto *list = std::get_if<std::vector<std::string> *>(&target)) {
    (*list)->push_back(text);
  } else if (auto *u32 = std::get_if<uint32_t *>(&target)) {
    if (!parseUnsigned(text, UINT32_MAX, number))
      return "a whole number from 0 to 4294967295";
    **u32 = static_cast<uint32_t>(number);
  } else if (auto *u64 = std::get_if<uint64_t *>(&target)) {
    if (!parseUnsigned(text, UINT64_MAX, number))
      return "a whole number";
    **u64 = number;
  } else if (!parseFloat(text, **std::get_if<float *>(&target))) {
    return "a number";
  }
  return nullptr;
}

int Arguments::usageError(const std::string &message) const {
  std::fprintf(stderr, "%s: %s; see '%s --help'\n", command.c_str(), message.c_str(), command.c_str());
  return kExitUsage;
}

std::optional<int> Arguments::parse(int argc, char **argv) {
  size_t nextPositional = 0;
  bool onlyPositionals = false;
  for (int i = 2; i < argc; ++i) {
    std::string argument = argv[i];
    if (onlyPositionals || argument.size() < 2 || argument[0] != '-') {
      if (nextPositional == positionals.size())
        return usageError("unexpected argument '" + argument + "'");
      *positionals[nextPositional++].target = argument;
      continue;
    }
    if (argument == "--") {
      onlyPositionals = true;
      continue;
    }
    if (argument == "-h" || argument == "--help") {
      std::fputs(help().c_str(), stdout);
      return kExitDone;
    }
    std::optional<std::string> value;
    if (size_t equals = argument.find('='); argument[1] == '-' && equals != std::string::npos) {
      value = argument.substr(equals + 1);
      argument.resize(equals);
    }
    const Option *option = find(argument);
    if (!option)
      return usageError(unknown(argument));
    if (option->isFlag() && value)
      return usageError("option '" + argument + "' takes no value");
    if (!option->isFlag() && !value) {
      if (i + 1 == argc)
        return usageError("option '" + argument + "' needs a value");
      value = argv[++i];
    }
    if (const char *expected = assign(option->target, value.value_or("")))
      return usageError("option '" + argument + "' expects " + expected + ", not '" + *value + "'");
  }
  if (nextPositional < positionals.size())
    return usageError(std::string("missing ") + positionals[nextPositional].name);
  return std::nullopt;
}

std::string Arguments::help() const {
  std::string text = "usage: " + command;
  for (const Positional &positional : positionals)
    text += std::string(" ") + positional.name;
  text += " [options]\n\n" + summary + "\n\n";
  auto line = [&](std::string left, const char *help) {
    left.resize(std::max<size_t>(left.size() + 2, 26), ' ');
    text += "  " + left + help + "\n";
  };
  for (const Positional &positional : positionals)
    line(positional.name, positional.help);
  for (const Option &option : options) {
    std::string left;
    for (const std::string &name : option.names)
      left += (left.empty() ? "" : ", ") + name;
    line(option.isFlag() ? left : left + " " + option.value, option.help);
  }
  line("-h, --help", "show this text");
  return text;
}

} // namespace ktrt::tools
