// The kt dialect: parsing, printing and verifying element types; sizes of weights.
#include "dialects/model/Kt.h"

#include "mlir/IR/DialectImplementation.h"
#include "runtime/abi/kt_types.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;

#include "KtDialect.cpp.inc"

#define GET_TYPEDEF_CLASSES
#include "KtTypes.cpp.inc"

namespace ktc::quant {

void KtDialect::initialize() { registerTypes(); }

void KtDialect::registerTypes() {
  addTypes<
#define GET_TYPEDEF_LIST
#include "KtTypes.cpp.inc"
      >();
}

// Ids of the block formats in the order of the table in kt_types.h.
static constexpr uint32_t blockTypeIds[] = {
#define KT_ID(suffix, id, name, elements, bytes) id,
    KT_FOR_EACH_TYPE(KT_ID)
#undef KT_ID
};

LogicalResult BlockType::verify(llvm::function_ref<InFlightDiagnostic()> emitError, uint32_t id) {
  const KtTypeInfo *info = ktTypeInfo(id);
  if (!info || !info->supported || info->blockElements == 1)
    return emitError() << "GGUF type id " << id << " is not a block-quantised format";
  return success();
}

Type KtDialect::parseType(DialectAsmParser &parser) const {
  StringRef name;
  SMLoc loc = parser.getCurrentLocation();
  if (parser.parseKeyword(&name))
    return {};
  for (uint32_t id : blockTypeIds) {
    const KtTypeInfo *info = ktTypeInfo(id);
    if (info->blockElements > 1 && name == info->name) {
      if (succeeded(parser.parseOptionalLess())) {
        parser.emitError(loc) << "!kt." << name << " takes no parameters";
        return {};
      }
      return BlockType::get(getContext(), id);
    }
  }
  parser.emitError(loc) << "unknown element type !kt." << name;
  return {};
}

void KtDialect::printType(Type type, DialectAsmPrinter &printer) const {
  printer << ktTypeInfo(cast<BlockType>(type).getId())->name;
}

Type elementTypeFor(MLIRContext *context, uint32_t id) {
  const KtTypeInfo *info = ktTypeInfo(id);
  if (!info || !info->supported)
    return {};
  if (id == KT_TYPE_F32)
    return Float32Type::get(context);
  if (id == KT_TYPE_F16)
    return Float16Type::get(context);
  if (id == KT_TYPE_BF16)
    return BFloat16Type::get(context);
  return BlockType::get(context, id);
}

bool isWeightElementType(Type type) {
  return type.isF32() || type.isF16() || type.isBF16() || isa<BlockType>(type);
}

uint32_t typeIdOf(Type type) {
  if (type.isF32())
    return KT_TYPE_F32;
  if (type.isF16())
    return KT_TYPE_F16;
  if (type.isBF16())
    return KT_TYPE_BF16;
  return cast<BlockType>(type).getId();
}

uint64_t rowBytes(RankedTensorType type) {
  const KtTypeInfo *info = ktTypeInfo(typeIdOf(type.getElementType()));
  return static_cast<uint64_t>(type.getShape().back()) / info->blockElements * info->blockBytes;
}

uint64_t tensorBytes(RankedTensorType type) {
  uint64_t rows = 1;
  for (int64_t dim : type.getShape().drop_back())
    rows *= static_cast<uint64_t>(dim);
  return rows * rowBytes(type);
}

} // namespace ktc::quant
