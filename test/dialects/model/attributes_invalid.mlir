// Every check of #model.rope, and what the parsers of both attributes refuse.
// RUN: ktc-opt %s -split-input-file -verify-diagnostics

// expected-error @+1 {{rope style must be "norm" or "neox", found "glm"}}
func.func private @style() attributes {rope = #model.rope<style = "glm", dims = 64, base = 1.0e4>}

// -----

// expected-error @+1 {{rope dims must be even and positive, found 0}}
func.func private @no_dims() attributes {rope = #model.rope<style = "norm", dims = 0, base = 1.0e4>}

// -----

// expected-error @+1 {{rope dims must be even and positive, found -2}}
func.func private @negative_dims() attributes {rope = #model.rope<style = "norm", dims = -2, base = 1.0e4>}

// -----

// expected-error @+1 {{rope dims must be even and positive, found 63}}
func.func private @odd_dims() attributes {rope = #model.rope<style = "norm", dims = 63, base = 1.0e4>}

// -----

// expected-error @+1 {{rope base, factor and magnitude must be positive}}
func.func private @base() attributes {rope = #model.rope<style = "norm", dims = 64, base = 0.0>}

// -----

// expected-error @+1 {{rope base, factor and magnitude must be positive}}
func.func private @factor() attributes {rope = #model.rope<style = "norm", dims = 64, base = 1.0e4, factor = 0.0>}

// -----

// expected-error @+1 {{rope base, factor and magnitude must be positive}}
func.func private @magnitude() attributes {rope = #model.rope<style = "norm", dims = 64, base = 1.0e4, magnitude = -1.0>}

// -----

// expected-error @+1 {{rope scaling must be "none", "linear" or "yarn", found "longrope"}}
func.func private @scaling() attributes {rope = #model.rope<style = "norm", dims = 64, base = 1.0e4, scaling = "longrope">}

// -----

// expected-error @+1 {{yarn needs original_context > 0 and beta_fast >= beta_slow > 0}}
func.func private @yarn_context() attributes {rope = #model.rope<style = "norm", dims = 64, base = 1.0e4, scaling = "yarn", factor = 4.0>}

// -----

// expected-error @+2 {{yarn needs original_context > 0 and beta_fast >= beta_slow > 0}}
func.func private @yarn_beta_order() attributes {
  rope = #model.rope<style = "norm", dims = 64, base = 1.0e4, scaling = "yarn", original_context = 4096,
                     beta_fast = 1.0, beta_slow = 2.0>}

// -----

// expected-error @+2 {{yarn needs original_context > 0 and beta_fast >= beta_slow > 0}}
func.func private @yarn_beta_slow() attributes {
  rope = #model.rope<style = "norm", dims = 64, base = 1.0e4, scaling = "yarn", original_context = 4096,
                     beta_slow = 0.0>}

// -----

// expected-error @+1 {{struct is missing required parameter: base}}
func.func private @no_base() attributes {rope = #model.rope<style = "norm", dims = 64>}

// -----

// A real is written with a point.
// expected-error @+3 {{unexpected decimal integer literal for a floating point value}}
// expected-note @+2 {{add a trailing dot to make the literal a float}}
// expected-error @+1 {{failed to parse Model_RopeAttr parameter 'base'}}
func.func private @integer_base() attributes {rope = #model.rope<style = "norm", dims = 64, base = 10000>}

// -----

// Without optional parameters the list has a fixed length.
// expected-error @+1 {{expected ','}}
func.func private @no_rule() attributes {placement = #model.placement<device = "cpu", prefill = "cpu">}

// -----

// expected-error @+1 {{duplicate or unknown struct parameter name: gpu}}
func.func private @unknown_parameter() attributes {placement = #model.placement<gpu = "cuda:0">}
