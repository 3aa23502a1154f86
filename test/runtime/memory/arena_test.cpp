// Arenas: zeroed, aligned, and a clear error when there is not enough memory.
#include "runtime/memory/arena.h"

#include <gtest/gtest.h>

using namespace ktrt;

namespace {

TEST(Arena, IsZeroedAndAligned) {
  for (bool huge : {false, true})
    for (uint64_t bytes : {1ull, 4096ull, 5000000ull}) {
      auto arena = ArenaMemory::allocate(bytes, huge, "test");
      ASSERT_TRUE(arena);
      EXPECT_EQ(arena->bytes(), bytes);
      uint64_t alignment = huge && bytes >= (2u << 20) ? 2u << 20 : 4096;
      EXPECT_EQ(reinterpret_cast<uintptr_t>(arena->data()) % alignment, 0u);
      for (uint64_t i = 0; i < bytes; i += 4095)
        EXPECT_EQ(arena->data()[i], 0);
      arena->data()[bytes - 1] = 1;
      ArenaMemory moved = std::move(*arena);
      EXPECT_EQ(moved.data()[bytes - 1], 1);
      EXPECT_EQ(arena->data(), nullptr);
    }
}

TEST(Arena, Empty) {
  auto arena = ArenaMemory::allocate(0, true, "test");
  ASSERT_TRUE(arena);
  EXPECT_EQ(arena->data(), nullptr);
}

TEST(Arena, TooLarge) {
  auto arena = ArenaMemory::allocate(~uint64_t(0), true, "arenas[1] ('kv')");
  ASSERT_FALSE(arena);
  EXPECT_EQ(arena.error().message,
            "arenas[1] ('kv'): 18446744073709551615 bytes are more than an address space holds");
  arena = ArenaMemory::allocate(uint64_t(1) << 46, false, "arenas[1] ('kv')");
  ASSERT_FALSE(arena);
  EXPECT_EQ(arena.error().message,
            "arenas[1] ('kv'): cannot reserve 70368744177664 bytes of memory: Cannot allocate memory");
}

} // namespace
