// GgufModel on valid files: values, conversions, tensors, split sets, and what inspect prints of them.
#include "compiler/gguf-to-model/reader.h"

#include "compiler/gguf-to-model/inspect.h"
#include "test/compiler/gguf-to-model/support/gguf_builder.h"

#include <filesystem>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace ktc {
namespace {

using namespace test;
namespace fs = std::filesystem;

class ReaderTest : public ::testing::Test {
protected:
  void SetUp() override {
    folder = fs::path(testing::TempDir()) /
             (std::string("gguf_") + testing::UnitTest::GetInstance()->current_test_info()->name());
    fs::remove_all(folder);
    fs::create_directories(folder);
  }
  void TearDown() override { fs::remove_all(folder); }
  std::string path(const std::string &name) const { return (folder / name).string(); }

  // Writes part `number` (from 0) of `count` with one tensor.
  GgufBuilder part(uint32_t number, uint32_t count, const std::string &tensor) const {
    GgufBuilder builder;
    if (number == 0)
      builder.string("general.architecture", "llama").scalar<int32_t>("split.tensors.count", I32, 3);
    builder.scalar<uint16_t>("split.no", U16, static_cast<uint16_t>(number));
    builder.scalar<uint16_t>("split.count", U16, static_cast<uint16_t>(count));
    return builder.tensor(tensor, {4});
  }
  void writeSet() const {
    part(0, 3, "a").write(path("m-00001-of-00003.gguf"));
    part(1, 3, "b").write(path("m-00002-of-00003.gguf"));
    part(2, 3, "c").write(path("m-00003-of-00003.gguf"));
  }
  std::string openError(const std::string &name) const {
    ::kt::Result<GgufModel> model = GgufModel::open(path(name));
    return model ? "" : model.error().message;
  }

  fs::path folder;
};

#define EXPECT_MESSAGE(text, part) EXPECT_NE((text).find(part), std::string::npos) << (text)

TEST_F(ReaderTest, ReadsEveryMetadataType) {
  validModel().write(path("valid.gguf"));
  ::kt::Result<GgufModel> model = GgufModel::open(path("valid.gguf"));
  ASSERT_TRUE(model) << model.error().message;
  const GgufMetadata &meta = model->metadata();
  EXPECT_EQ(*meta.getString("general.architecture"), "llama");
  EXPECT_EQ(*meta.getUInt("t.u8"), 200u);
  EXPECT_EQ(meta.find("t.i8")->asInt(), -3);
  EXPECT_EQ(*meta.getUInt("t.u16"), 60000u);
  EXPECT_EQ(meta.find("t.i16")->asInt(), -300);
  EXPECT_EQ(meta.find("t.i32")->asInt(), -70000);
  EXPECT_EQ(*meta.getReal("t.f32"), 1.5);
  EXPECT_TRUE(*meta.getBoolOr("t.bool", false));
  EXPECT_EQ(*meta.getUInt("t.u64"), 1ull << 40);
  EXPECT_EQ(meta.find("t.i64")->asInt(), -(1ll << 40));
  EXPECT_EQ(*meta.getReal("t.f64"), 0.25);
  EXPECT_EQ(*meta.getUIntArray("t.ints"), (std::vector<uint64_t>{1, 2, 3}));
  EXPECT_EQ(*meta.getRealArray("t.floats"), (std::vector<double>{0.5, -1}));
  EXPECT_EQ(meta.getStringArray("tokenizer.ggml.tokens")->at(2), "<0x0A>");
}

TEST_F(ReaderTest, ConvertsOnlyWhatFits) {
  validModel().write(path("valid.gguf"));
  ::kt::Result<GgufModel> model = GgufModel::open(path("valid.gguf"));
  ASSERT_TRUE(model) << model.error().message;
  const GgufMetadata &meta = model->metadata();
  EXPECT_MESSAGE(meta.getUInt("t.i8").error().message, "expected an integer in 0..");
  EXPECT_MESSAGE(meta.getUInt("t.u16", 100).error().message, "in 0..100, found u16 60000");
  EXPECT_MESSAGE(meta.getUInt("none").error().message, "'none' is missing");
  EXPECT_EQ(*meta.getUIntOr("none", 7), 7u);
  EXPECT_MESSAGE(meta.getUIntOr("t.f32", 7).error().message, "found f32 1.5");
  EXPECT_MESSAGE(meta.getUInt("t.ints").error().message, "found array of 3 i32");
  EXPECT_MESSAGE(meta.getBoolOr("t.u8", true).error().message, "expected a bool");
  EXPECT_MESSAGE(meta.getString("t.u8").error().message, "expected a string, found u8 200");
  EXPECT_MESSAGE(meta.getReal("general.architecture").error().message, "found str");
  EXPECT_MESSAGE(meta.getUIntArray("t.floats").error().message, "found array of 2 f32");
  EXPECT_MESSAGE(meta.getUIntArray("t.u8").error().message, "expected an array");
  EXPECT_MESSAGE(meta.getRealArray("tokenizer.ggml.tokens").error().message, "found array of 3 str");
  EXPECT_MESSAGE(meta.getStringArray("t.ints").error().message, "expected an array of strings");
  EXPECT_EQ(*meta.getUIntPerLayer("t.u8", 3), (std::vector<uint64_t>{200, 200, 200}));
  EXPECT_EQ(*meta.getUIntPerLayer("t.ints", 2), (std::vector<uint64_t>{1, 2}));
  EXPECT_MESSAGE(meta.getUIntPerLayer("t.ints", 4).error().message, "at least 4");
  EXPECT_MESSAGE(meta.getUIntPerLayer("t.ints", 3, 2).error().message, "in 0..2");
}

TEST_F(ReaderTest, RejectsNumbersThatAreNotFinite) {
  Bytes bytes = GgufBuilder().f32("x", std::numeric_limits<float>::infinity()).build();
  ::kt::Result<GgufModel> model = GgufModel::parse("x.gguf", bytes);
  ASSERT_TRUE(model);
  EXPECT_MESSAGE(model->metadata().getReal("x").error().message, "expected a finite number, found f32 inf");
}

TEST_F(ReaderTest, LocatesTensors) {
  GgufBuilder builder = validModel();
  builder.write(path("valid.gguf"));
  builder.build();
  uint64_t dataStart = builder.sections.back();
  ::kt::Result<GgufModel> model = GgufModel::open(path("valid.gguf"));
  ASSERT_TRUE(model) << model.error().message;
  ASSERT_EQ(model->tensors().size(), 3u);
  const GgufTensor *norm = model->findTensor("output_norm.weight");
  ASSERT_TRUE(norm);
  EXPECT_EQ(norm->offset, dataStart + 128); // 3 rows of 34 bytes, padded to 32
  EXPECT_EQ(norm->bytes, 20u);
  const GgufTensor *experts = model->findTensor("blk.0.ffn_up_exps.weight");
  EXPECT_EQ(experts->bytes, 6u * 144);
  EXPECT_EQ(experts->ne, (std::array<uint64_t, 4>{256, 2, 3, 1}));
  EXPECT_EQ(experts->shapeText(), "[256, 2, 3]");
  EXPECT_EQ(model->data(*experts).size(), experts->bytes);
  EXPECT_EQ(model->findTensor("none"), nullptr);
}

TEST_F(ReaderTest, AcceptsVersion2OtherAlignmentsAndNoTensors) {
  GgufBuilder builder = validModel();
  builder.version = 2;
  builder.alignment = 4096;
  builder.u32("general.alignment", 4096).write(path("v2.gguf"));
  ::kt::Result<GgufModel> model = GgufModel::open(path("v2.gguf"));
  ASSERT_TRUE(model) << model.error().message;
  EXPECT_EQ(model->files()[0].version, 2u);
  EXPECT_EQ(model->files()[0].alignment, 4096u);
  EXPECT_EQ(model->tensors()[1].offset % 4096, 0u);
  Bytes empty = GgufBuilder().build();
  EXPECT_TRUE(GgufModel::parse("empty.gguf", empty));
}

TEST_F(ReaderTest, DataOfTheLastTensorNeedsNoPadding) {
  Bytes bytes = GgufBuilder().tensor("t", {5}).build();
  bytes.resize(bytes.size() - 12);
  EXPECT_TRUE(GgufModel::parse("t.gguf", bytes));
  bytes.pop_back();
  EXPECT_MESSAGE(GgufModel::parse("t.gguf", bytes).error().message, "expected 20 bytes of data for tensor 't'");
}

TEST_F(ReaderTest, TypesWithoutKernelsAreReadable) {
  Bytes bytes = GgufBuilder().tensor("t", {256}, KT_TYPE_IQ2_XXS).build();
  ::kt::Result<GgufModel> model = GgufModel::parse("t.gguf", bytes);
  ASSERT_TRUE(model);
  EXPECT_EQ(model->tensors()[0].bytes, 66u);
}

TEST_F(ReaderTest, JoinsSplitSets) {
  writeSet();
  ::kt::Result<GgufModel> model = GgufModel::open(path("m-00001-of-00003.gguf"));
  ASSERT_TRUE(model) << model.error().message;
  ASSERT_EQ(model->tensors().size(), 3u);
  ASSERT_EQ(model->files().size(), 3u);
  EXPECT_EQ(model->findTensor("c")->file, 2u);
  EXPECT_EQ(model->data(*model->findTensor("c")).size(), 16u);
  EXPECT_MESSAGE(inspectText(*model), "file 2");
}

TEST_F(ReaderTest, SplitSetsStartAtTheFirstPart) {
  writeSet();
  EXPECT_MESSAGE(openError("m-00002-of-00003.gguf"),
                 "expected the first part of the split model, found part 2 of 3");
  EXPECT_MESSAGE(openError("m-00002-of-00003.gguf"), "open " + path("m-00001-of-00003.gguf"));
  part(1, 3, "b").write(path("renamed.gguf"));
  EXPECT_MESSAGE(openError("renamed.gguf"), "found part 2 of 3");
}

TEST_F(ReaderTest, SplitSetsMustBeComplete) {
  writeSet();
  fs::remove(path("m-00003-of-00003.gguf"));
  std::string message = openError("m-00001-of-00003.gguf");
  EXPECT_MESSAGE(message, path("m-00003-of-00003.gguf") + ": cannot be read: No such file");
  EXPECT_MESSAGE(message, "part 3 of 3");
}

TEST_F(ReaderTest, SplitCountsMustAgree) {
  writeSet();
  part(1, 4, "b").write(path("m-00002-of-00003.gguf"));
  EXPECT_MESSAGE(openError("m-00001-of-00003.gguf"),
                 "m-00002-of-00003.gguf: metadata key 'split.count': expected 3, found 4");
  part(2, 3, "b").write(path("m-00002-of-00003.gguf"));
  EXPECT_MESSAGE(openError("m-00001-of-00003.gguf"), "'split.no': expected 1, found 2");
  GgufBuilder().tensor("b", {4}).write(path("m-00002-of-00003.gguf"));
  EXPECT_MESSAGE(openError("m-00001-of-00003.gguf"), "'split.no' is missing");
  part(0, 2, "a").write(path("m-00001-of-00003.gguf"));
  EXPECT_MESSAGE(openError("m-00001-of-00003.gguf"),
                 "'split.count': expected 3 as in the file's name, found 2");
  part(0, 3, "a").write(path("single.gguf"));
  EXPECT_MESSAGE(openError("single.gguf"), "ends in -00001-of-00003.gguf");
  GgufBuilder().tensor("a", {4}).write(path("x-00001-of-00002.gguf"));
  EXPECT_MESSAGE(openError("x-00001-of-00002.gguf"), "found 1");
}

TEST_F(ReaderTest, SplitTensorsMustBeDistinctAndCounted) {
  writeSet();
  part(1, 3, "a").write(path("m-00002-of-00003.gguf"));
  EXPECT_MESSAGE(openError("m-00001-of-00003.gguf"),
                 "tensor 'a': expected one entry in all parts, found another in");
  part(1, 3, "b").tensor("d", {4}).write(path("m-00002-of-00003.gguf"));
  EXPECT_MESSAGE(openError("m-00001-of-00003.gguf"), "'split.tensors.count': expected 4");
  part(0, 3, "a").scalar<int64_t>("split.x", I64, 0).write(path("m-00001-of-00003.gguf"));
  GgufBuilder lie;
  lie.scalar<uint16_t>("split.no", U16, 0).scalar<int16_t>("split.count", I16, -2).tensor("a", {4});
  lie.write(path("m-00001-of-00003.gguf"));
  EXPECT_MESSAGE(openError("m-00001-of-00003.gguf"), "expected an integer in 0..65535, found i16 -2");
}

TEST_F(ReaderTest, NamesWhatCannotBeOpened) {
  EXPECT_MESSAGE(openError("none.gguf"), "none.gguf: cannot be read: No such file");
  EXPECT_MESSAGE(openError("."), "expected a regular file");
  std::ofstream(path("empty.gguf")).close();
  EXPECT_MESSAGE(openError("empty.gguf"), "the file is empty");
}

TEST_F(ReaderTest, InspectTextShortensAndEscapes) {
  GgufBuilder builder = validModel();
  builder.string("note", "line\nwith \xff").strings("many", {"1", "2", "3", "4", "5", "6", "7"});
  Bytes bytes = builder.build();
  ::kt::Result<GgufModel> model = GgufModel::parse("m.gguf", bytes);
  ASSERT_TRUE(model) << model.error().message;
  std::string text = inspectText(*model);
  EXPECT_MESSAGE(text, "file m.gguf: GGUF version 3");
  EXPECT_MESSAGE(text, "note = 'line\\x0awith \\xff'  (str)");
  EXPECT_MESSAGE(text, "many = ['1', '2', '3', '4', '5', '6', …]  (array of 7 str)");
  EXPECT_MESSAGE(text, "t.i64 = -1099511627776  (i64)");
  EXPECT_MESSAGE(text, "blk.0.ffn_up_exps.weight  q4_k     [256, 2, 3]  864 B");
  EXPECT_MESSAGE(text, "all      3 tensors, 1637 elements, 986 B");
}

TEST_F(ReaderTest, InspectJsonIsTyped) {
  GgufBuilder builder = validModel();
  builder.string("note", "\xff").array<uint8_t>("long", U8, std::vector<uint8_t>(40, 7));
  Bytes bytes = builder.build();
  ::kt::Result<GgufModel> model = GgufModel::parse("m.gguf", bytes);
  ASSERT_TRUE(model) << model.error().message;
  nlohmann::json json = nlohmann::json::parse(inspectJson(*model));
  EXPECT_EQ(json["metadata"]["t.bool"]["value"], true);
  EXPECT_EQ(json["metadata"]["t.i8"]["type"], "i8");
  EXPECT_EQ(json["metadata"]["t.i8"]["value"], -3);
  EXPECT_EQ(json["metadata"]["long"]["count"], 40);
  EXPECT_EQ(json["metadata"]["long"]["first"].size(), 16u);
  EXPECT_EQ(json["metadata"]["long"]["element_type"], "u8");
  EXPECT_EQ(json["tensors"][2]["shape"], (std::vector<int>{256, 2, 3}));
  EXPECT_EQ(json["tensors"][2]["type"], "q4_k");
  EXPECT_EQ(json["totals"]["types"]["q8_0"]["bytes"], 102);
  EXPECT_EQ(json["totals"]["tensors"], 3);
  EXPECT_EQ(json["files"][0]["alignment"], 32);
}

} // namespace
} // namespace ktc
