// Options that sched-lower-entries refuses.
// RUN: not ktc-opt %s -sched-lower-entries="decode=1,0" 2>&1 | FileCheck %s --check-prefix=POSITIVE
// RUN: not ktc-opt %s -sched-lower-entries="chunk=-1" 2>&1 | FileCheck %s --check-prefix=POSITIVE
// RUN: not ktc-opt %s -sched-lower-entries="head-rows=-1" 2>&1 | FileCheck %s --check-prefix=POSITIVE
// RUN: not ktc-opt %s -sched-lower-entries="context=0" 2>&1 | FileCheck %s --check-prefix=POSITIVE
// RUN: not ktc-opt %s -sched-lower-entries="chunk=15 parts=2" 2>&1 | FileCheck %s --check-prefix=PARTS
// RUN: not ktc-opt %s -sched-lower-entries="kv-type=q4_0" 2>&1 | FileCheck %s --check-prefix=KV-TYPE

// POSITIVE: error: decode sizes, chunk, head-rows and context must be positive
// PARTS: error: a chunk of 15 tokens does not fall into 2 parts
// KV-TYPE: error: kv-type must be f16, bf16, f32 or q8_0, found q4_0

model.weight @embd : tensor<64x32xf32> {file = 0 : i32, offset = 0 : i64, bytes = 8192 : i64}
func.func @body(%tokens: tensor<?xi32>, %positions: tensor<?xi32>) -> tensor<?x32xf32> {
  %x = model.embed %tokens {path = "e", weight = @embd} : (tensor<?xi32>) -> tensor<?x32xf32>
  return %x : tensor<?x32xf32>
}
func.func @head(%x: tensor<?x32xf32>) -> tensor<?x64xf32> {
  %l = model.lm_head %x {path = "lm_head", weight = @embd} : (tensor<?x32xf32>) -> tensor<?x64xf32>
  return %l : tensor<?x64xf32>
}
