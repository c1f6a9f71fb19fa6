/*
 * How long the vCPUs of a case could run, on a host that may be busy with other things.
 *
 * Limits of a case are counted in this time, because a guest that gets no CPU makes no progress and
 * is not to blame. Taken off the wall-clock time is what a vCPU's thread spent ready to run without
 * running, what the host's own hypervisor stole from it, and what passed while straddle was
 * stopped. A host that never runs the vCPUs therefore never reaches such a limit: the caller needs
 * one of wall-clock time as well.
 *
 * The parsers and the clock are pure; cpu_thread_read() and cpu_host_read() read /proc.
 */
#ifndef TEST_CPU_TIME_H
#define TEST_CPU_TIME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* --- what the host says --- */

/* One thread. Times are in nanoseconds and only grow. */
struct cpu_thread {
	uint64_t run;  /* on a CPU: the thread's CPU clock, which is exact at any time */
	uint64_t wait; /* ready to run and not running; counted by the kernel when the wait ends */
	bool known;    /* `wait` is: the kernel has CONFIG_SCHED_INFO and keeps its numbers */
	bool ready;    /* runs, or waits for a CPU */
};

/* The host and the control group. */
struct cpu_host {
	uint64_t stolen;    /* sum over all CPUs, ns */
	unsigned cpus;	    /* that are online */
	uint64_t throttled; /* by the quota of the own group (not of those above it), sum over CPUs
			     */
	bool stolen_known, throttled_known;
};

/* Reads /proc/self/task/TID. Returns 0, or a negative errno if there is no such thread. */
int cpu_thread_read(pid_t tid, struct cpu_thread *t);
/* What cannot be read is 0, and not known. */
void cpu_host_read(struct cpu_host *h);

/*
 * The files' texts, of `n` bytes. Each returns false, and leaves its result alone, if the text is
 * torn or of another form.
 */

/* /proc/PID/schedstat (Documentation/scheduler/sched-stats.rst): run, wait, time slices. */
bool cpu_parse_schedstat(const char *text, size_t n, uint64_t *run, uint64_t *wait);
/* /proc/PID/stat (proc_pid_stat(5)): the state behind the name, which may hold ") R". */
bool cpu_parse_state(const char *text, size_t n, char *state);
/* The first line of /proc/stat (proc_stat(5)): the 8th number, in ticks of USER_HZ. */
bool cpu_parse_steal(const char *text, size_t n, uint64_t *ticks);
/* The path of the version 2 group in /proc/PID/cgroup, "0::/PATH", as a string. */
bool cpu_parse_cgroup(const char *text, size_t n, char *path, size_t cap);
/* "throttled_usec" of cpu.stat (Documentation/admin-guide/cgroup-v2.rst). */
bool cpu_parse_throttled(const char *text, size_t n, uint64_t *usec);

/* --- the clock --- */

/* What the clock keeps of a thread between samples; the zero value is one never seen. */
struct cpu_clock_thread {
	uint64_t run, wait;
	uint64_t ahead; /* wait that was taken off before the kernel counted it */
	bool ready, seen;
};

struct cpu_sample {
	uint64_t wall; /* CLOCK_MONOTONIC, ns */
	const struct cpu_host *host;
	const struct cpu_thread *threads; /* of the vCPUs, in the same order each time */
	unsigned nr_threads;
};

struct cpu_clock {
	uint64_t period; /* between samples, as it is asked for, ns */
	struct cpu_clock_thread *threads;
	unsigned nr_threads;
	bool started;
	uint64_t wall, stolen_sum, throttled_sum; /* of the last sample */
	/* Results, in ns: */
	uint64_t elapsed, off;		 /* since the first sample: wall-clock, and taken off it */
	uint64_t idle_elapsed, idle_off; /* since the last progress */
	uint64_t waited, stolen;	 /* parts of `off`, which may overlap */
};

/* Samples are asked for every `period`. `threads` is the caller's and zero. */
void cpu_clock_init(struct cpu_clock *c, uint64_t period, struct cpu_clock_thread *threads,
		    unsigned nr_threads);

/*
 * Adds a sample; the first one only starts the clock. Off the interval since the last one are taken
 *
 * - the wait of the vCPU that waited most. A wait that has not ended shows as a thread that is
 *   ready at two samples and did not run between them; it is taken off at once, and not again when
 *   the kernel counts it.
 *   Time in which a quota (cgroup v2's cpu.max) throttles the thread is such a wait, too
 *   (kernel/sched/stats.h, sched_info_depart()). Where the kernel counts no waits, the group's
 *   throttled time is taken instead, divided by the CPUs that the vCPUs can use;
 * - the mean steal time of a CPU;
 * - or, if the interval is more than CPU_CLOCK_GAP longer than asked for, all beyond the period,
 *   except what a vCPU ran for: straddle itself was stopped (SIGSTOP, a frozen group), or so
 *   starved that it could not sample;
 *
 * and never more than the interval.
 */
#define CPU_CLOCK_GAP UINT64_C(1000000000)
void cpu_clock_sample(struct cpu_clock *c, const struct cpu_sample *s);

/* The guest made progress: a byte, an I/O. */
void cpu_clock_progress(struct cpu_clock *c);

/* How long vCPUs could run since the first sample, and since the last progress, in ns. */
uint64_t cpu_clock_ran(const struct cpu_clock *c);
uint64_t cpu_clock_idle(const struct cpu_clock *c);

/*
 * At a limit: whether the host is to blame, because more than half of the wall-clock time since the
 * last progress was taken off.
 */
bool cpu_clock_starved(const struct cpu_clock *c);

#endif
