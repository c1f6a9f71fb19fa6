/* Time that only goes on, for durations: CLOCK_MONOTONIC. */
#ifndef HOST_CLOCK_H
#define HOST_CLOCK_H

#include <stdint.h>
#include <time.h>

/* Nanoseconds since some point in the past. */
static inline uint64_t host_clock_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* Seconds from an earlier host_clock_ns() to now. */
static inline double host_clock_since(uint64_t then)
{
	return (double)(host_clock_ns() - then) / 1e9;
}

#endif
