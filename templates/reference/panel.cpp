// Scalar model of the panel arithmetic of the x86-64 kernels: see panel.h.
//
// The split of a weight into S, T and O is not taken from the layouts: dequantising a block with all codes
// zero, and with all codes ones, gives two values of every sub-block, and the format says which T they have.
#include "templates/reference/panel.h"

#include "templates/reference/reference.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace ktc::reference {

namespace {

struct PanelFormat {
  uint32_t id;
  size_t codes;        // first byte of the codes, which end the block unless `codesEnd` says otherwise
  size_t codesEnd;     // 0: end of the block
  int atZeros, atOnes; // T of the codes 0 and ~0
  int extreme;         // largest |T|
  size_t subBlock;     // weights that share S and O
  bool offsets;        // O is not 0
  bool fine;           // 15 fractional bits of S
};

constexpr PanelFormat formats[] = {
    {KT_TYPE_Q4_0, 2, 0, -8, 7, 8, 32, false, false},
    {KT_TYPE_Q4_1, 4, 0, 0, 15, 15, 32, true, false},
    {KT_TYPE_Q5_0, 2, 0, -16, 15, 16, 32, false, false},
    {KT_TYPE_Q5_1, 4, 0, 0, 31, 31, 32, true, false},
    {KT_TYPE_Q8_0, 2, 0, 0, -1, 128, 32, false, true},
    {KT_TYPE_Q2_K, 16, 80, 0, 3, 3, 16, true, false},
    {KT_TYPE_Q3_K, 0, 96, -4, 3, 4, 16, false, false},
    {KT_TYPE_Q4_K, 16, 0, 0, 15, 15, 32, true, false},
    {KT_TYPE_Q5_K, 16, 0, 0, 31, 31, 32, true, false},
    {KT_TYPE_Q6_K, 0, 192, -32, 31, 32, 16, false, false},
    {KT_TYPE_IQ4_NL, 2, 0, -127, 113, 127, 32, false, true},
    {KT_TYPE_IQ4_XS, 8, 0, -127, 113, 127, 32, false, true},
    {KT_TYPE_MXFP4, 1, 0, 0, -12, 12, 32, false, false},
};

const PanelFormat &formatOf(uint32_t id) {
  return *std::find_if(std::begin(formats), std::end(formats) - 1,
                       [&](const PanelFormat &f) { return f.id == id; });
}

// One weight of a span: w = s * t + o.
struct Split {
  double s, o;
  int t;
};

// The weights of a span as D, which is returned, times a byte.
float requantize(const std::vector<Split> &span, int extreme, bool offsets, bool fine, int8_t *bytes) {
  double bound = 1e-30;
  for (const Split &w : span)
    bound =
        std::max(bound, offsets ? std::max(std::fabs(w.o), std::fabs(extreme * w.s + w.o)) : std::fabs(w.s));
  const double reach = offsets ? 1 : extreme;
  const double unit = (fine ? 32767.0 : 256.0) * 127 / reach / bound;
  for (size_t i = 0; i < span.size(); ++i) {
    const int a = static_cast<int>(std::lrint(span[i].s * unit)),
              m = static_cast<int>(std::lrint(span[i].o * unit));
    const int word = fine ? (span[i].t * 256 * a + 16384) >> 15 : span[i].t * a + m;
    bytes[i] = static_cast<int8_t>((word + 128) >> 8);
  }
  return static_cast<float>(bound * reach / 127);
}

} // namespace

std::vector<float> panelRow(const Matrix &matrix, const void *base, int64_t row) {
  const PanelFormat &format = formatOf(matrix.format->id);
  const size_t blockBytes = matrix.format->blockBytes, rowBytes = static_cast<size_t>(matrix.rowBytes());
  const uint8_t *bytes = static_cast<const uint8_t *>(base) + static_cast<size_t>(row) * rowBytes;
  const size_t k = static_cast<size_t>(matrix.k), end = format.codesEnd ? format.codesEnd : blockBytes;
  std::vector<float> values(k), atZeros(k), atOnes(k);
  std::vector<uint8_t> changed(bytes, bytes + rowBytes);
  auto withCodes = [&](uint8_t code, std::vector<float> &result) {
    for (size_t block = 0; block < rowBytes; block += blockBytes)
      std::fill(changed.begin() + static_cast<long>(block + format.codes),
                changed.begin() + static_cast<long>(block + end), code);
    dequantize(format.id, changed.data(), result.data(), k);
  };
  dequantize(format.id, bytes, values.data(), k);
  withCodes(0x00, atZeros);
  withCodes(0xff, atOnes);
  for (size_t first = 0; first < k; first += 256) {
    std::vector<Split> span;
    for (size_t i = first; i < std::min(first + 256, k); ++i) {
      const double s = (double(atOnes[i]) - atZeros[i]) / (format.atOnes - format.atZeros);
      const double o = format.offsets ? atZeros[i] - s * format.atZeros : 0;
      span.push_back({s, o, s == 0 ? 0 : static_cast<int>(std::lrint((values[i] - o) / s))});
    }
    int8_t bytes[256];
    const float scale = requantize(span, format.extreme, format.offsets, format.fine, bytes);
    for (size_t i = 0; i < span.size(); ++i)
      values[first + i] = static_cast<float>(bytes[i]) * scale;
  }
  return values;
}

void panelActivationBytes(const void *base, int64_t k, int64_t row, std::vector<int8_t> &bytes,
                          std::vector<float> &scales) {
  const char *start = static_cast<const char *>(base) + row * static_cast<int64_t>(ktQ8RowBytes(k));
  const int8_t *q = reinterpret_cast<const int8_t *>(start);
  const float *d = reinterpret_cast<const float *>(start + ktQ8ScaleOffset(k));
  bytes.resize(k);
  scales.clear();
  for (int64_t first = 0; first < k; first += 256) {
    std::vector<Split> span;
    for (int64_t i = first; i < std::min(first + 256, k); ++i)
      span.push_back({d[i / 32], 0, q[i]});
    scales.push_back(requantize(span, 127, false, true, bytes.data() + first));
  }
}

std::vector<float> panelActivations(const void *base, int64_t k, int64_t row) {
  std::vector<int8_t> bytes;
  std::vector<float> scales, values(k);
  panelActivationBytes(base, k, row, bytes, scales);
  for (int64_t i = 0; i < k; ++i)
    values[i] = static_cast<float>(bytes[i]) * scales[i / 256];
  return values;
}

} // namespace ktc::reference
