// Round trip of the element types of weights: one case per block format that kernels exist for.
// RUN: ktc-opt %s | ktc-opt | FileCheck %s

// CHECK-LABEL: func.func private @block_formats(
// CHECK-SAME:    tensor<2x32x!kt.q4_0>, tensor<2x32x!kt.q4_1>, tensor<2x32x!kt.q5_0>, tensor<2x32x!kt.q5_1>,
// CHECK-SAME:    tensor<2x32x!kt.q8_0>, tensor<2x32x!kt.iq4_nl>, tensor<2x32x!kt.mxfp4>)
func.func private @block_formats(
    tensor<2x32x!kt.q4_0>, tensor<2x32x!kt.q4_1>, tensor<2x32x!kt.q5_0>, tensor<2x32x!kt.q5_1>,
    tensor<2x32x!kt.q8_0>, tensor<2x32x!kt.iq4_nl>, tensor<2x32x!kt.mxfp4>)

// CHECK-LABEL: func.func private @superblock_formats(
// CHECK-SAME:    tensor<2x256x!kt.q2_k>, tensor<2x256x!kt.q3_k>, tensor<2x256x!kt.q4_k>, tensor<2x256x!kt.q5_k>,
// CHECK-SAME:    tensor<2x256x!kt.q6_k>, tensor<2x256x!kt.iq4_xs>)
func.func private @superblock_formats(
    tensor<2x256x!kt.q2_k>, tensor<2x256x!kt.q3_k>, tensor<2x256x!kt.q4_k>, tensor<2x256x!kt.q5_k>,
    tensor<2x256x!kt.q6_k>, tensor<2x256x!kt.iq4_xs>)

// An element type stands on its own, too.
// CHECK-LABEL: func.func private @alone(
// CHECK-SAME:    !kt.q4_k)
func.func private @alone(!kt.q4_k)
