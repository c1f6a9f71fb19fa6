/* Monotonic time in milliseconds: deadlines of waits. */
#ifndef INIT_CLOCK_H
#define INIT_CLOCK_H

#include <poll.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

static inline uint64_t clock_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static inline uint64_t clock_ms(void)
{
	return clock_ns() / 1000000;
}

/* What is left until then, for poll(2); 0: it has passed. */
static inline int clock_left(uint64_t deadline)
{
	uint64_t now = clock_ms();

	return now < deadline ? (int)(deadline - now) : 0;
}

static inline void clock_sleep(int ms)
{
	(void)poll(NULL, 0, ms);
}

#endif
