// Derived weights and constants of a plan, compared with what they are by definition.
#include "test/compiler/schedule-to-plan/plan_fixture.h"

#include "templates/reference/half.h"
#include "templates/reference/reference.h"

#include <cmath>

namespace ktc::test {

using namespace ktrt::plan;
using testing::HasSubstr;

class DerivedTest : public PlanTest {
protected:
  // Writes a plan whose only command reads `symbol`, declared by `declaration`, and returns its floats.
  std::vector<float> compute(const std::string &symbol, const std::string &declaration) {
    kt::Status status = write(schedule(declaration, "%w = sched.weight @" + symbol + R"(
      sched.copy %w to %x on @cpu.team bytes 64 per_token 0)"));
    if (!status) {
      ADD_FAILURE() << status.error().message;
      return {};
    }
    PlanFile file = read();
    const Weight *weight = findWeight(file, symbol);
    EXPECT_EQ(file.sections()[size_t(weight->section())].kind, SectionKind::Constants);
    EXPECT_EQ(weight->offset() % 64, 0u);
    size_t count = 1;
    for (uint64_t dim : *weight->shape())
      count *= dim;
    std::vector<float> values(count);
    reference::dequantize(weight->type(), bytesOf(file, *weight), values.data(), count);
    return values;
  }

  std::string derived(const std::string &source, const std::string &transform, const std::string &type) {
    return weightOp(source) + "model.derived_weight @derived from @" + source + " \"" + transform +
           "\" : tensor<" + type + ">\n";
  }

  // Element of the source: head h, row r of its nope + value rows, column l.
  float source(size_t h, size_t r, size_t l) const {
    return kvB[(h * (toy::nope + toy::value) + r) * toy::latent + l];
  }

  std::vector<float> kvB = floats("blk.0.attn_kv_b.weight");
};

TEST_F(DerivedTest, KeysAreTransposed) {
  std::vector<float> keys = compute("derived", derived("blk.0.attn_kv_b.weight", "mla_k_b", "2x96x32xf32"));
  ASSERT_EQ(keys.size(), size_t(toy::heads * toy::latent * toy::nope));
  for (size_t h = 0, i = 0; h < toy::heads; ++h)
    for (size_t l = 0; l < toy::latent; ++l)
      for (size_t n = 0; n < toy::nope; ++n, ++i)
        ASSERT_EQ(keys[i], source(h, n, l)) << h << " " << l << " " << n;
}

TEST_F(DerivedTest, KeysAreQuantisedToQ8) {
  std::vector<float> keys =
      compute("derived", derived("blk.0.attn_kv_b.weight", "mla_k_b", "2x96x32x!kt.q8_0"));
  ASSERT_EQ(keys.size(), size_t(toy::heads * toy::latent * toy::nope));
  for (size_t row = 0; row < keys.size() / 32; ++row) {
    float largest = 0;
    for (size_t n = 0; n < 32; ++n)
      largest = std::max(largest, std::fabs(source(row / toy::latent, n, row % toy::latent)));
    // Half a step of rounding, and the scale's own rounding to half precision over up to 127 steps.
    float tolerance = largest / 127 * 0.5f + largest * 0x1p-11f;
    for (size_t n = 0; n < 32; ++n)
      ASSERT_NEAR(keys[row * 32 + n], source(row / toy::latent, n, row % toy::latent), tolerance)
          << row << " " << n;
  }
}

TEST_F(DerivedTest, ValuesKeepTheirOrder) {
  std::vector<float> values = compute("derived", derived("blk.0.attn_kv_b.weight", "mla_v_b", "2x64x96xbf16"));
  ASSERT_EQ(values.size(), size_t(toy::heads * toy::value * toy::latent));
  for (size_t h = 0, i = 0; h < toy::heads; ++h)
    for (size_t v = 0; v < toy::value; ++v)
      for (size_t l = 0; l < toy::latent; ++l, ++i)
        ASSERT_EQ(values[i], reference::bfloatToFloat(reference::floatToBfloat(source(h, toy::nope + v, l))));
}

TEST_F(DerivedTest, ValuesOfTheSameTypeAreCopied) {
  kt::Status status = write(schedule(derived("kv_b_q8.weight", "mla_v_b", "2x64x96x!kt.q8_0"), R"(
      %w = sched.weight @derived
      sched.copy %w to %x on @cpu.team bytes 64 per_token 0)"));
  ASSERT_TRUE(status) << status.error().message;
  PlanFile file = read();
  const Weight *weight = findWeight(file, "derived");
  std::span<const uint8_t> all = model.data(*model.findTensor("kv_b_q8.weight"));
  uint64_t row = toy::latent / 32 * 34, part = toy::value * row;
  ASSERT_EQ(weight->bytes(), toy::heads * part);
  for (int64_t h = 0; h < toy::heads; ++h)
    EXPECT_EQ(
        memcmp(bytesOf(file, *weight) + h * part, &all[(h * (toy::nope + toy::value) + toy::nope) * row], part),
        0);
}

TEST_F(DerivedTest, RefusesTypesItCannotWrite) {
  kt::Status status = write(schedule(derived("blk.0.attn_kv_b.weight", "mla_k_b", "2x96x32x!kt.q4_0"), R"(
      %w = sched.weight @derived
      sched.copy %w to %x on @cpu.team bytes 64 per_token 0)"));
  ASSERT_FALSE(status);
  EXPECT_THAT(status.error().message,
              HasSubstr("derived weight 'derived': expected type f32, f16, bf16 or q8_0, "
                        "found q4_0"));
}

TEST_F(DerivedTest, RopeTablesApplyTheFactorsOfTheModel) {
  std::vector<float> factors = floats("rope_freqs.weight");
  std::vector<float> table = compute("rope.0", weightOp("rope_freqs.weight") + R"(
    sched.constant @rope.0 "rope_table" bytes 512 {rope = #model.rope<style = "neox", dims = 8, base = 1.0e4, freq_factors = @rope_freqs.weight>, context = 16 : i64}
)");
  ASSERT_EQ(table.size(), size_t(toy::context * toy::ropeDims));
  for (size_t position = 0; position < toy::context; ++position)
    for (size_t i = 0; i < toy::ropeDims / 2; ++i) {
      double angle = double(position) / factors[i] / std::pow(10.0, double(i)); // 10000^(2i/8) = 10^i
      EXPECT_NEAR(table[(position * 4 + i) * 2], std::cos(angle), 1e-6);
      EXPECT_NEAR(table[(position * 4 + i) * 2 + 1], std::sin(angle), 1e-6);
    }
}

} // namespace ktc::test
