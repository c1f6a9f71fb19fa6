#include "init/memory.h"
#include "init/clock.h"
#include "init/kernel.h"
#include "init/writer.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define MEMORY_PAGE    4096u
#define MEMORY_HUGE    (2u << 20)
#define MEMORY_SPARE   (16u << 20) /* left for the kernel, with a 1024th of all */
#define MEMORY_TALK_MS 5000

#define MEMORY_POPULATE 23 /* MADV_POPULATE_WRITE of linux/mman.h, since Linux 5.14 */

/* --- ranges --- */

bool memory_count(struct memory_range *ranges, size_t nr, uint64_t address)
{
	for (size_t i = 0; i < nr; i++) {
		struct memory_range *r = &ranges[i];

		if (address < r->start || address >= r->end)
			continue;
		if (!r->pages || address < r->first)
			r->first = address;
		if (!r->pages || address + MEMORY_PAGE > r->last)
			r->last = address + MEMORY_PAGE;
		r->pages++;
		return true;
	}
	return false;
}

void memory_merge(struct memory_range *ranges, const struct memory_range *more, size_t nr)
{
	for (size_t i = 0; i < nr; i++) {
		struct memory_range *r = &ranges[i];

		if (!more[i].pages)
			continue;
		if (!r->pages || more[i].first < r->first)
			r->first = more[i].first;
		if (!r->pages || more[i].last > r->last)
			r->last = more[i].last;
		r->pages += more[i].pages;
	}
}

/* Reads the ranges of RAM; their list is the caller's. Returns their number. */
static size_t read_ranges(struct memory_range **ranges)
{
	FILE *f = fopen("/proc/iomem", "re");
	size_t nr = 0;
	struct iomem io;
	char line[256];

	*ranges = NULL;
	while (f && fgets(line, sizeof(line), f)) {
		struct memory_range *more;

		if (!kernel_iomem(&io, line) || strncmp(io.name, "System RAM", 10) != 0 ||
		    io.end <= 1) /* all zeroes: the reader lacks the right to see them */
			continue;
		more = realloc(*ranges, (nr + 1) * sizeof(**ranges));
		if (!more)
			break;
		*ranges = more;
		more[nr++] = (struct memory_range){ .start = io.start, .end = io.end };
	}
	if (f)
		fclose(f);
	return nr;
}

/* --- a process on a CPU --- */

enum phase { PHASE_TAKE, PHASE_WRITE, PHASE_READ, PHASE_WRITE_INVERTED, PHASE_READ_INVERTED };

/* What a process tells, in memory that it shares with its parent. */
struct tally {
	uint64_t pages; /* taken */
	uint64_t done;	/* of the current phase */
	uint64_t verified, moved, outside, errors;
	uint64_t address, expected, found; /* of the first error */
	int code;			   /* errno of what it could not do, or 0 */
	struct memory_range ranges[];
};

struct worker {
	struct tally *tally;
	size_t nr_ranges;
	unsigned nr_workers;
	bool full;
	uint64_t spare;
	int pagemap;
	uint8_t *base;	  /* room for all of memory; tally->pages of it are there */
	uint64_t *frames; /* the physical address of each page when it was written */
};

static uint64_t available(void)
{
	char text[4096];
	uint64_t kib = 0;

	if (kernel_read(text, sizeof(text), "/proc/meminfo"))
		(void)kernel_field(text, "MemAvailable:", &kib);
	return kib << 10;
}

/* Has the kernel give these pages. */
static bool populate(uint8_t *at, size_t size)
{
	if (madvise(at, size, MEMORY_POPULATE) == 0)
		return true;
	if (errno != EINVAL)
		return false;
	for (size_t i = 0; i < size; i += MEMORY_PAGE)
		at[i] = 1;
	return true;
}

/*
 * Takes steps that become smaller as memory becomes scarce, because others take at the same time,
 * and with each the part of the list of addresses for it.
 */
static void take(struct worker *w)
{
	uint64_t left;

	while ((left = available()) >= w->spare + MEMORY_HUGE * w->nr_workers) {
		uint64_t step = (left - w->spare) / (2 * w->nr_workers) & ~(MEMORY_HUGE - 1ull);
		uint64_t pages = w->tally->pages;

		step = step > 32 * MEMORY_HUGE ? 32 * MEMORY_HUGE
		       : step < MEMORY_HUGE    ? MEMORY_HUGE
					       : step;
		if (!populate(w->base + pages * MEMORY_PAGE, step) ||
		    !populate((uint8_t *)(w->frames + pages),
			      step / MEMORY_PAGE * sizeof(*w->frames)))
			return;
		w->tally->pages += step / MEMORY_PAGE;
	}
}

/* Physical addresses of n pages from number `first` on (Documentation/admin-guide/mm/pagemap.rst).
 */
static bool look_up(struct worker *w, uint64_t first, unsigned n, uint64_t *addresses)
{
	const uint64_t frame = (UINT64_C(1) << 55) - 1, present = UINT64_C(1) << 63;
	off_t at = (off_t)(((uintptr_t)w->base / MEMORY_PAGE + first) * sizeof(*addresses));
	ssize_t want = (ssize_t)(n * sizeof(*addresses));

	if (pread(w->pagemap, addresses, (size_t)want, at) != want) {
		w->tally->code = EIO;
		return false;
	}
	for (unsigned i = 0; i < n; i++) {
		if (!(addresses[i] & present) || !(addresses[i] & frame)) {
			w->tally->code =
				EPERM; /* the kernel hides frames from those without rights */
			return false;
		}
		addresses[i] = (addresses[i] & frame) * MEMORY_PAGE;
	}
	return true;
}

/* The pattern at an address: its own, or all bits inverted. */
static void write_page(uint8_t *page, uint64_t address, unsigned stride, uint64_t invert)
{
	uint64_t *words = (uint64_t *)page;

	for (unsigned i = 0; i < MEMORY_PAGE / 8; i += stride)
		words[i] = (address + 8 * i) ^ invert;
}

static void read_page(struct tally *t, const uint8_t *page, uint64_t address, unsigned stride,
		      uint64_t invert)
{
	const volatile uint64_t *words = (const volatile uint64_t *)page;

	for (unsigned i = 0; i < MEMORY_PAGE / 8; i += stride) {
		uint64_t found = words[i], expected = (address + 8 * i) ^ invert;

		if (found == expected)
			continue;
		if (!t->errors++) {
			t->address = address + 8 * i;
			t->expected = expected ^ invert;
			t->found = found ^ invert;
		}
	}
}

/* A page that has stayed where it was counts for its range, once. */
static void count_page(struct worker *w, uint64_t written, uint64_t now)
{
	w->tally->verified++;
	if (written != now)
		w->tally->moved++;
	else if (!memory_count(w->tally->ranges, w->nr_ranges, now))
		w->tally->outside++;
}

#define MEMORY_BATCH 512u

/* One pass over all pages. */
static void pass(struct worker *w, enum phase phase)
{
	bool writes = phase == PHASE_WRITE || phase == PHASE_WRITE_INVERTED;
	bool counts = phase == (w->full ? PHASE_READ_INVERTED : PHASE_READ);
	uint64_t invert = phase >= PHASE_WRITE_INVERTED ? UINT64_MAX : 0;
	unsigned stride = w->full ? 1 : MEMORY_PAGE / 8 - 1; /* the first and the last */
	uint64_t now[MEMORY_BATCH];

	w->tally->done = 0;
	for (uint64_t first = 0; first < w->tally->pages; first += MEMORY_BATCH) {
		uint8_t *page = w->base + first * MEMORY_PAGE;

		if (phase == PHASE_WRITE && !look_up(w, first, MEMORY_BATCH, w->frames + first))
			return;
		for (unsigned i = 0; i < MEMORY_BATCH; i++, page += MEMORY_PAGE) {
			uint64_t address = w->frames[first + i];

			if (writes)
				write_page(page, address, stride, invert);
			else
				read_page(w->tally, page, address, stride, invert);
		}
		if (counts && !look_up(w, first, MEMORY_BATCH, now))
			return;
		for (unsigned i = 0; counts && i < MEMORY_BATCH; i++)
			count_page(w, w->frames[first + i], now[i]);
		w->tally->done += MEMORY_BATCH;
	}
}

/* Room for `size` bytes, aligned to huge pages, without any memory yet. */
static void *reserve_room(size_t size)
{
	uint8_t *p = mmap(NULL, size + MEMORY_HUGE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		return NULL;
	return p + (MEMORY_HUGE - (uintptr_t)p % MEMORY_HUGE) % MEMORY_HUGE;
}

/* Runs the phases that the parent asks for, one byte each, and answers with a byte. */
static void __attribute__((noreturn))
run_worker(struct worker *w, int cpu, uint64_t total, int go, int done)
{
	cpu_set_t set;
	uint8_t phase;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	(void)sched_setaffinity(0, sizeof(set), &set);
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)kernel_write("/proc/self/oom_score_adj", "1000");
	w->pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	w->base = reserve_room(total);
	w->frames = reserve_room(total / MEMORY_PAGE * sizeof(*w->frames));
	if (w->pagemap < 0 || !w->base || !w->frames)
		w->tally->code = errno;
	while (read(go, &phase, 1) == 1) {
		if (!w->tally->code && phase == PHASE_TAKE)
			take(w);
		else if (!w->tally->code)
			pass(w, phase);
		if (write(done, &phase, 1) != 1)
			break;
	}
	_exit(0);
}

/* --- the parent --- */

struct child {
	pid_t pid;
	int go, done;
	struct tally *tally;
};

struct check {
	struct child *children;
	unsigned nr;
	struct memory_range *ranges;
	size_t nr_ranges;
	uint64_t total; /* MemTotal, in bytes */
	bool full;
	uint64_t ns[PHASE_READ_INVERTED + 1]; /* that each phase took */
};

static int complain(const char *what, int code)
{
	fprintf(stderr, "@memory: %s%s%s\n", what, code ? ": " : "", code ? strerror(code) : "");
	return -1;
}

static int start_child(struct check *c, int cpu, unsigned nr_workers)
{
	struct child *child = &c->children[c->nr];
	size_t size = sizeof(struct tally) + c->nr_ranges * sizeof(struct memory_range);
	struct worker w = { .nr_ranges = c->nr_ranges, .nr_workers = nr_workers, .full = c->full };
	int go[2], done[2];

	w.spare = MEMORY_SPARE + c->total / 1024;
	child->tally = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (child->tally == MAP_FAILED || pipe2(go, O_CLOEXEC) < 0 || pipe2(done, O_CLOEXEC) < 0)
		return complain("there is no memory for a process", errno);
	memcpy(child->tally->ranges, c->ranges, c->nr_ranges * sizeof(struct memory_range));
	w.tally = child->tally;
	child->pid = fork();
	if (child->pid < 0)
		return complain("there is no process for a CPU", errno);
	if (!child->pid) {
		close(go[1]); /* so that it ends with the parent */
		run_worker(&w, cpu, c->total, go[0], done[1]);
	}
	close(go[0]);
	close(done[1]);
	child->go = go[1];
	child->done = done[0];
	c->nr++;
	return 0;
}

/* One on each CPU that this process may use. */
static int start_children(struct check *c)
{
	cpu_set_t set;
	unsigned nr;

	if (sched_getaffinity(0, sizeof(set), &set) < 0)
		return complain("the CPUs cannot be told", errno);
	nr = (unsigned)CPU_COUNT(&set);
	c->children = calloc(nr, sizeof(*c->children));
	if (!c->children)
		return complain("there is no memory for a list of CPUs", 0);
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, &set) && start_child(c, cpu, nr) < 0)
			return -1;
	return 0;
}

/* Says something now and then, because a guest that says nothing may be taken for hung. */
static void talk(const struct check *c, enum phase phase)
{
	static const char *const words[] = { "taken", "written", "read", "written, inverted",
					     "read, inverted" };
	uint64_t done = 0, pages = 0;

	for (unsigned i = 0; i < c->nr; i++) {
		done += c->children[i].tally->done;
		pages += c->children[i].tally->pages;
	}
	fprintf(stderr, "@memory: %" PRIu64 " of %" PRIu64 " MiB %s\n",
		(phase == PHASE_TAKE ? pages : done) * MEMORY_PAGE >> 20,
		phase == PHASE_TAKE ? c->total >> 20 : pages * MEMORY_PAGE >> 20, words[phase]);
}

static int wait_for_child(struct check *c, struct child *child, enum phase phase)
{
	struct pollfd p = { child->done, POLLIN, 0 };
	uint8_t byte;

	while (poll(&p, 1, MEMORY_TALK_MS) <= 0)
		talk(c, phase);
	if (read(child->done, &byte, 1) != 1)
		return complain("one of its processes has been killed", 0);
	if (child->tally->code == EPERM)
		return complain("the kernel does not tell physical addresses", 0);
	if (child->tally->code)
		return complain("/proc/self/pagemap (CONFIG_PROC_PAGE_MONITOR) cannot be used",
				child->tally->code);
	return 0;
}

/* All processes do one phase; when all are through it is done. */
static int run_phase(struct check *c, enum phase phase)
{
	uint64_t start = clock_ns();
	uint8_t byte = phase;
	int ret = 0;

	for (unsigned i = 0; i < c->nr; i++)
		if (write(c->children[i].go, &byte, 1) != 1)
			return complain("one of its processes has been killed", 0);
	for (unsigned i = 0; ret == 0 && i < c->nr; i++)
		ret = wait_for_child(c, &c->children[i], phase);
	c->ns[phase] = clock_ns() - start;
	return ret;
}

static void end_children(struct check *c)
{
	for (unsigned i = 0; i < c->nr; i++) {
		(void)kill(c->children[i].pid, SIGKILL);
		(void)waitpid(c->children[i].pid, NULL, 0);
	}
}

/* --- the report --- */

static void write_speed(struct writer *w, const char *key, uint64_t bytes, uint64_t ns)
{
	/* GiB/s in thousandths, without overflow up to 2^54 bytes */
	writer_thousandths(w, key,
			   ns ? (uint64_t)((double)bytes / (double)ns * 1e12 / (1 << 30)) : 0);
}

static void write_ranges(struct writer *w, const struct check *c)
{
	writer_open(w, "ranges", '[');
	for (size_t i = 0; i < c->nr_ranges; i++) {
		const struct memory_range *r = &c->ranges[i];

		writer_open(w, NULL, '{');
		writer_number(w, "start", r->start);
		writer_number(w, "end", r->end);
		writer_number(w, "verified", r->pages * MEMORY_PAGE);
		if (r->pages) {
			writer_number(w, "first", r->first);
			writer_number(w, "last", r->last);
			writer_number(w, "before", r->first - r->start);
			writer_number(w, "behind", r->end - r->last);
		}
		writer_close(w, '}');
	}
	writer_close(w, ']');
}

/* Returns whether all was well. */
static bool report(const struct check *c, FILE *to)
{
	struct writer w = { .to = to };
	struct tally sum = { 0 };
	uint64_t ram = 0;
	bool ok;

	for (unsigned i = 0; i < c->nr; i++) {
		const struct tally *t = c->children[i].tally;

		memory_merge(c->ranges, t->ranges, c->nr_ranges);
		sum.verified += t->verified;
		sum.moved += t->moved;
		sum.outside += t->outside;
		if (t->errors && !sum.errors) {
			sum.address = t->address;
			sum.expected = t->expected;
			sum.found = t->found;
		}
		sum.errors += t->errors;
	}
	for (size_t i = 0; i < c->nr_ranges; i++)
		ram += c->ranges[i].end - c->ranges[i].start;
	ok = sum.verified && !sum.errors;
	writer_open(&w, NULL, '{');
	writer_flag(&w, "ok", ok);
	writer_flag(&w, "full", c->full);
	writer_number(&w, "cpus", c->nr);
	writer_number(&w, "ram", ram);
	writer_number(&w, "verified", sum.verified * MEMORY_PAGE);
	writer_number(&w, "moved", sum.moved);
	writer_number(&w, "outside", sum.outside);
	writer_number(&w, "errors", sum.errors);
	if (sum.errors) {
		writer_open(&w, "error", '{');
		writer_number(&w, "address", sum.address);
		writer_number(&w, "expected", sum.expected);
		writer_number(&w, "found", sum.found);
		writer_close(&w, '}');
	}
	write_ranges(&w, c);
	if (c->full) {
		write_speed(&w, "write_gib_s", 2 * sum.verified * MEMORY_PAGE,
			    c->ns[PHASE_WRITE] + c->ns[PHASE_WRITE_INVERTED]);
		write_speed(&w, "read_gib_s", 2 * sum.verified * MEMORY_PAGE,
			    c->ns[PHASE_READ] + c->ns[PHASE_READ_INVERTED]);
	}
	writer_close(&w, '}');
	return ok;
}

int memory_verify(FILE *to, bool full)
{
	struct check c = { .full = full };
	enum phase last = full ? PHASE_READ_INVERTED : PHASE_READ;
	char text[4096];
	bool ok = false;
	int ret;

	(void)signal(SIGPIPE, SIG_IGN); /* of a process that was killed */
	c.nr_ranges = read_ranges(&c.ranges);
	if (!c.nr_ranges || !kernel_read(text, sizeof(text), "/proc/meminfo") ||
	    !kernel_field(text, "MemTotal:", &c.total)) {
		complain("/proc/iomem or /proc/meminfo tells of no RAM", 0);
		return 1;
	}
	c.total <<= 10;
	ret = start_children(&c);
	for (enum phase phase = PHASE_TAKE; ret == 0 && phase <= last; phase++)
		ret = run_phase(&c, phase);
	if (ret == 0)
		ok = report(&c, to);
	end_children(&c);
	free(c.children);
	free(c.ranges);
	return !ok;
}
