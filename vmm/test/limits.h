/*
 * The limits of a case, in time in which the host let the guest's CPUs run (cpu_time.h).
 *
 * A limit has passed when the CPUs could run for that long. On a host that is so busy that three
 * times as long has passed on the clock before, the case is starved: the host decided it, not the
 * guest. 0 is no limit.
 */
#ifndef TEST_LIMITS_H
#define TEST_LIMITS_H

#include "vmm/test/cpu_time.h"
#include "vmm/test/verdict.h"

#define LIMITS_TICK_MS	100
#define LIMITS_PATIENCE 3 /* how many times a limit may pass on the clock */

struct test_limits {
	uint64_t boot, idle, whole; /* ns; 0: none. The idle one counts when the guest has booted */
	struct cpu_clock clock;
	uint64_t signs; /* of life, as of the last tick */
	bool booted;	/* set by the owner: init spoke */
};

/*
 * Limits in seconds; 0: none. `threads`, of the guest's CPUs, is the caller's and zero.
 */
void test_limits_init(struct test_limits *l, unsigned boot, unsigned idle, unsigned whole,
		      struct cpu_clock_thread *threads, unsigned nr_threads);
/*
 * Called at each tick, with a sample of the vCPUs' times and a count that grows whenever the guest
 * does anything. Returns the limit that has passed, VERDICT_STARVED, or VERDICTS: none has.
 */
enum verdict test_limits_tick(struct test_limits *l, const struct cpu_sample *sample,
			      uint64_t signs);

#endif
