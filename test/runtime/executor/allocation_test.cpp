// A token costs no allocation: counts calls of operator new during evaluation.
#include "runtime/executor/session.h"
#include "test/runtime/plan/toy_plan.h"

#include <atomic>
#include <cstdlib>
#include <gtest/gtest.h>
#include <new>

static std::atomic<uint64_t> allocations{0};

void *operator new(size_t bytes) {
  ++allocations;
  if (void *memory = malloc(bytes))
    return memory;
  abort();
}
void operator delete(void *memory) noexcept { free(memory); }
void operator delete(void *memory, size_t) noexcept { free(memory); }

namespace {

TEST(Allocation, NoneInsideAToken) {
  toy::TemporaryDirectory directory;
  toy::Plan plan;
  ktrt::SessionOptions options;
  options.threads = 2;
  auto session = ktrt::Session::open(plan.write(directory.path), options);
  ASSERT_TRUE(session) << session.error().message;
  std::vector<int32_t> tokens(20, 1);
  ASSERT_TRUE((*session)->evaluate(tokens, 0));
  uint64_t before = allocations;
  for (uint32_t i = 0; i < 20; ++i) {
    auto logits = (*session)->evaluate(std::span(tokens).first(1), 20 + i);
    ASSERT_TRUE(logits);
  }
  EXPECT_EQ(allocations, before);
  EXPECT_TRUE((*session)->evaluate(tokens, 0));
  EXPECT_EQ(allocations, before) << "nor in a prompt";
}

} // namespace
