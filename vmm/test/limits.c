#include "vmm/test/limits.h"

#define NS UINT64_C(1000000000)

void test_limits_init(struct test_limits *l, unsigned boot, unsigned idle, unsigned whole,
		      struct cpu_clock_thread *threads, unsigned nr_threads)
{
	*l = (struct test_limits){ .boot = boot * NS, .idle = idle * NS, .whole = whole * NS };
	cpu_clock_init(&l->clock, LIMITS_TICK_MS * UINT64_C(1000000), threads, nr_threads);
}

/* Whether a limit has passed: by itself, as starved, or (VERDICTS) not. */
static enum verdict limit_passed(uint64_t limit, uint64_t ran, uint64_t elapsed,
				 enum verdict verdict)
{
	if (!limit)
		return VERDICTS;
	if (ran >= limit)
		return verdict;
	return elapsed >= LIMITS_PATIENCE * limit ? VERDICT_STARVED : VERDICTS;
}

enum verdict test_limits_tick(struct test_limits *l, const struct cpu_sample *sample,
			      uint64_t signs)
{
	const struct cpu_clock *c = &l->clock;
	enum verdict v;

	cpu_clock_sample(&l->clock, sample);
	if (signs != l->signs)
		cpu_clock_progress(&l->clock);
	l->signs = signs;
	v = limit_passed(l->whole, cpu_clock_ran(c), c->elapsed, VERDICT_LIMIT);
	if (v == VERDICTS && !l->booted)
		v = limit_passed(l->boot, cpu_clock_ran(c), c->elapsed, VERDICT_BOOT_LIMIT);
	/* A boot may be quiet, and has a limit of its own. */
	if (v == VERDICTS && (l->booted || !l->boot))
		v = limit_passed(l->idle, cpu_clock_idle(c), c->idle_elapsed, VERDICT_IDLE_LIMIT);
	return v;
}
