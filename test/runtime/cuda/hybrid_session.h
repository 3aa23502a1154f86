// A session of the toy plan with a CPU and a GPU lane on the fake driver.
#pragma once

#include "runtime/executor/session.h"
#include "test/runtime/cuda/toy_gpu.h"

class HybridSession : public FakeGpuTest {
protected:
  HybridSession() { toy::makeHybrid(plan); }

  kt::Result<std::unique_ptr<ktrt::Session>> open(uint32_t timeoutMillis = 10000) {
    ktrt::SessionOptions options;
    options.threads = 2;
    options.pinThreads = false;
    options.signalTimeoutMillis = timeoutMillis;
    return ktrt::Session::open(plan.write(directory.path), options);
  }
  std::string openError() {
    auto session = open();
    EXPECT_FALSE(session);
    return session ? "" : session.error().message;
  }
  void expectRightLogits(ktrt::Session &session) {
    std::vector<int32_t> tokens;
    for (int i = 0; i < 30; ++i)
      tokens.push_back(i * 7 % 10);
    for (size_t step : {1, 2, 3, 8, 17}) {
      session.kvTruncate(0);
      for (size_t done = 0; done < tokens.size(); done += step) {
        const size_t count = std::min(step, tokens.size() - done);
        auto logits = session.evaluate(std::span(tokens).subspan(done, count), uint32_t(done));
        ASSERT_TRUE(logits) << logits.error().message;
        for (uint32_t v = 0; v < toy::kVocab; ++v)
          ASSERT_EQ((*logits)[v], toy::expectedLogit(tokens, done + count - 1, v)) << "step " << step;
      }
    }
  }
};
