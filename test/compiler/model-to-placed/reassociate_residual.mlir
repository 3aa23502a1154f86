// model-reassociate-residual: x + (a + b) becomes (x + a) + b, so that each branch can join the residual stream by itself.
// RUN: ktc-opt %s -model-reassociate-residual | FileCheck %s

// CHECK-LABEL: func.func @two_branches
// CHECK-SAME:    (%[[X:.*]]: tensor<?x8xf32>, %[[A:.*]]: tensor<?x8xf32>, %[[B:.*]]: tensor<?x8xf32>)
func.func @two_branches(%x: tensor<?x8xf32>, %a: tensor<?x8xf32>, %b: tensor<?x8xf32>) -> tensor<?x8xf32> {
  // The sums take the path of the outer one.
  // CHECK-NEXT: %[[XA:.*]] = model.add %[[X]], %[[A]] {path = "outer"}
  // CHECK-NEXT: %[[XAB:.*]] = model.add %[[XA]], %[[B]] {path = "outer"}
  // CHECK-NEXT: return %[[XAB]]
  %ab = model.add %a, %b {path = "inner"} : tensor<?x8xf32>
  %y = model.add %x, %ab {path = "outer"} : tensor<?x8xf32>
  return %y : tensor<?x8xf32>
}

// A chain of branches is unrolled to its end: x + (a + (b + c)).
// CHECK-LABEL: func.func @three_branches
// CHECK-SAME:    (%[[X:.*]]: tensor<?x8xf32>, %[[A:.*]]: tensor<?x8xf32>, %[[B:.*]]: tensor<?x8xf32>, %[[C:.*]]: tensor<?x8xf32>)
func.func @three_branches(%x: tensor<?x8xf32>, %a: tensor<?x8xf32>, %b: tensor<?x8xf32>, %c: tensor<?x8xf32>)
    -> tensor<?x8xf32> {
  // CHECK-NEXT: %[[XA:.*]] = model.add %[[X]], %[[A]]
  // CHECK-NEXT: %[[XAB:.*]] = model.add %[[XA]], %[[B]]
  // CHECK-NEXT: %[[XABC:.*]] = model.add %[[XAB]], %[[C]]
  // CHECK-NEXT: return %[[XABC]]
  %bc = model.add %b, %c {path = "p"} : tensor<?x8xf32>
  %abc = model.add %a, %bc {path = "p"} : tensor<?x8xf32>
  %y = model.add %x, %abc {path = "p"} : tensor<?x8xf32>
  return %y : tensor<?x8xf32>
}

// The placement of the outer sum holds for both.
// CHECK-LABEL: func.func @placed
func.func @placed(%x: tensor<?x8xf32>, %a: tensor<?x8xf32>, %b: tensor<?x8xf32>) -> tensor<?x8xf32> {
  // CHECK-NEXT: model.add {{.*}}placement = #model.placement<device = "cpu", prefill = "cpu", rule = "cpu">
  // CHECK-NEXT: model.add {{.*}}placement = #model.placement<device = "cpu", prefill = "cpu", rule = "cpu">
  %ab = model.add %a, %b {path = "p"} : tensor<?x8xf32>
  %y = model.add %x, %ab {path = "p", placement = #model.placement<device = "cpu", prefill = "cpu", rule = "cpu">}
    : tensor<?x8xf32>
  return %y : tensor<?x8xf32>
}

// Something else reads a + b: it stays.
// CHECK-LABEL: func.func @branch_read_twice
// CHECK-SAME:    (%[[X:.*]]: tensor<?x8xf32>, %[[A:.*]]: tensor<?x8xf32>, %[[B:.*]]: tensor<?x8xf32>)
func.func @branch_read_twice(%x: tensor<?x8xf32>, %a: tensor<?x8xf32>, %b: tensor<?x8xf32>)
    -> (tensor<?x8xf32>, tensor<?x8xf32>) {
  // CHECK-NEXT: %[[AB:.*]] = model.add %[[A]], %[[B]]
  // CHECK-NEXT: %[[Y:.*]] = model.add %[[X]], %[[AB]]
  // CHECK-NEXT: return %[[Y]], %[[AB]]
  %ab = model.add %a, %b {path = "p"} : tensor<?x8xf32>
  %y = model.add %x, %ab {path = "p"} : tensor<?x8xf32>
  return %y, %ab : tensor<?x8xf32>, tensor<?x8xf32>
}

// (x + a) + b is already as wanted.
// CHECK-LABEL: func.func @left_associated
// CHECK-SAME:    (%[[X:.*]]: tensor<?x8xf32>, %[[A:.*]]: tensor<?x8xf32>, %[[B:.*]]: tensor<?x8xf32>)
func.func @left_associated(%x: tensor<?x8xf32>, %a: tensor<?x8xf32>, %b: tensor<?x8xf32>) -> tensor<?x8xf32> {
  // CHECK-NEXT: %[[XA:.*]] = model.add %[[X]], %[[A]] {path = "inner"}
  // CHECK-NEXT: %[[Y:.*]] = model.add %[[XA]], %[[B]] {path = "outer"}
  // CHECK-NEXT: return %[[Y]]
  %xa = model.add %x, %a {path = "inner"} : tensor<?x8xf32>
  %y = model.add %xa, %b {path = "outer"} : tensor<?x8xf32>
  return %y : tensor<?x8xf32>
}
