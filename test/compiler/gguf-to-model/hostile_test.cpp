// Hostile and damaged files: each must end in one clear error, and nothing may crash, hang or allocate for it.
//
// The cases are the known vulnerabilities of GGUF readers and the malformed files that have crashed them, one
// valid file with one change each; then every truncation of a valid header, and random byte flips.
#include "compiler/gguf-to-model/inspect.h"
#include "compiler/gguf-to-model/reader.h"
#include "test/compiler/gguf-to-model/support/gguf_builder.h"

#include <functional>
#include <gtest/gtest.h>
#include <random>

namespace ktc {
namespace {

using namespace test;

struct HostileCase {
  const char *name;
  std::function<void(GgufBuilder &)> damage; // applied to an empty builder
  const char *message;                       // part of the expected error
};

void PrintTo(const HostileCase &hostile, std::ostream *out) { *out << hostile.name; }

class HostileTest : public ::testing::TestWithParam<HostileCase> {};

TEST_P(HostileTest, GivesAClearError) {
  GgufBuilder builder;
  GetParam().damage(builder);
  Bytes bytes = builder.build();
  ::kt::Result<GgufModel> model = GgufModel::parse("bad.gguf", bytes);
  ASSERT_FALSE(model);
  EXPECT_EQ(model.error().message.find("bad.gguf: "), 0u) << model.error().message;
  EXPECT_NE(model.error().message.find(GetParam().message), std::string::npos) << model.error().message;
}

using B = GgufBuilder;
constexpr uint64_t huge = 1ull << 60;

const HostileCase preambleCases[] = {
    {"magic", [](B &b) { b.magic = "GGML"; }, "at byte 0: expected the magic 'GGUF', found 'GGML'"},
    {"magic_binary", [](B &b) { b.magic = std::string("\xff\0\n'", 4); }, "found '\\xff\\x00\\x0a''"},
    {"version_0", [](B &b) { b.version = 0; }, "at byte 4: expected GGUF version 2 or 3, found 0"},
    {"version_1", [](B &b) { b.version = 1; }, "found 1, which is no longer in use"},
    {"version_future", [](B &b) { b.version = 4; }, "found 4"},
    {"big_endian", [](B &b) { b.version = 3u << 24; }, "found a big-endian file"},
    // CVE-2024-21825 / -21836 class: n_tensors and n_kv times a size overflow the allocation.
    {"tensor_count", [](B &b) { b.tensorCount = huge; }, "at byte 8: expected a tensor count that fits"},
    {"tensor_count_negative", [](B &b) { b.tensorCount = ~0ull; }, "found 18446744073709551615"},
    {"tensor_count_one_more", [](B &b) { b.tensorCount = 1; }, "expected a tensor count that fits"},
    {"metadata_count", [](B &b) { b.metadataCount = huge; }, "at byte 16: expected a metadata count"},
    {"metadata_count_wraps", [](B &b) { b.metadataCount = UINT64_MAX / 48 + 2; }, "a metadata count"},
};

const HostileCase metadataCases[] = {
    {"key_length", [](B &b) { b.raw({255, 255, 255, 255, 255, 255, 255, 255, 0, 0, 0, 0, 0, 0}); },
     "expected a metadata key of at most 65535 bytes, found a length of 18446744073709551615"},
    {"key_past_end", [](B &b) { b.raw({200, 0, 0, 0, 0, 0, 0, 0, 'a', 'b', 'c', 'd', 'e', 'f'}); },
     "expected a metadata key of 200 bytes, found"},
    {"key_empty", [](B &b) { b.u32("", 1); }, "expected a metadata key that is not empty"},
    {"key_nul", [](B &b) { b.u32(std::string("a\0b", 3), 1); }, "without NUL bytes, found 'a\\x00b'"},
    {"key_utf8", [](B &b) { b.u32("a\xc0\xaf", 1); }, "in UTF-8"},
    {"key_twice", [](B &b) { b.u32("a", 1).u32("a", 2); },
     "expected each metadata key once, found a second 'a'"},
    {"value_type", [](B &b) { b.scalar<uint32_t>("a", 13, 0); }, "a metadata value type in 0..12, found 13"},
    // CVE-2024-23496 class: string length + 1 wraps.
    {"string_length", [](B &b) { b.scalar<uint64_t>("a", String, ~0ull); },
     "a string of at most 1073741824 bytes"},
    {"string_past_end", [](B &b) { b.scalar<uint64_t>("a", String, 1000); }, "expected a string of 1000 bytes"},
    {"array_element_type", [](B &b) { b.array<uint32_t>("a", 99, {1}); }, "an array element type in 0..12"},
    {"array_nested", [](B &b) { b.array<uint32_t>("a", Array, {1}); }, "found a nested array"},
    // CVE-2024-21802 / -23605 class and the 43-byte file that makes readers allocate gigabytes.
    {"array_length", [](B &b) { b.array<uint8_t>("a", U8, {}, huge); }, "expected an array length that fits"},
    {"array_length_wraps", [](B &b) { b.array<uint64_t>("a", U64, {}, (1ull << 61) + 1); }, "an array length"},
    {"strings_length", [](B &b) { b.array<uint8_t>("a", String, {}, 1u << 30); }, "an array length that fits"},
    {"string_in_array", [](B &b) { b.array<uint64_t>("a", String, {0, 5000}); }, "expected a string of"},
    {"bool_value", [](B &b) { b.scalar<uint8_t>("a", Bool, 2); }, "expected a bool (0 or 1) in 'a', found 2"},
    {"bool_in_array", [](B &b) { b.array<uint8_t>("a", Bool, {1, 3}); }, "expected a bool (0 or 1)"},
    {"alignment_zero", [](B &b) { b.u32("general.alignment", 0); },
     "'general.alignment' to be a u32 power of two"},
    {"alignment_odd", [](B &b) { b.u32("general.alignment", 48); }, "found u32 '48'"},
    {"alignment_type", [](B &b) { b.string("general.alignment", "32"); }, "found str '32'"},
    {"alignment_u64", [](B &b) { b.scalar<uint64_t>("general.alignment", U64, 1ull << 63); }, "found u64"},
    {"alignment_negative", [](B &b) { b.scalar<int32_t>("general.alignment", I32, -32); }, "found i32 '-32'"},
    {"alignment_array", [](B &b) { b.array<uint32_t>("general.alignment", U32, {32}); },
     "found array of 1 u32"},
};

const HostileCase modelCases[] = {
    {"architecture_type", [](B &b) { b.u32("general.architecture", 3); }, "expected a string, found u32"},
    {"architecture_array", [](B &b) { b.strings("general.architecture", {}); },
     "expected a string, found array"},
    {"block_count", [](B &b) { b.string("general.architecture", "llama").u32("llama.block_count", 513); },
     "'llama.block_count': expected an integer in 0..512, found u32 513"},
    {"block_count_negative",
     [](B &b) { b.string("general.architecture", "x").scalar<int32_t>("x.block_count", I32, -1); },
     "found i32 -1"},
    {"block_count_type", [](B &b) { b.string("general.architecture", "x").f32("x.block_count", 2.f); },
     "found f32 2"},
    {"tokens_type", [](B &b) { b.array<uint8_t>("tokenizer.ggml.tokens", U8, {1}); },
     "expected an array of strings"},
    {"tokens_scalar", [](B &b) { b.string("tokenizer.ggml.tokens", "a"); },
     "expected an array of strings, found str"},
    // Arrays read as f32 or i32 whatever their declared type: out of bounds for narrower elements.
    {"scores_type",
     [](B &b) { b.strings("tokenizer.ggml.tokens", {"a"}).array<uint8_t>("tokenizer.ggml.scores", U8, {1}); },
     "'tokenizer.ggml.scores': expected an array of f32, found array of 1 u8"},
    {"scores_short",
     [](B &b) {
       b.strings("tokenizer.ggml.tokens", {"a", "b"}).array<float>("tokenizer.ggml.scores", F32, {1});
     },
     "'tokenizer.ggml.scores': expected 2 elements, one per token, found 1"},
    {"types_short",
     [](B &b) {
       b.strings("tokenizer.ggml.tokens", {"a", "b"}).array<int32_t>("tokenizer.ggml.token_type", I32, {1});
     },
     "'tokenizer.ggml.token_type': expected 2 elements"},
    {"types_type",
     [](B &b) {
       b.strings("tokenizer.ggml.tokens", {"a"}).array<int8_t>("tokenizer.ggml.token_type", I8, {1});
     },
     "expected an array of i32, found array of 1 i8"},
    {"types_range",
     [](B &b) {
       b.strings("tokenizer.ggml.tokens", {"a"}).array<int32_t>("tokenizer.ggml.token_type", I32, {-1});
     },
     "expected types in 0..6, found -1 for token 0"},
    {"merges_type", [](B &b) { b.array<int32_t>("tokenizer.ggml.merges", I32, {1}); },
     "expected an array of strings"},
    {"byte_token_negative",
     [](B &b) {
       b.strings("tokenizer.ggml.tokens", {"<0x-1>"}).array<int32_t>("tokenizer.ggml.token_type", I32, {6});
     },
     "expected byte token 0 to be <0x00>..<0xFF>, found '<0x-1>'"},
    {"byte_token_spm",
     [](B &b) {
       b.string("tokenizer.ggml.model", "llama").strings("tokenizer.ggml.tokens", {"x"});
       b.array<int32_t>("tokenizer.ggml.token_type", I32, {6});
     },
     "found 'x'"},
    {"tokenizer_model_type",
     [](B &b) {
       b.u32("tokenizer.ggml.model", 1).strings("tokenizer.ggml.tokens", {"x"});
       b.array<int32_t>("tokenizer.ggml.token_type", I32, {1});
     },
     "'tokenizer.ggml.model': expected a string"},
};

// A tensor called "t" with the given shape and type and some data.
std::function<void(B &)> shape(std::vector<uint64_t> ne, uint32_t type = KT_TYPE_F32) {
  return [=](B &b) { b.tensor(TensorSpec{"t", ne, type, {}, {}, 1024}); };
}

const HostileCase tensorCases[] = {
    {"name_length", [](B &b) { b.tensor(std::string(64, 'n'), {1}); }, "a tensor name of at most 63 bytes"},
    {"name_huge", [](B &b) { b.tensor(std::string(100000, 'n'), {1}); }, "found a length of 100000"},
    {"name_empty", [](B &b) { b.tensor("", {1}); }, "a tensor name that is not empty"},
    {"name_nul", [](B &b) { b.tensor(std::string("t\0u", 3), {1}); }, "a tensor name without NUL bytes"},
    {"name_utf8", [](B &b) { b.tensor("t\xed\xa0\x80", {1}); }, "a tensor name in UTF-8"},
    {"name_twice", [](B &b) { b.tensor("t", {1}).tensor("t", {1}); },
     "expected one entry for tensor 't', found a second"},
    {"dimensions_0", [](B &b) { b.tensor(TensorSpec{"ten", {4, 4}, 0, 0, {}, {}}); },
     "expected 1..4 dimensions for tensor 'ten', found 0"},
    {"dimensions_5", shape({1, 1, 1, 1, 1}), "found 5"},
    {"dimensions_huge", [](B &b) { b.tensor(TensorSpec{"ten", {4, 4}, 0, 0x80000001u, {}, {}}); },
     "found 2147483649"},
    {"dimension_0", shape({32, 0}), "expected a dimension in 1..2^63-1 for tensor 't', found 0"},
    {"dimension_0_first", shape({0, 32}), "found 0"},
    {"dimension_negative", shape({~0ull}), "found 18446744073709551615"},
    // CVE-2026-33298 class: the product wraps to a small number.
    {"shape_wraps", shape({1ull << 32, 1ull << 32}),
     "shape [4294967296, 4294967296] of f32, which no 64-bit size holds"},
    {"shape_wraps_q4_k", shape({1ull << 32, 1ull << 32}, KT_TYPE_Q4_K), "which no 64-bit size holds"},
    {"shape_wraps_4d", shape({1ull << 16, 1ull << 16, 1ull << 16, 1ull << 16}), "which no 64-bit size holds"},
    {"shape_bytes_wrap", shape({1ull << 62}), "which no 64-bit size holds"},
    {"shape_to_one", shape({(1ull << 62) + 1, 4}), "which no 64-bit size holds"},
    // CVE-2026-7482 class: a shape larger than the file.
    {"shape_exceeds_file", shape({1ull << 40}), "expected data of at most"},
    {"shape_exceeds_data", shape({260}), "expected 1040 bytes of data for tensor 't', found 1024 bytes"},
    {"type_unknown", shape({32}, 99), "expected a known tensor type for tensor 't', found type id 99"},
    {"type_removed", shape({32}, 4), "found type id 4"},
    {"type_negative", shape({32}, ~0u), "found type id 4294967295"},
    {"row_of_part_blocks", shape({48, 2}, KT_TYPE_Q8_0),
     "whole q8_0 blocks of 32 elements for tensor 't', found 48"},
    {"offset_first", [](B &b) { b.tensor(TensorSpec{"t", {8}, 0, {}, 32, {}}); },
     "expected offset 0 for tensor 't', found 32"},
    {"offset_gap", [](B &b) { b.tensor("s", {8}).tensor(TensorSpec{"t", {8}, 0, {}, 64, {}}); },
     "expected offset 32"},
    {"offset_overlap", [](B &b) { b.tensor("s", {8}).tensor(TensorSpec{"t", {8}, 0, {}, 0, {}}); },
     "expected offset 32"},
    {"offset_unaligned", [](B &b) { b.tensor("s", {9}).tensor(TensorSpec{"t", {8}, 0, {}, 36, {}}); },
     "expected offset 64"},
    {"offset_huge", [](B &b) { b.tensor(TensorSpec{"t", {8}, 0, {}, ~0ull - 31, {}}); }, "expected offset 0"},
    {"alignment_disagrees", [](B &b) { b.u32("general.alignment", 64).tensor("s", {8}).tensor("t", {8}); },
     "expected offset 64"},
    {"alignment_past_end", [](B &b) { b.u32("general.alignment", 1u << 31).tensor("t", {8}); },
     "found 0 bytes before"},
    {"data_missing", [](B &b) { b.tensor("t", {8}), b.omitData = true; },
     "found 0 bytes before the end of the file"},
};

std::string caseName(const testing::TestParamInfo<HostileCase> &info) { return info.param.name; }

INSTANTIATE_TEST_SUITE_P(Preamble, HostileTest, testing::ValuesIn(preambleCases), caseName);
INSTANTIATE_TEST_SUITE_P(Metadata, HostileTest, testing::ValuesIn(metadataCases), caseName);
INSTANTIATE_TEST_SUITE_P(Model, HostileTest, testing::ValuesIn(modelCases), caseName);
INSTANTIATE_TEST_SUITE_P(Tensors, HostileTest, testing::ValuesIn(tensorCases), caseName);

// The bytes are copied to a block of exactly their size, so that a sanitizer sees every read past the end.
::kt::Status parseExact(const Bytes &bytes, size_t size) {
  std::unique_ptr<uint8_t[]> copy(new uint8_t[size]);
  std::copy_n(bytes.begin(), size, copy.get());
  ::kt::Result<GgufModel> model = GgufModel::parse("cut.gguf", {copy.get(), size});
  if (!model)
    return model.error();
  inspectText(*model);
  return {};
}

TEST(Damage, EveryTruncationOfTheHeaderIsAnError) {
  GgufBuilder builder = validModel();
  Bytes bytes = builder.build();
  for (size_t size = 0; size <= builder.headerBytes; ++size) {
    ::kt::Status status = parseExact(bytes, size);
    ASSERT_FALSE(status) << size;
    ASSERT_NE(status.error().message.find("cut.gguf: at byte "), std::string::npos) << status.error().message;
  }
}

TEST(Damage, TruncationAtEverySectionIsAnError) {
  GgufBuilder builder = validModel();
  Bytes bytes = builder.build();
  for (size_t section : builder.sections)
    for (size_t size : {section, section + 1})
      EXPECT_FALSE(parseExact(bytes, size)) << size;
  EXPECT_TRUE(parseExact(bytes, bytes.size()));
}

TEST(Damage, FlippedBytesNeverCrash) {
  GgufBuilder builder = validModel();
  const Bytes valid = builder.build();
  std::mt19937 random(1);
  for (int round = 0; round < 20000; ++round) {
    Bytes bytes = valid;
    for (uint32_t flips = 1 + random() % 3; flips > 0; --flips)
      bytes[random() % builder.headerBytes] = static_cast<uint8_t>(random() % 4 ? random() : 255);
    (void)parseExact(bytes, bytes.size());
  }
}

TEST(Damage, EveryByteSetToExtremesNeverCrashes) {
  GgufBuilder builder = validModel();
  const Bytes valid = builder.build();
  for (size_t i = 0; i < builder.headerBytes; ++i)
    for (uint8_t value : {0, 1, 127, 128, 255}) {
      Bytes bytes = valid;
      bytes[i] = value;
      (void)parseExact(bytes, bytes.size());
    }
}

} // namespace
} // namespace ktc
