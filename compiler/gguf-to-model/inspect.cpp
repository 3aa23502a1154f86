// inspectText and inspectJson: see the header.
#include "compiler/gguf-to-model/inspect.h"

#include "compiler/gguf-to-model/cursor.h"

#include <algorithm>
#include <cstdio>
#include <map>
#include <nlohmann/json.hpp>

namespace ktc {

namespace {

using Json = nlohmann::json;

constexpr uint64_t textElements = 6;
constexpr uint64_t jsonElements = 16;

struct Total {
  uint64_t tensors = 0;
  uint64_t elements = 0;
  uint64_t bytes = 0;
};

struct Totals {
  Total all;
  std::map<std::string, Total> types;
};

Totals sumUp(const GgufModel &model) {
  Totals totals;
  for (const GgufTensor &tensor : model.tensors())
    for (Total *total : {&totals.all, &totals.types[ktTypeInfo(tensor.type)->name]}) {
      total->tensors += 1;
      total->elements += tensor.elements();
      total->bytes += tensor.bytes;
    }
  return totals;
}

std::string sizeText(uint64_t bytes) {
  static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  double value = static_cast<double>(bytes);
  size_t unit = 0;
  for (; value >= 1024 && unit + 1 < std::size(units); ++unit)
    value /= 1024;
  char buffer[40];
  std::snprintf(buffer, sizeof buffer, unit == 0 ? "%.0f %s" : "%.2f %s", value, units[unit]);
  return buffer;
}

std::string elementForText(const GgufValue &value, uint64_t index) {
  std::string text = value.elementText(index);
  return value.elementType == GgufValueType::String ? "'" + printable(text) + "'" : text;
}

std::string valueForText(const GgufValue &value) {
  if (!value.isArray)
    return elementForText(value, 0);
  std::string text = "[";
  for (uint64_t i = 0; i < std::min(value.count, textElements); ++i)
    text += (i ? ", " : "") + elementForText(value, i);
  return text + (value.count > textElements ? ", …]" : "]");
}

std::string padded(std::string text, size_t width) {
  if (text.size() < width)
    text.append(width - text.size(), ' ');
  return text;
}

Json elementForJson(const GgufValue &value, uint64_t index) {
  if (std::optional<std::string_view> text = value.asString(index))
    return std::string(*text);
  if (std::optional<bool> flag = value.asBool(index))
    return *flag;
  if (value.elementType != GgufValueType::F32 && value.elementType != GgufValueType::F64) {
    if (std::optional<uint64_t> number = value.asUInt(index))
      return *number;
    if (std::optional<int64_t> number = value.asInt(index))
      return *number;
  }
  if (std::optional<double> number = value.asReal(index))
    return *number;
  return nullptr;
}

Json valueForJson(const GgufValue &value) {
  Json json;
  if (!value.isArray) {
    json["type"] = ggufValueTypeName(value.elementType);
    json["value"] = elementForJson(value, 0);
    return json;
  }
  json["type"] = "arr";
  json["element_type"] = ggufValueTypeName(value.elementType);
  json["count"] = value.count;
  json["first"] = Json::array();
  for (uint64_t i = 0; i < std::min(value.count, jsonElements); ++i)
    json["first"].push_back(elementForJson(value, i));
  return json;
}

Json totalForJson(const Total &total) {
  return {{"tensors", total.tensors}, {"elements", total.elements}, {"bytes", total.bytes}};
}

Json tensorForJson(const GgufTensor &tensor) {
  Json shape = Json::array();
  for (uint32_t i = 0; i < tensor.dimensions; ++i)
    shape.push_back(tensor.ne[i]);
  return {{"name", std::string(tensor.name)},
          {"type", ktTypeInfo(tensor.type)->name},
          {"shape", shape},
          {"elements", tensor.elements()},
          {"bytes", tensor.bytes},
          {"file", tensor.file},
          {"offset", tensor.offset}};
}

std::string tensorLines(const GgufModel &model) {
  size_t nameWidth = 0, shapeWidth = 0;
  for (const GgufTensor &tensor : model.tensors()) {
    nameWidth = std::max(nameWidth, printable(tensor.name).size());
    shapeWidth = std::max(shapeWidth, tensor.shapeText().size());
  }
  std::string text;
  for (const GgufTensor &tensor : model.tensors()) {
    text += "  " + padded(printable(tensor.name), nameWidth) + "  " + padded(ktTypeInfo(tensor.type)->name, 7) +
            "  " + padded(tensor.shapeText(), shapeWidth) + "  " + sizeText(tensor.bytes);
    if (model.files().size() > 1)
      text += "  file " + std::to_string(tensor.file);
    text += "\n";
  }
  return text;
}

} // namespace

std::string inspectText(const GgufModel &model) {
  std::string text;
  for (const GgufFile &file : model.files())
    text += "file " + file.path + ": GGUF version " + std::to_string(file.version) + ", " +
            sizeText(file.bytes) + ", alignment " + std::to_string(file.alignment) + "\n";
  text += "\nmetadata (" + std::to_string(model.metadata().entries().size()) + "):\n";
  for (const GgufMetadataEntry &entry : model.metadata().entries())
    text += "  " + printable(entry.key) + " = " + valueForText(entry.value) + "  (" + entry.value.typeText() +
            ")\n";
  text += "\ntensors (" + std::to_string(model.tensors().size()) + "):\n" + tensorLines(model);
  Totals totals = sumUp(model);
  text += "\ntotals:\n";
  for (const auto &[type, total] : totals.types)
    text += "  " + padded(type, 7) + "  " + std::to_string(total.tensors) + " tensors, " +
            std::to_string(total.elements) + " elements, " + sizeText(total.bytes) + "\n";
  return text + "  all      " + std::to_string(totals.all.tensors) + " tensors, " +
         std::to_string(totals.all.elements) + " elements, " + sizeText(totals.all.bytes) + "\n";
}

std::string inspectJson(const GgufModel &model) {
  Json json;
  json["files"] = Json::array();
  for (const GgufFile &file : model.files())
    json["files"].push_back(
        {{"path", file.path}, {"bytes", file.bytes}, {"version", file.version}, {"alignment", file.alignment}});
  json["metadata"] = Json::object();
  for (const GgufMetadataEntry &entry : model.metadata().entries())
    json["metadata"][std::string(entry.key)] = valueForJson(entry.value);
  json["tensors"] = Json::array();
  for (const GgufTensor &tensor : model.tensors())
    json["tensors"].push_back(tensorForJson(tensor));
  Totals totals = sumUp(model);
  json["totals"] = totalForJson(totals.all);
  json["totals"]["types"] = Json::object();
  for (const auto &[type, total] : totals.types)
    json["totals"]["types"][type] = totalForJson(total);
  return json.dump(2, ' ', false, Json::error_handler_t::replace);
}

} // namespace ktc
