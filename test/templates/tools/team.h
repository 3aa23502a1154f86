// Threads that start together, for timing.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

namespace ktc::timing {

// Seconds that the slowest thread ran in every round but the first (time in which others have its core does not
// count), of at least `atLeast` rounds and for about `budget` seconds in all. In
// a round every thread t runs work(t, round), rounds counting from 0; a round begins with a spinning start and
// ends when the last thread is done. The first one meets cold caches and threads that are still starting.
// Thread t is bound to the t-th CPU that the process may use, if there is one; the caller is thread 0.
std::vector<double> roundTimes(int64_t threads, int64_t atLeast, double budget,
                               const std::function<void(int64_t, int64_t)> &work);

} // namespace ktc::timing
