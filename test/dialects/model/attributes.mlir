// Round trip of the attributes of the model dialect. Defaults are not printed.
// RUN: ktc-opt %s | ktc-opt | FileCheck %s

// CHECK-LABEL: func.func private @rope_plain
// CHECK-SAME:    #model.rope<style = "norm", dims = 64, base = 10000.0>
func.func private @rope_plain() attributes {rope = #model.rope<style = "norm", dims = 64, base = 10000.0>}

// CHECK-LABEL: func.func private @rope_defaults
// CHECK-SAME:    #model.rope<style = "neox", dims = 2, base = 10000.0>
func.func private @rope_defaults() attributes {
  rope = #model.rope<style = "neox", dims = 2, base = 1.0e4, scaling = "none", factor = 1.0, original_context = 0,
                     beta_fast = 32.0, beta_slow = 1.0, magnitude = 1.0>}

// CHECK-LABEL: func.func private @rope_linear
// CHECK-SAME:    #model.rope<style = "neox", dims = 128, base = 1000000.0, scaling = "linear", factor = 4.0>
func.func private @rope_linear() attributes {
  rope = #model.rope<style = "neox", dims = 128, base = 1.0e6, scaling = "linear", factor = 4.0>}

// CHECK-LABEL: func.func private @rope_yarn
// CHECK-SAME:    #model.rope<style = "norm", dims = 64, base = 10000.0, scaling = "yarn", factor = 40.0, original_context = 4096, beta_fast = 16.0, beta_slow = 2.0, magnitude = 1.5>
func.func private @rope_yarn() attributes {
  rope = #model.rope<style = "norm", dims = 64, base = 1.0e4, scaling = "yarn", factor = 40.0,
                     original_context = 4096, beta_fast = 16.0, beta_slow = 2.0, magnitude = 1.5>}

// CHECK-LABEL: func.func private @rope_yarn_exact
// CHECK-SAME:    original_context = 4096, whole_pairs = false>
func.func private @rope_yarn_exact() attributes {
  rope = #model.rope<style = "neox", dims = 64, base = 1.5e5, scaling = "yarn", factor = 32.0,
                     original_context = 4096, whole_pairs = false>}

// CHECK-LABEL: func.func private @rope_freq_factors
// CHECK-SAME:    #model.rope<style = "norm", dims = 64, base = 10000.0, freq_factors = @rope_freqs.weight>
func.func private @rope_freq_factors() attributes {
  rope = #model.rope<style = "norm", dims = 64, base = 1.0e4, freq_factors = @rope_freqs.weight>}

// Reals keep every bit: 17 significant digits, and an exponent where %g writes one (with the point that the lexer needs).
// CHECK-LABEL: func.func private @rope_reals
// CHECK-SAME:    base = 1.0e+20, scaling = "linear", factor = 0.10000000000000001, magnitude = 1.3689e-07>
func.func private @rope_reals() attributes {
  rope = #model.rope<style = "norm", dims = 64, base = 1.0e20, scaling = "linear", factor = 0.1,
                     magnitude = 1.3689e-7>}

// CHECK-LABEL: func.func private @placement
// CHECK-SAME:    #model.placement<device = "cuda:0", prefill = "cpu", rule = "deepseek.yaml:12">
func.func private @placement() attributes {
  placement = #model.placement<device = "cuda:0", prefill = "cpu", rule = "deepseek.yaml:12">}
