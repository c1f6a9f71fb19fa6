/*
 * The time in which vCPUs could run: the kernel's files, whole and torn, and tables of samples.
 */
#include "vmm/test/cpu_time.h"

#include <errno.h>
#include <stdarg.h>
#include <setjmp.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#define MS UINT64_C(1000000)

/* --- parsers --- */

static void test_schedstat(void **state)
{
	static const char *const wrong[] = {
		"",	     "\n",	"1 2\n",    "1 2 \n",	"a 2 3\n",
		"1 2 3 4\n", "1,2,3\n", "-1 2 3\n", "1 2 3x\n", "18446744073709551616 2 3\n",
	};
	static const char text[] = "5806043 1410355 22\n";
	uint64_t run = 7, wait = 7;

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		if (cpu_parse_schedstat(wrong[i], strlen(wrong[i]), &run, &wait))
			fail_msg("'%s' is taken", wrong[i]);
	for (size_t n = 0; n < sizeof(text) - 1; n++)
		assert_false(cpu_parse_schedstat(text, n, &run, &wait));
	assert_true(run == 7 && wait == 7);
	assert_true(cpu_parse_schedstat(text, sizeof(text) - 1, &run, &wait));
	assert_true(run == 5806043 && wait == 1410355);
	assert_true(cpu_parse_schedstat("18446744073709551615 0 1\n", 25, &run, &wait));
	assert_true(run == UINT64_MAX && wait == 0);
}

static void test_state(void **state)
{
	static const char text[] = "123 (a ) T (x) R) S 1 123 4\n";
	static const char *const wrong[] = { "",       ")",    ") ",	") R",
					     "123 (a", ")R 1", ") 1 1", "()  1" };
	char c = 'x';

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		if (cpu_parse_state(wrong[i], strlen(wrong[i]), &c))
			fail_msg("'%s' is taken", wrong[i]);
	assert_int_equal(c, 'x');
	assert_true(cpu_parse_state(text, sizeof(text) - 1, &c));
	assert_int_equal(c, 'S');
}

static void test_steal(void **state)
{
	static const char text[] = "cpu  5326929 1110732 2132000 2373404 23156 0 18646 77 0 0\n"
				   "cpu0 2687012 551630 1033358 1207911 4578 0 7414 5 0 0\n";
	static const char *const wrong[] = {
		"",
		"cpu",
		"cpu  1 2 3 4 5 6 7\n",
		"cpu0 1 2 3 4 5 6 7 8 9 10\n",
		"cpu  1 2 3 4 5 6 7 x\n",
		"cpux 1 2 3 4 5 6 7 8\n",
		"intr 1\n",
	};
	uint64_t ticks = 3;

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		if (cpu_parse_steal(wrong[i], strlen(wrong[i]), &ticks))
			fail_msg("'%s' is taken", wrong[i]);
	for (size_t n = 0; n < strcspn(text, "\n"); n++)
		assert_false(cpu_parse_steal(text, n, &ticks));
	assert_int_equal(ticks, 3);
	assert_true(cpu_parse_steal(text, sizeof(text) - 1, &ticks));
	assert_int_equal(ticks, 77);
	/* Kernels before 2.6.24 and 2.6.33 have fewer numbers behind it. */
	assert_true(cpu_parse_steal("cpu  1 2 3 4 5 6 7 8\n", 21, &ticks));
	assert_int_equal(ticks, 8);
}

static void test_cgroup(void **state)
{
	static const char text[] = "4:memory:/a\n1:cpu:/b\n0::/user.slice/x\n";
	static const char *const wrong[] = { "",	 "0::/a", "1:cpu:/a\n",
					     "10::/a\n", "0::\n", "0:/a\n" };
	char path[16] = "old";

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		if (cpu_parse_cgroup(wrong[i], strlen(wrong[i]), path, sizeof(path)))
			fail_msg("'%s' is taken", wrong[i]);
	for (size_t n = 0; n < sizeof(text) - 1; n++)
		assert_false(cpu_parse_cgroup(text, n, path, sizeof(path)));
	assert_string_equal(path, "old");
	assert_true(cpu_parse_cgroup(text, sizeof(text) - 1, path, sizeof(path)));
	assert_string_equal(path, "/user.slice/x");
	assert_true(cpu_parse_cgroup("0::/\n", 5, path, sizeof(path)));
	assert_string_equal(path, "/");
	/* One byte too long, and just not. */
	assert_false(cpu_parse_cgroup("0::/234567890123456\n", 20, path, sizeof(path)));
	assert_true(cpu_parse_cgroup("0::/23456789012345\n", 19, path, sizeof(path)));
	assert_string_equal(path, "/23456789012345");
}

static void test_throttled(void **state)
{
	static const char text[] = "usage_usec 5\nnr_periods 1\nnr_throttled 2\n"
				   "throttled_usec 345\nnr_bursts 0\n";
	uint64_t usec = 1;

	(void)state;
	for (size_t n = 0; n < (size_t)(strstr(text, "\nnr_b") - text) + 1; n++)
		assert_false(cpu_parse_throttled(text, n, &usec));
	assert_int_equal(usec, 1);
	assert_true(cpu_parse_throttled(text, sizeof(text) - 1, &usec));
	assert_int_equal(usec, 345);
	assert_false(cpu_parse_throttled("throttled_usec\n", 15, &usec));
	assert_false(cpu_parse_throttled("xthrottled_usec 1\n", 18, &usec));
	assert_false(cpu_parse_throttled("throttled_usec 1 2x", 19, &usec));
}

/* Any bytes, in buffers that end with them. */
static void test_noise(void **state)
{
	static const char bytes[] = "cpu 0:/)(R\n19 ";
	uint32_t random = 1;

	(void)state;
	for (unsigned i = 0; i < 20000; i++) {
		size_t n = random >> 20 & 31;
		char text[n + 1], path[8], c;
		uint64_t a, b;

		for (size_t k = 0; k < n; k++) {
			random = random * 1664525 + 1013904223;
			text[k] = random >> 31 ? bytes[(random >> 16) % (sizeof(bytes) - 1)]
					       : (char)(random >> 16);
		}
		random = random * 1664525 + 1013904223;
		cpu_parse_schedstat(text, n, &a, &b);
		cpu_parse_state(text, n, &c);
		cpu_parse_steal(text, n, &a);
		cpu_parse_cgroup(text, n, path, sizeof(path));
		cpu_parse_throttled(text, n, &a);
	}
}

/* --- readers --- */

static void test_thread(void **state)
{
	struct cpu_thread before, after;
	struct timespec ts;

	(void)state;
	assert_int_equal(cpu_thread_read(getpid(), &before), 0);
	/* The clock is the thread's own, however long this takes. */
	do {
		assert_int_equal(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts), 0);
	} while ((uint64_t)ts.tv_sec * 1000 * MS + (uint64_t)ts.tv_nsec < before.run + MS);
	assert_int_equal(cpu_thread_read(getpid(), &after), 0);
	assert_true(after.run >= before.run + MS);
	assert_true(after.ready);
	assert_true(after.wait >= before.wait);
	/* Exact at any time, and not as of the last tick. */
	before = after;
	assert_int_equal(cpu_thread_read(getpid(), &after), 0);
	assert_true(after.run > before.run);
	assert_int_equal(cpu_thread_read(0x7ffffffe, &after), -ENOENT);
	assert_true(!after.known && !after.ready && !after.run);
}

static void test_host(void **state)
{
	struct cpu_host h;

	(void)state;
	cpu_host_read(&h);
	assert_true(h.cpus >= 1);
	assert_true(h.stolen_known || !h.stolen);
	assert_true(h.throttled_known || !h.throttled);
}

/* --- the clock --- */

/* A sample in ms: times are what the counters say, `ready` is by default false. */
struct row {
	uint64_t wall, run[2], wait[2], stolen, throttled;
	bool ready[2];
	uint64_t ran; /* what the clock says after it */
};

struct run {
	unsigned threads, cpus;
	bool unknown; /* waits are not known */
	struct row rows[16];
};

static struct cpu_clock_thread threads[2];
static struct cpu_clock cpu_clock;

static void play(const struct run *r)
{
	memset(threads, 0, sizeof(threads));
	cpu_clock_init(&cpu_clock, 100 * MS, threads, 2);
	for (unsigned i = 0; i < 16 && (i == 0 || r->rows[i].wall); i++) {
		const struct row *row = &r->rows[i];
		struct cpu_thread t[2];
		struct cpu_host host = { .stolen = row->stolen * MS,
					 .cpus = r->cpus,
					 .throttled = row->throttled * MS };

		for (unsigned k = 0; k < 2; k++)
			t[k] = (struct cpu_thread){ .run = row->run[k] * MS,
						    .wait = row->wait[k] * MS,
						    .known = !r->unknown,
						    .ready = row->ready[k] };
		cpu_clock_sample(&cpu_clock, &(struct cpu_sample){ .wall = row->wall * MS,
								   .host = &host,
								   .threads = t,
								   .nr_threads = r->threads });
		if (cpu_clock_ran(&cpu_clock) != row->ran * MS)
			fail_msg("row %u: %llu ms instead of %llu", i,
				 (unsigned long long)(cpu_clock_ran(&cpu_clock) / MS),
				 (unsigned long long)row->ran);
	}
}

/* Nothing is in the way: sleeping vCPUs and running ones are the same to the clock. */
static void test_idle_host(void **state)
{
	static const struct run sleeping = {
		.threads = 1,
		.cpus = 2,
		.rows = { { .wall = 5000, .ran = 0 },
			  { .wall = 5100, .ran = 100 },
			  { .wall = 5230, .ran = 230 },
			  { .wall = 6000, .ran = 1000 } },
	};
	static const struct run running = {
		.threads = 2,
		.cpus = 2,
		.rows = { { .wall = 5000, .run = { 10, 20 }, .ready = { true, true } },
			  { .wall = 5100, .run = { 110, 20 }, .ready = { true }, .ran = 100 },
			  { .wall = 5200, .run = { 210, 30 }, .ready = { true }, .ran = 200 } },
	};

	(void)state;
	play(&sleeping);
	assert_false(cpu_clock_starved(&cpu_clock));
	play(&running);
	assert_int_equal(cpu_clock.waited, 0);
}

/* The vCPU that waited most counts, in each interval, and never for more than that. */
static void test_waits(void **state)
{
	static const struct run r = {
		.threads = 2,
		.cpus = 2,
		.rows = {
			{ .wall = 1000, .wait = { 500, 900 } },
			{ .wall = 1100, .run = { 70, 10 }, .wait = { 530, 910 }, .ran = 70 },
			{ .wall = 1200, .run = { 140, 20 }, .wait = { 530, 970 }, .ran = 110 },
			{ .wall = 1300, .run = { 150, 30 }, .wait = { 830, 970 }, .ran = 110 },
			{ .wall = 1400, .run = { 160, 40 }, .wait = { 830, 970 }, .ran = 210 },
		},
	};

	(void)state;
	play(&r);
	assert_int_equal(cpu_clock.waited, 190 * MS);
	assert_int_equal(cpu_clock.elapsed, 400 * MS);
}

/* The kernel counts a wait when it ends; the clock does not go on meanwhile, nor back then. */
static void test_wait_in_progress(void **state)
{
	static const struct run r = {
		.threads = 1,
		.cpus = 1,
		.rows = {
			{ .wall = 1000, .run = { 10 }, .ready = { true } },
			{ .wall = 1100, .run = { 60 }, .ready = { true }, .ran = 100 },
			{ .wall = 1200, .run = { 60 }, .ready = { true }, .ran = 100 },
			{ .wall = 1300, .run = { 60 }, .ready = { true }, .ran = 100 },
			{ .wall = 1400, .run = { 60 }, .ready = { true }, .ran = 100 },
			/* A wait of 310 ms ended: 10 of them are new. */
			{ .wall = 1500,
			  .run = { 150 },
			  .wait = { 310 },
			  .ready = { true },
			  .ran = 190 },
			{ .wall = 1600,
			  .run = { 250 },
			  .wait = { 310 },
			  .ready = { true },
			  .ran = 290 },
			/* A wait that was taken off and did not come is forgotten when it runs. */
			{ .wall = 1700,
			  .run = { 250 },
			  .wait = { 310 },
			  .ready = { true },
			  .ran = 290 },
			{ .wall = 1800,
			  .run = { 260 },
			  .wait = { 310 },
			  .ready = { true },
			  .ran = 390 },
			{ .wall = 1900,
			  .run = { 270 },
			  .wait = { 370 },
			  .ready = { true },
			  .ran = 430 },
		},
	};

	(void)state;
	play(&r);
}

/* A vCPU that wakes up at the moment of a sample has not waited. */
static void test_wake(void **state)
{
	static const struct run r = {
		.threads = 1,
		.cpus = 1,
		.rows = {
			{ .wall = 1000, .run = { 10 } },
			{ .wall = 1100, .run = { 10 }, .ready = { true }, .ran = 100 },
			{ .wall = 1200, .run = { 11 }, .wait = { 1 }, .ran = 199 },
		},
	};

	(void)state;
	play(&r);
}

static void test_steal_share(void **state)
{
	static const struct run r = {
		.threads = 1,
		.cpus = 4,
		.rows = {
			{ .wall = 1000, .stolen = 1000 },
			{ .wall = 1100, .stolen = 1200, .ran = 50 },
			{ .wall = 1200, .stolen = 9999, .ran = 50 },
			/* Both, and not more than all. */
			{ .wall = 1300, .stolen = 10199, .wait = { 20 }, .run = { 1 }, .ran = 80 },
			{ .wall = 1400, .stolen = 10399, .wait = { 99 }, .run = { 2 }, .ran = 80 },
			/* A counter that goes backwards. */
			{ .wall = 1500, .stolen = 1, .wait = { 1 }, .run = { 1 }, .ran = 180 },
		},
	};

	(void)state;
	play(&r);
	assert_int_equal(cpu_clock.stolen, 250 * MS);
}

/* Where the kernel counts no waits there are a ready thread that did not run, and the quota. */
static void test_unknown(void **state)
{
	static const struct run r = {
		.threads = 2,
		.cpus = 8,
		.unknown = true,
		.rows = {
			{ .wall = 1000, .throttled = 100 },
			{ .wall = 1100, .run = { 5, 5 }, .throttled = 160, .ran = 70 },
			{ .wall = 1200,
			  .run = { 5, 5 },
			  .ready = { true },
			  .throttled = 160,
			  .ran = 170 },
			{ .wall = 1300,
			  .run = { 5, 9 },
			  .ready = { true },
			  .throttled = 160,
			  .ran = 170 },
		},
	};
	static const struct run known = {
		.threads = 2,
		.cpus = 8,
		.rows = { { .wall = 1000, .throttled = 100 },
			  { .wall = 1100, .run = { 5, 5 }, .throttled = 160, .ran = 100 } },
	};

	(void)state;
	play(&r);
	play(&known);
}

/* SIGSTOP, or a host that does not even run the thread that samples. */
static void test_gap(void **state)
{
	static const struct run r = {
		.threads = 1,
		.cpus = 1,
		.rows = {
			{ .wall = 1000, .run = { 10 }, .ready = { true } },
			/* Late, but not by more than CPU_CLOCK_GAP. */
			{ .wall = 2100, .run = { 20 }, .ready = { true }, .ran = 1100 },
			{ .wall = 9100, .run = { 20 }, .ready = { true }, .ran = 1200 },
			/* The next wait is counted in full, because nothing was taken off ahead. */
			{ .wall = 9200,
			  .run = { 30 },
			  .wait = { 60 },
			  .ready = { true },
			  .ran = 1240 },
			/* Only the thread that samples was late: the vCPU ran for 3 s. */
			{ .wall = 14200,
			  .run = { 3030 },
			  .wait = { 60 },
			  .ready = { true },
			  .ran = 4240 },
		},
	};

	(void)state;
	play(&r);
}

/* More than half of the time since the last progress. */
static void test_starved(void **state)
{
	static const struct run half = {
		.threads = 1,
		.cpus = 1,
		.rows = { { .wall = 1000 },
			  { .wall = 1100, .run = { 1 }, .wait = { 50 }, .ran = 50 } },
	};
	static const struct run more = {
		.threads = 1,
		.cpus = 1,
		.rows = { { .wall = 1000 },
			  { .wall = 1100, .run = { 1 }, .wait = { 51 }, .ran = 49 } },
	};
	struct cpu_host host = { .cpus = 1 };
	struct cpu_thread t = { .run = 2 * MS, .wait = 51 * MS, .known = true };
	struct cpu_sample s = { .wall = 1300 * MS, .host = &host, .threads = &t, .nr_threads = 1 };

	(void)state;
	play(&half);
	assert_false(cpu_clock_starved(&cpu_clock));
	play(&more);
	assert_true(cpu_clock_starved(&cpu_clock));
	assert_int_equal(cpu_clock_idle(&cpu_clock), 49 * MS);
	cpu_clock_progress(&cpu_clock);
	assert_false(cpu_clock_starved(&cpu_clock));
	assert_int_equal(cpu_clock_idle(&cpu_clock), 0);
	cpu_clock_sample(&cpu_clock, &s);
	assert_false(cpu_clock_starved(&cpu_clock));
	assert_int_equal(cpu_clock_idle(&cpu_clock), 200 * MS);
	assert_int_equal(cpu_clock_ran(&cpu_clock), 249 * MS);
}

/* More threads than there is room for, none, and time that stands still. */
static void test_edges(void **state)
{
	struct cpu_host host = { 0 };
	struct cpu_thread t[3] = { { .run = MS }, { .run = MS }, { .run = MS } };
	struct cpu_sample s = { .wall = 1, .host = &host, .threads = t, .nr_threads = 3 };

	(void)state;
	memset(threads, 0, sizeof(threads));
	cpu_clock_init(&cpu_clock, MS, threads, 2);
	cpu_clock_sample(&cpu_clock, &s);
	cpu_clock_sample(&cpu_clock, &s);
	s.wall = 0;
	cpu_clock_sample(&cpu_clock, &s);
	s.nr_threads = 0;
	host.throttled = 5 * MS;
	s.wall = MS;
	cpu_clock_sample(&cpu_clock, &s);
	assert_int_equal(cpu_clock_ran(&cpu_clock), MS);
	assert_false(cpu_clock_starved(&cpu_clock));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_schedstat),
		cmocka_unit_test(test_state),
		cmocka_unit_test(test_steal),
		cmocka_unit_test(test_cgroup),
		cmocka_unit_test(test_throttled),
		cmocka_unit_test(test_noise),
		cmocka_unit_test(test_thread),
		cmocka_unit_test(test_host),
		cmocka_unit_test(test_idle_host),
		cmocka_unit_test(test_waits),
		cmocka_unit_test(test_wait_in_progress),
		cmocka_unit_test(test_wake),
		cmocka_unit_test(test_steal_share),
		cmocka_unit_test(test_unknown),
		cmocka_unit_test(test_gap),
		cmocka_unit_test(test_starved),
		cmocka_unit_test(test_edges),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
