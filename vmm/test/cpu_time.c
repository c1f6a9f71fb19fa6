#include "vmm/test/cpu_time.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_S UINT64_C(1000000000)

/* --- parsers --- */

/* A text that is being read; `failed` stays set. */
struct cursor {
	const char *at, *end;
	bool failed;
};

static char peek(const struct cursor *c)
{
	return c->at < c->end ? *c->at : '\0';
}

/* A decimal number, behind blanks. Whether it is torn shows in what follows. */
static uint64_t take_number(struct cursor *c)
{
	uint64_t n = 0;
	const char *start;

	while (peek(c) == ' ')
		c->at++;
	for (start = c->at; peek(c) >= '0' && peek(c) <= '9'; c->at++)
		if (__builtin_mul_overflow(n, 10, &n) ||
		    __builtin_add_overflow(n, (uint64_t)(*c->at - '0'), &n))
			c->failed = true;
	if (c->at == start)
		c->failed = true;
	return n;
}

static void take_word(struct cursor *c, const char *word)
{
	size_t n = strlen(word);

	if ((size_t)(c->end - c->at) < n || memcmp(c->at, word, n) != 0)
		c->failed = true;
	else
		c->at += n;
}

/* Moves behind the next line feed. Returns false if there is none. */
static bool skip_line(struct cursor *c)
{
	const char *end = memchr(c->at, '\n', (size_t)(c->end - c->at));

	c->at = end ? end + 1 : c->end;
	return end != NULL;
}

bool cpu_parse_schedstat(const char *text, size_t n, uint64_t *run, uint64_t *wait)
{
	struct cursor c = { text, text + n, false };
	uint64_t ran = take_number(&c), waited = take_number(&c);

	take_number(&c);
	if (c.failed || peek(&c) != '\n')
		return false;
	*run = ran;
	*wait = waited;
	return true;
}

bool cpu_parse_state(const char *text, size_t n, char *state)
{
	const char *close = memrchr(text, ')', n);
	struct cursor c = { close, text + n, false };

	if (!close)
		return false;
	take_word(&c, ") ");
	if (c.failed || c.end - c.at < 2 || c.at[1] != ' ' || *c.at < 'A' || *c.at > 'z')
		return false;
	*state = *c.at;
	return true;
}

bool cpu_parse_steal(const char *text, size_t n, uint64_t *ticks)
{
	struct cursor c = { text, text + n, false };
	uint64_t number = 0;

	take_word(&c, "cpu ");
	for (unsigned i = 0; i < 8 && !c.failed; i++)
		number = take_number(&c);
	if (c.failed || !skip_line(&c))
		return false;
	*ticks = number;
	return true;
}

bool cpu_parse_cgroup(const char *text, size_t n, char *path, size_t cap)
{
	struct cursor c = { text, text + n, false };

	while (c.at < c.end) {
		const char *line = c.at;
		size_t len;

		if (!skip_line(&c))
			return false;
		len = (size_t)(c.at - line) - 1;
		if (len < 4 || memcmp(line, "0::/", 4) != 0)
			continue;
		if (len - 3 >= cap)
			return false;
		memcpy(path, line + 3, len - 3);
		path[len - 3] = '\0';
		return true;
	}
	return false;
}

bool cpu_parse_throttled(const char *text, size_t n, uint64_t *usec)
{
	struct cursor c = { text, text + n, false };

	while (c.at < c.end) {
		struct cursor line = c;
		uint64_t number;

		take_word(&line, "throttled_usec ");
		number = take_number(&line);
		if (!line.failed && peek(&line) == '\n') {
			*usec = number;
			return true;
		}
		skip_line(&c);
	}
	return false;
}

/* --- readers --- */

/* The first bytes of a file, at most `cap`. Returns their number, or -1 with errno. */
static ssize_t read_start(const char *path, char *buf, size_t cap)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return -1;
	n = read(fd, buf, cap);
	close(fd);
	return n;
}

/*
 * The CPU clock of a thread of this process: the kernel's encoding of the clock (CPUCLOCK_PERTHREAD
 * and CPUCLOCK_SCHED of include/linux/posix-timers.h), because pthread_getcpuclockid() takes no
 * thread id. schedstat's first number is behind it by up to a tick, and by a second on CPUs without
 * ticks (nohz_full).
 */
static bool read_cpu_clock(pid_t tid, uint64_t *ns)
{
	clockid_t id = (clockid_t)(~(unsigned)tid << 3 | 6);
	struct timespec ts;

	if (clock_gettime(id, &ts))
		return false;
	*ns = (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
	return true;
}

int cpu_thread_read(pid_t tid, struct cpu_thread *t)
{
	char path[64], text[512], state = 'X';
	uint64_t run = 0, wait = 0;
	ssize_t n;

	*t = (struct cpu_thread){ 0 };
	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", (int)tid);
	n = read_start(path, text, sizeof(text));
	if (n < 0)
		return -errno;
	t->ready = cpu_parse_state(text, (size_t)n, &state) && state == 'R';
	snprintf(path, sizeof(path), "/proc/self/task/%d/schedstat", (int)tid);
	n = read_start(path, text, sizeof(text));
	/* All zeros is what a kernel says that keeps no numbers (proc_pid_schedstat()). */
	if (n > 0 && cpu_parse_schedstat(text, (size_t)n, &run, &wait))
		t->known = run || wait;
	t->run = run;
	t->wait = wait;
	read_cpu_clock(tid, &t->run);
	return 0;
}

static bool read_throttled(uint64_t *usec)
{
	static const char root[] = "/sys/fs/cgroup";
	char text[4096], group[1024], path[sizeof(group) + 64];
	ssize_t n = read_start("/proc/self/cgroup", text, sizeof(text));

	if (n <= 0 || !cpu_parse_cgroup(text, (size_t)n, group, sizeof(group)))
		return false;
	snprintf(path, sizeof(path), "%s%s/cpu.stat", root, group);
	n = read_start(path, text, sizeof(text));
	return n > 0 && cpu_parse_throttled(text, (size_t)n, usec);
}

void cpu_host_read(struct cpu_host *h)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN), hz = sysconf(_SC_CLK_TCK);
	uint64_t ticks, usec;
	char text[512];
	ssize_t n;

	*h = (struct cpu_host){ .cpus = cpus > 0 ? (unsigned)cpus : 1 };
	n = read_start("/proc/stat", text, sizeof(text));
	if (n > 0 && hz > 0 && cpu_parse_steal(text, (size_t)n, &ticks)) {
		h->stolen = ticks * (NS_PER_S / (uint64_t)hz);
		h->stolen_known = true;
	}
	if (read_throttled(&usec)) {
		h->throttled = usec * 1000;
		h->throttled_known = true;
	}
}

/* --- the clock --- */

static uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t max_u64(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* From `last` to `now`; 0 if a counter went backwards. */
static uint64_t grown(uint64_t now, uint64_t last)
{
	return now > last ? now - last : 0;
}

void cpu_clock_init(struct cpu_clock *c, uint64_t period, struct cpu_clock_thread *threads,
		    unsigned nr_threads)
{
	*c = (struct cpu_clock){ .period = period, .threads = threads, .nr_threads = nr_threads };
}

/*
 * Nanoseconds of the interval that the thread waited for a CPU. A thread that was ready at both
 * ends of it and did not run has waited all the time, which the kernel counts only when it runs
 * again. After a gap this is not taken for granted, because a stopped thread does not wait.
 */
static uint64_t thread_waited(struct cpu_clock_thread *last, const struct cpu_thread *t,
			      uint64_t interval, bool gap)
{
	uint64_t wait = grown(t->wait, last->wait), before = min_u64(wait, last->ahead);

	if (!wait && last->ready && t->ready && t->run == last->run && !gap) {
		last->ahead += t->known ? interval : 0;
		return interval;
	}
	/* All that it waited before it ran is counted. */
	last->ahead = t->run == last->run ? last->ahead - before : 0;
	return wait - before;
}

/* The longest wait and the longest run of a vCPU in the interval. */
static void all_threads(struct cpu_clock *c, const struct cpu_sample *s, uint64_t interval,
			bool gap, uint64_t *waited, uint64_t *ran, bool *known)
{
	*waited = *ran = 0;
	*known = false;
	for (unsigned i = 0; i < s->nr_threads && i < c->nr_threads; i++) {
		struct cpu_clock_thread *last = &c->threads[i];
		const struct cpu_thread *t = &s->threads[i];

		if (last->seen) {
			*waited = max_u64(*waited, thread_waited(last, t, interval, gap));
			*ran = max_u64(*ran, grown(t->run, last->run));
		}
		*known |= t->known;
		last->run = t->run;
		last->wait = t->wait;
		last->ready = t->ready;
		last->seen = true;
	}
}

void cpu_clock_sample(struct cpu_clock *c, const struct cpu_sample *s)
{
	uint64_t interval = c->started ? grown(s->wall, c->wall) : 0;
	unsigned cpus = s->host->cpus ? s->host->cpus : 1;
	uint64_t waited, ran, stolen, throttled, off;
	bool known, gap = interval > c->period + CPU_CLOCK_GAP;

	all_threads(c, s, interval, gap, &waited, &ran, &known);
	stolen = min_u64(grown(s->host->stolen, c->stolen_sum) / cpus, interval);
	throttled = grown(s->host->throttled, c->throttled_sum);
	c->wall = s->wall;
	c->stolen_sum = s->host->stolen;
	c->throttled_sum = s->host->throttled;
	if (!c->started) {
		c->started = true;
		return;
	}
	if (!known && s->nr_threads)
		waited = max_u64(waited, throttled / min_u64(cpus, s->nr_threads));
	waited = min_u64(waited, interval);
	off = waited + stolen;
	if (gap)
		off = max_u64(off, grown(interval, max_u64(c->period, ran)));
	off = min_u64(off, interval);
	c->waited += waited;
	c->stolen += stolen;
	c->elapsed += interval;
	c->off += off;
	c->idle_elapsed += interval;
	c->idle_off += off;
}

void cpu_clock_progress(struct cpu_clock *c)
{
	c->idle_elapsed = 0;
	c->idle_off = 0;
}

uint64_t cpu_clock_ran(const struct cpu_clock *c)
{
	return c->elapsed - c->off;
}

uint64_t cpu_clock_idle(const struct cpu_clock *c)
{
	return c->idle_elapsed - c->idle_off;
}

bool cpu_clock_starved(const struct cpu_clock *c)
{
	return c->idle_off > c->idle_elapsed / 2;
}
