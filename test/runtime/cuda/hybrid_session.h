// A session of the toy plan with a CPU and a GPU lane on the fake driver.
#pragma once

#include "runtime/executor/session.h"
#include "test/runtime/cuda/toy_gpu.h"
#include "test/runtime/executor/toy_session.h"

class HybridSession : public FakeGpuTest {
protected:
  HybridSession() { toy::makeHybrid(plan); }

  kt::Result<std::unique_ptr<ktrt::Session>> open(uint32_t timeoutMillis = 10000) {
    return toy::open(plan, directory, timeoutMillis, false);
  }
  std::string openError() {
    auto session = open();
    EXPECT_FALSE(session);
    return session ? "" : session.error().message;
  }
  void expectRightLogits(ktrt::Session &session) { toy::expectRightLogits(session, 30, {1, 2, 3, 8, 17}); }
};
