// Threads that start together, for timing.
#pragma once

#include <cstdint>
#include <functional>

namespace ktc::timing {

// Seconds of the fastest of many rounds (for about `budget` seconds in all, at least three). In a round every
// thread t runs work(t, round); a round begins with a spinning start and ends when the last thread is done.
// Thread t is bound to the t-th CPU that the process may use, if there is one; the
// caller is thread 0.
double fastestRound(int64_t threads, double budget, const std::function<void(int64_t, int64_t)> &work);

// Cycles per second of the calling thread's core, from a chain of dependent multiplications.
double coreFrequency();

} // namespace ktc::timing
