// Helpers to parse and apply policies in tests.
#pragma once

#include "test/compiler/policy/model_fixture.h"

#include <gtest/gtest.h>

namespace ktc::policy::test {

// A policy from text or from a file, with everything that was said about it. Files are named without
// directories in diagnostics, so that expectations are short.
struct Loaded {
  Diagnostics diagnostics;
  kt::Result<Policy> policy;

  explicit Loaded(const std::string &text) : policy(parsePolicy(text, "t.yaml", diagnostics)) {}
  static Loaded file(const std::string &path) { return Loaded(path, 0); }

  std::string messages() const { return diagnostics.str(); }
  bool says(const std::string &text) const { return messages().find(text) != std::string::npos; }

private:
  Loaded(const std::string &path, int) : policy(loadPolicy(path, diagnostics)) {}
};

// A policy applied to a model.
struct Applied {
  std::vector<ModuleRef> modules;
  Loaded loaded;
  kt::Result<PlacementTable> table{kt::Error{"the policy does not parse"}};

  Applied(Loaded from, const Shape &shape, const Machine &machine)
      : modules(modulesOf(shape)), loaded(std::move(from)) {
    if (loaded.policy)
      table = applyPolicy(*loaded.policy, modules, machine, loaded.diagnostics);
  }
  Placement at(const std::string &path, const std::string &op = "") const {
    return table ? placementAt(modules, *table, path, op) : Placement{};
  }
  std::string device(const std::string &path, const std::string &op = "") const { return at(path, op).device; }
};

} // namespace ktc::policy::test
