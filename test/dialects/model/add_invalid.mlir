// Operands and result of model.add have one type, that of an activation.
// RUN: ktc-opt %s -split-input-file -verify-diagnostics

func.func @widths(%x: tensor<?x32xf32>, %y: tensor<?x64xf32>) {
  // expected-error @+1 {{'model.add' op requires the same type for all operands and results}}
  %z = "model.add"(%x, %y) {path = "a"} : (tensor<?x32xf32>, tensor<?x64xf32>) -> tensor<?x32xf32>
  return
}

// -----

func.func @element(%x: tensor<?x32xf16>) {
  // expected-error @+1 {{'model.add' op operand #0 must be tensor<?xNxf32>, but got 'tensor<?x32xf16>'}}
  %z = model.add %x, %x {path = "a"} : tensor<?x32xf16>
  return
}
