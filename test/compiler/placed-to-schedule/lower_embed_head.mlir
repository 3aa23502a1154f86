// Lowering of the ends of the network, and what the entries look like: decode entries do all, `prefill` the body, `head` the rest.
// RUN: ktc-opt %s -sched-lower-entries="decode=1,3 chunk=4 head-rows=2 context=16" | FileCheck %s
// RUN: ktc-opt %s -sched-lower-entries | FileCheck %s --check-prefix=DEFAULT
// RUN: ktc-opt %s -sched-lower-entries="decode=32 chunk=8 head-rows=2" | FileCheck %s --check-prefix=LARGE

// The token count of a decode entry is known, that of prefill and head is a capacity. Only the head's norm starts at a given row.
// CHECK: sched.kernel @[[EMBED_1:embed.[0-9]+]] "embed" {dynamic = 0 : i64, format = "q8_0", k = 32 : i64, m = 1 : i64, vocab = 64 : i64, y_stride = 32 : i64}
// CHECK: sched.kernel @[[NORM_1:rms_norm.[0-9]+]] "rms_norm" {dynamic = 0 : i64, eps = 1.500000e-05 : f64, k = 32 : i64, m = 1 : i64, row_offset = 0 : i64, rows = 1 : i64, x_row_stride = 32 : i64, x_stride = 32 : i64, y_row_stride = 32 : i64, y_stride = 32 : i64}
// CHECK: sched.kernel @[[HEAD_1:linear.[0-9]+]] "linear" {batch = 1 : i64, bias = 0 : i64, dynamic = 0 : i64, format = "f16", k = 32 : i64, m = 1 : i64, n = 64 : i64, prefetch = 1 : i64, x_batch_stride = 0 : i64, x_stride = 32 : i64, y_batch_stride = 0 : i64, y_stride = 64 : i64}
// CHECK: sched.kernel @[[EMBED_3:embed.[0-9]+]] "embed" {dynamic = 0 : i64, {{.*}}m = 3 : i64
// CHECK: sched.kernel @[[NORM_3:rms_norm.[0-9]+]] "rms_norm" {dynamic = 0 : i64, {{.*}}m = 3 : i64, row_offset = 0 : i64
// CHECK: sched.kernel @[[HEAD_3:linear.[0-9]+]] "linear" {{{.*}}dynamic = 0 : i64, {{.*}}m = 3 : i64
// CHECK: sched.kernel @[[EMBED_4:embed.[0-9]+]] "embed" {dynamic = 1 : i64, {{.*}}m = 4 : i64
// CHECK: sched.kernel @[[NORM_2:rms_norm.[0-9]+]] "rms_norm" {dynamic = 1 : i64, {{.*}}m = 2 : i64, row_offset = 1 : i64
// CHECK: sched.kernel @[[HEAD_2:linear.[0-9]+]] "linear" {{{.*}}dynamic = 1 : i64, {{.*}}m = 2 : i64

model.weight @token_embd.weight : tensor<64x32x!kt.q8_0> {file = 0 : i32, offset = 0 : i64, bytes = 2176 : i64}
model.weight @output_norm.weight : tensor<32xf32> {file = 0 : i32, offset = 0 : i64, bytes = 128 : i64}
model.weight @output.weight : tensor<64x32xf16> {file = 0 : i32, offset = 0 : i64, bytes = 4096 : i64}

// The functions are gone.
// CHECK-NOT: func.func
func.func @body(%tokens: tensor<?xi32>, %positions: tensor<?xi32>) -> tensor<?x32xf32> {
  %x = model.embed %tokens {path = "model.embed_tokens", weight = @token_embd.weight} : (tensor<?xi32>) -> tensor<?x32xf32>
  return %x : tensor<?x32xf32>
}
func.func @head(%x: tensor<?x32xf32>) -> tensor<?x64xf32> {
  %n = model.rms_norm %x {path = "model.norm", weight = @output_norm.weight, eps = 1.5e-5 : f64} : (tensor<?x32xf32>) -> tensor<?x32xf32>
  %l = model.lm_head %n {path = "lm_head", weight = @output.weight} : (tensor<?x32xf32>) -> tensor<?x64xf32>
  return %l : tensor<?x64xf32>
}

// CHECK: sched.device @cpu "cpu" budget 0
// CHECK: sched.lane @cpu.team on @cpu
// CHECK: sched.arena @act "activation" on @cpu bytes 0
// CHECK: sched.arena @kv "kv_cache" on @cpu bytes 0
// io: 4 tokens and 4 positions of 4 bytes (64 each, rounded up), 4 hidden rows of 32 floats, 3 rows of 64 logits.
// CHECK: sched.arena @io "io" on @cpu bytes 1408

// CHECK-LABEL: sched.entry @decode_1 capacity 1 {
// CHECK: %[[TOKENS:.*]] = sched.fixed @io at 0 bytes 4 {role = "tokens"}
// CHECK: sched.fixed @io at 64 bytes 4 {role = "positions"}
// CHECK: %[[LOGITS:.*]] = sched.fixed @io at 640 bytes 256 {role = "logits"}
// CHECK: %[[X:.*]] = sched.alloc @act bytes 128 {name = "residual"}
// One row of 34 bytes of the embedding is read per token.
// CHECK: %[[W:.*]] = sched.weight @token_embd.weight
// CHECK: sched.dispatch @[[EMBED_1]] on @cpu.team(%[[TOKENS]], %[[W]], %[[X]]) writes [2] units 0 per_token 1 {bytes_read = 34 : i64, path = "model.embed_tokens"}
// CHECK: %[[N:.*]] = sched.alloc @act bytes 128 {name = "norm"}
// CHECK: %[[W:.*]] = sched.weight @output_norm.weight
// CHECK: %[[NONE:.*]] = sched.none
// CHECK: sched.dispatch @[[NORM_1]] on @cpu.team(%[[X]], %[[W]], %[[N]], %[[NONE]]) writes [2] units 0 per_token 1 {bytes_read = 128 : i64, path = "model.norm"}
// The logits are written where they are read.
// CHECK: %[[W:.*]] = sched.weight @output.weight
// CHECK: %[[NONE:.*]] = sched.none
// CHECK: sched.dispatch @[[HEAD_1]] on @cpu.team(%[[N]], %[[W]], %[[LOGITS]], %[[NONE]]) writes [2] units 16 per_token 0 {bytes_read = 4096 : i64, path = "lm_head"}
// CHECK-NEXT: }

// CHECK-LABEL: sched.entry @decode_3 capacity 3 {
// CHECK: sched.fixed @io at 0 bytes 12 {role = "tokens"}
// CHECK: sched.fixed @io at 640 bytes 768 {role = "logits"}
// CHECK: sched.dispatch @[[EMBED_3]] {{.*}} {bytes_read = 102 : i64, path = "model.embed_tokens"}
// CHECK: sched.dispatch @[[NORM_3]]
// CHECK: sched.dispatch @[[HEAD_3]]

// A chunk ends with its hidden rows in io,
// CHECK-LABEL: sched.entry @prefill capacity 4 dynamic {
// CHECK-NOT: role = "logits"
// CHECK: %[[X:.*]] = sched.alloc @act bytes 512 {name = "residual"}
// CHECK: sched.dispatch @[[EMBED_4]]
// CHECK: %[[HIDDEN:.*]] = sched.fixed @io at 128 bytes 512 {role = "hidden"}
// CHECK: sched.copy %[[X]] to %[[HIDDEN]] on @cpu.team bytes 0 per_token 128
// CHECK-NEXT: }

// where the head finds them: it sees all rows of the chunk, and its norm starts at the row that is asked for.
// CHECK-LABEL: sched.entry @head capacity 2 dynamic {
// CHECK-NOT: role = "tokens"
// CHECK: %[[LOGITS:.*]] = sched.fixed @io at 640 bytes 512 {role = "logits"}
// CHECK: %[[HIDDEN:.*]] = sched.fixed @io at 128 bytes 512 {role = "hidden"}
// CHECK: %[[N:.*]] = sched.alloc @act bytes 256 {name = "norm"}
// CHECK: sched.dispatch @[[NORM_2]] on @cpu.team(%[[HIDDEN]], %{{.*}}, %[[N]], %{{.*}}) writes [2]
// CHECK: sched.dispatch @[[HEAD_2]] on @cpu.team(%[[N]], %{{.*}}, %[[LOGITS]], %{{.*}}) writes [2] {{.*}}path = "lm_head"}
// CHECK-NEXT: }

// DEFAULT: sched.entry @decode_1 capacity 1 {
// DEFAULT: sched.entry @decode_2 capacity 2 {
// DEFAULT: sched.entry @decode_4 capacity 4 {
// DEFAULT: sched.entry @decode_8 capacity 8 {
// DEFAULT: sched.entry @decode_16 capacity 16 {
// DEFAULT: sched.entry @prefill capacity 2048 dynamic {
// DEFAULT: sched.entry @head capacity 16 dynamic {
// DEFAULT-NOT: sched.entry

// The inputs and the logits are as large as the largest entry needs: 32 tokens of 4 bytes twice, 8 hidden rows of 128 bytes, 32
// rows of 256 bytes of logits.
// LARGE: sched.arena @io "io" on @cpu bytes 9472
// LARGE-LABEL: sched.entry @decode_32
// LARGE: sched.fixed @io at 128 bytes 128 {role = "positions"}
// LARGE: sched.fixed @io at 1280 bytes 8192 {role = "logits"}
