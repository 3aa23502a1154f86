// What the policy says about a module: warnings become remarks, an error ends the pass and changes nothing.
// RUN: ktc-opt %s -model-apply-policy="rules=%S/inputs/no-match.yaml machine=%S/inputs/one-gpu.yaml" 2>&1 | FileCheck %s --check-prefix=UNUSED
// RUN: not ktc-opt %s -model-apply-policy="rules=%S/inputs/unknown-op.yaml machine=%S/inputs/one-gpu.yaml" 2>&1 | FileCheck %s --check-prefix=RULES
// RUN: not ktc-opt %s -model-apply-policy="rules=%S/inputs/small-budget.yaml machine=%S/inputs/one-gpu.yaml" 2>&1 | FileCheck %s --check-prefix=BUDGET
// RUN: not ktc-opt %s -model-apply-policy="rules=%S/inputs/missing.yaml machine=%S/inputs/one-gpu.yaml" 2>&1 | FileCheck %s --check-prefix=NO-RULES
// RUN: not ktc-opt %s -model-apply-policy="machine=%S/inputs/missing.yaml" 2>&1 | FileCheck %s --check-prefix=NO-MACHINE

// UNUSED: remark: {{.*}}no-match.yaml:3:5: warning: this rule matches nothing in this model
// UNUSED: model.rms_norm {{.*}}rule = "no-match.yaml:5"

// RULES: error: {{.*}}unknown-op.yaml:3:17: error: unknown op 'expert'; did you mean 'experts'?
// RULES-NOT: #model.placement

// BUDGET: error: {{.*}}small-budget.yaml:2:15: error: the budget of cpu is exceeded: 2.00 KiB of 1.00 KiB; largest first: model.norm 2.00 KiB
// BUDGET-NOT: #model.placement

// NO-RULES: error: {{.*}}missing.yaml: error: cannot read the file
// NO-MACHINE: error: {{.*}}missing.yaml: error: cannot read the file

model.weight @w : tensor<512xf32> {file = 0 : i32, offset = 0 : i64, bytes = 2048 : i64}

func.func @body(%x: tensor<?x512xf32>) -> tensor<?x512xf32> {
  %y = model.rms_norm %x {path = "model.norm", weight = @w, eps = 1.0e-6 : f64} : (tensor<?x512xf32>) -> tensor<?x512xf32>
  return %y : tensor<?x512xf32>
}
