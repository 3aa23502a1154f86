// Encoders of weight formats; see the header.
#include "compiler/schedule-to-plan/quantize_rows.h"

#include "templates/reference/half.h"

#include <cmath>
#include <cstring>

namespace ktc {

bool canQuantize(uint32_t type) {
  return type == KT_TYPE_F32 || type == KT_TYPE_F16 || type == KT_TYPE_BF16 || type == KT_TYPE_Q8_0;
}

// A block is its scale as half, then 32 signed bytes.
static void quantizeQ8Block(const float *source, uint8_t *block) {
  float largest = 0;
  for (int i = 0; i < 32; ++i)
    largest = std::fmax(largest, std::fabs(source[i]));
  float scale = largest / 127, inverse = scale != 0 ? 1 / scale : 0;
  uint16_t half = reference::floatToHalf(scale);
  memcpy(block, &half, sizeof(half));
  for (int i = 0; i < 32; ++i)
    block[2 + i] = static_cast<uint8_t>(static_cast<int8_t>(std::round(source[i] * inverse)));
}

void quantizeRow(uint32_t type, const float *source, void *destination, size_t count) {
  uint8_t *to = static_cast<uint8_t *>(destination);
  if (type == KT_TYPE_F32) {
    memcpy(to, source, count * sizeof(float));
  } else if (type == KT_TYPE_Q8_0) {
    for (size_t i = 0; i < count; i += 32)
      quantizeQ8Block(source + i, to + i / 32 * 34);
  } else {
    for (size_t i = 0; i < count; ++i) {
      uint16_t bits =
          type == KT_TYPE_F16 ? reference::floatToHalf(source[i]) : reference::floatToBfloat(source[i]);
      memcpy(to + 2 * i, &bits, sizeof(bits));
    }
  }
}

} // namespace ktc
