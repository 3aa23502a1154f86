// What tests of sessions on the toy plan share, whatever its lanes.
#pragma once

#include "runtime/executor/session.h"
#include "test/runtime/plan/toy_plan.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <initializer_list>

namespace toy {

inline std::vector<int32_t> someTokens(size_t count) {
  std::vector<int32_t> tokens(count);
  for (size_t i = 0; i < count; ++i)
    tokens[i] = int32_t(i * 7 % 10);
  return tokens;
}

// Evaluates `count` tokens `step` at a time, for each of `steps` from an empty cache on: the last logits of
// every evaluation must be right, and the cache must hold all tokens in the end.
inline void expectRightLogits(ktrt::Session &session, size_t count, std::initializer_list<size_t> steps) {
  const std::vector<int32_t> tokens = someTokens(count);
  for (size_t step : steps) {
    session.kvTruncate(0);
    for (size_t done = 0; done < tokens.size(); done += step) {
      const size_t now = std::min(step, tokens.size() - done);
      auto logits = session.evaluate(std::span(tokens).subspan(done, now), uint32_t(done));
      ASSERT_TRUE(logits) << logits.error().message;
      for (uint32_t v = 0; v < kVocab; ++v)
        ASSERT_EQ((*logits)[v], expectedLogit(tokens, done + now - 1, v)) << "step " << step;
    }
    EXPECT_EQ(session.kvLength(), tokens.size());
  }
}

} // namespace toy
