// Accuracy of the vector exp and the activation functions built on it, in both widths.
#include "templates/x64/blocks/exp.h"
#include "test/templates/support/host.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <sys/mman.h>

namespace ktc::test {

namespace {

using namespace x64;
using Function = std::function<void(Emitter &, const Emitter::Vec &, const Emitter::Vec &, const Emitter::Vec &,
                                    const Emitter::Vec &)>;

// Applies one vector function to 16 floats in place.
class FunctionKernel : public Emitter {
public:
  FunctionKernel(Isa isa, const Function &function) : Emitter(Target{isa}) {
    for (int lane = 0; lane < 16; lane += lanes()) {
      vmovups(vec(0), ptr[rdi + lane * 4]);
      function(*this, vec(0), vec(1), vec(2), vec(3));
      vmovups(ptr[rdi + lane * 4], vec(0));
    }
    vzeroupper();
    ret();
  }
};

std::vector<float> apply(Isa isa, const Function &function, std::vector<float> values) {
  Kernel kernel = FunctionKernel(isa, function).finish();
  void *code = mmap(nullptr, kernel.code.size(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  std::memcpy(code, kernel.code.data(), kernel.code.size());
  mprotect(code, kernel.code.size(), PROT_READ | PROT_EXEC);
  values.resize((values.size() + 15) / 16 * 16);
  for (size_t i = 0; i < values.size(); i += 16)
    reinterpret_cast<void (*)(float *)>(code)(values.data() + i);
  munmap(code, kernel.code.size());
  return values;
}

std::vector<float> grid(float low, float high, int count) {
  std::vector<float> values;
  for (int i = 0; i < count; ++i)
    values.push_back(low + (high - low) * static_cast<float>(i) / static_cast<float>(count - 1));
  return values;
}

double ulps(float got, double want) {
  float rounded = static_cast<float>(want);
  return std::fabs(got - want) / (std::nextafter(std::fabs(rounded), INFINITY) - std::fabs(rounded));
}

TEST(Exp, withinTwoUlps) {
  Function exp = [](Emitter &e, auto &v, auto &a, auto &b, auto &) { emitExp(e, v, a, b); };
  const std::vector<float> x = grid(-87.2f, 88.3f, 65536);
  for (Isa isa : runnableIsas()) {
    std::vector<float> y = apply(isa, exp, x);
    double worst = 0;
    for (size_t i = 0; i < x.size(); ++i)
      worst = std::max(worst, ulps(y[i], std::exp(double(x[i]))));
    EXPECT_LE(worst, 2.0) << isaName(isa);
  }
}

TEST(Exp, extremes) {
  Function exp = [](Emitter &e, auto &v, auto &a, auto &b, auto &) { emitExp(e, v, a, b); };
  const float infinity = std::numeric_limits<float>::infinity();
  for (Isa isa : runnableIsas()) {
    std::vector<float> y = apply(isa, exp, {-infinity, -1e30f, -100, 0, 100, 1e30f, infinity, NAN});
    for (int i : {0, 1, 2}) {
      EXPECT_GT(y[i], 0.0f);
      EXPECT_LT(y[i], 1.3e-38f);
    }
    EXPECT_EQ(y[3], 1.0f);
    for (int i : {4, 5, 6}) {
      EXPECT_GT(y[i], 2e38f);
      EXPECT_TRUE(std::isfinite(y[i]));
    }
    EXPECT_TRUE(std::isnan(y[7]));
  }
}

void checkActivation(const Function &function, double (*want)(double)) {
  std::vector<float> x = grid(-30, 30, 4096);
  x.insert(x.end(), {-1e4f, -500, 500, 1e4f, -1e-6f, 1e-6f});
  for (Isa isa : runnableIsas()) {
    std::vector<float> y = apply(isa, function, x);
    for (size_t i = 0; i < x.size(); ++i)
      ASSERT_NEAR(y[i], want(x[i]), 1e-6 * std::max(1e-3, std::fabs(want(x[i]))))
          << x[i] << " " << isaName(isa);
  }
}

TEST(Activation, silu) {
  checkActivation([](Emitter &e, auto &v, auto &a, auto &b, auto &c) { emitSilu(e, v, a, b, c); },
                  [](double x) { return x / (1 + std::exp(-x)); });
}

TEST(Activation, geluTanh) {
  checkActivation(
      [](Emitter &e, auto &v, auto &a, auto &b, auto &c) { emitGeluTanh(e, v, a, b, c); },
      [](double x) { return 0.5 * x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x))); });
}

// With the same value as gate and as up, so that both reach their limits.
const Function swigluOfItself = [](Emitter &e, auto &v, auto &a, auto &b, auto &c) {
  e.vmovaps(e.vec(4), v);
  emitSwigluOai(e, v, e.vec(4), a, b, c);
};

TEST(Activation, swigluOai) {
  checkActivation(swigluOfItself, [](double x) {
    double gate = std::min(x, 7.0);
    return gate / (1 + std::exp(-1.702 * gate)) * (std::clamp(x, -7.0, 7.0) + 1);
  });
}

TEST(Activation, swigluOaiKeepsNan) {
  for (Isa isa : runnableIsas())
    EXPECT_TRUE(std::isnan(apply(isa, swigluOfItself, {NAN})[0])) << isaName(isa);
}

TEST(Activation, sigmoid) {
  checkActivation([](Emitter &e, auto &v, auto &a, auto &b, auto &) { emitSigmoid(e, v, a, b); },
                  [](double x) { return 1 / (1 + std::exp(-x)); });
}

} // namespace

} // namespace ktc::test
