// Names that are not block formats of the kernels.
// RUN: ktc-opt %s -split-input-file -verify-diagnostics

// expected-error @+1 {{unknown element type !kt.q9_k}}
func.func private @unknown(!kt.q9_k)

// -----

// In the file format, but without kernels.
// expected-error @+1 {{unknown element type !kt.iq2_xxs}}
func.func private @without_kernels(!kt.iq2_xxs)

// -----

// Unquantised elements have builtin types.
// expected-error @+1 {{unknown element type !kt.f16}}
func.func private @builtin(!kt.f16)

// -----

// expected-error @+1 {{expected valid keyword}}
func.func private @no_name(!kt<"">)

// -----

// The name is all there is.
// expected-error @+1 {{!kt.q4_k takes no parameters}}
func.func private @parameter(!kt.q4_k<12>)
