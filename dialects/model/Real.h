// Real: a double as attribute parameter. MLIR parameters must hash, compare, parse and print, which double does
// not.
#pragma once

#include "mlir/IR/DialectImplementation.h"

namespace ktc::model {

struct Real {
  double value = 0;

  Real() = default;
  Real(double value) : value(value) {}
  operator double() const { return value; }
};

inline bool operator==(Real a, Real b) { return a.value == b.value; }

inline llvm::hash_code hash_value(Real real) {
  uint64_t bits;
  memcpy(&bits, &real.value, sizeof bits);
  return llvm::hash_value(bits);
}

// Prints with 17 significant digits, so that the text form loses nothing. MLIR's lexer wants a point before an
// exponent.
inline mlir::AsmPrinter &operator<<(mlir::AsmPrinter &printer, Real real) {
  char text[32];
  snprintf(text, sizeof text, "%.17g", real.value);
  auto [mantissa, exponent] = llvm::StringRef(text).split('e');
  printer << mantissa;
  if (!mantissa.contains('.'))
    printer << ".0";
  if (!exponent.empty())
    printer << "e" << exponent;
  return printer;
}

} // namespace ktc::model

template <> struct mlir::FieldParser<ktc::model::Real> {
  static FailureOr<ktc::model::Real> parse(AsmParser &parser) {
    double value;
    if (parser.parseFloat(value))
      return failure();
    return ktc::model::Real(value);
  }
};
