// The catalogue of kt-kernel --listing: one kernel of every kind, so that a change of any generator's code
// shows.
#pragma once

#include "templates/x64/x64.h"

#include <cstdio>

namespace ktc::listing {

// Prints every kernel of the catalogue for one ISA: a line
//   NAME code=BYTES constants=BYTES scratch=BYTES hash=HEX
// (the FNV-1a hash covers code and constants) and then the code as lines of `0x..` bytes. Returns false, with a
// message on stderr, when a kernel cannot be generated.
bool print(x64::Isa isa, std::FILE *out);

} // namespace ktc::listing
