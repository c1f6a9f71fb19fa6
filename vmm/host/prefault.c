#include "vmm/host/prefault.h"

#include "vmm/base/pieces.h"
#include "vmm/host/cpus.h"
#include "vmm/host/fault.h"
#include "vmm/host/thread.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 /* Linux 5.14 */
#endif

/*
 * What one call touches: a stop is obeyed between two, and the kernel holds mmap_lock during one,
 * for which pinning (type1 counts locked memory under it) has to wait.
 */
#define STEP	(16 * MIB)
#define STACK	(256 * KIB)
#define TICK_MS 100

/* The RAM of one node of the host, or all that may come from any. */
struct lane {
	int node;	       /* -1: any */
	struct host_cpus cpus; /* of the node, those that this process may use; all if none is */
	struct span *areas;
	size_t nr_areas;
	uint8_t *done;
	struct pieces pieces;
};

struct prefault {
	pthread_t *threads;
	unsigned nr_threads;
	unsigned first_lane; /* of the next thread */
	const struct ram *ram;
	uint8_t *fold; /* the memory that RAM repeats, mapped once more; NULL: it repeats none */
	struct lane *lanes;
	unsigned nr_lanes;
	struct span *areas; /* of all lanes */
	bool no_populate;   /* the kernel is too old; any thread */
	bool yields;	    /* to other threads, by their priority */
	bool stop;	    /* any thread */
	pthread_mutex_t lock;
	pthread_cond_t news; /* any of the following has changed, or a piece is done */
	bool begun;
	int code;	   /* the first error, or 0 */
	uintptr_t code_at; /* the host address where it was met */
};

/* --- threads --- */

static bool stopped(struct prefault *p)
{
	return __atomic_load_n(&p->stop, __ATOMIC_RELAXED);
}

/* Returns 0 or a negative errno, and how much of it is there. */
static int touch_step(struct prefault *p, uint8_t *at, uint64_t len, uint64_t *done)
{
	*done = 0;
	if (!__atomic_load_n(&p->no_populate, __ATOMIC_RELAXED)) {
		if (madvise(at, len, MADV_POPULATE_WRITE) == 0) {
			*done = len;
			return 0;
		}
		if (errno != EINVAL)
			return -errno;
		__atomic_store_n(&p->no_populate, true, __ATOMIC_RELAXED);
	}
	return fault_touch(at, len, p->ram->page_size, done);
}

static int touch_piece(struct prefault *p, struct lane *lane, struct span at, uintptr_t *failed)
{
	uint64_t step = max_u64(STEP, p->ram->page_size);

	while (!span_empty(at)) {
		uint64_t len = min_u64(step, span_size(at)), done;
		int ret;

		if (stopped(p))
			return -EINTR;
		ret = touch_step(p, (uint8_t *)(uintptr_t)at.base, len, &done);
		pieces_note(&lane->pieces, done);
		if (ret == -EINTR || ret == -EAGAIN)
			continue; /* the calls may be repeated; what is there is skipped */
		if (ret < 0) {
			*failed = at.base + done;
			return ret;
		}
		at.base += len;
	}
	return 0;
}

static void finish_piece(struct prefault *p, struct lane *lane, uint64_t number, int ret,
			 uintptr_t failed)
{
	pthread_mutex_lock(&p->lock);
	if (ret == 0) {
		pieces_finish(&lane->pieces, number);
	} else if (ret != -EINTR && !p->code) {
		p->code = -ret;
		p->code_at = failed;
	}
	if (ret < 0)
		__atomic_store_n(&p->stop, true, __ATOMIC_RELAXED);
	pthread_cond_broadcast(&p->news);
	pthread_mutex_unlock(&p->lock);
}

/* Claims a piece of the lane, or of the next one that has some. False: there are none. */
static bool claim(struct prefault *p, unsigned *lane, uint64_t *number, struct span *at)
{
	for (unsigned i = 0; i < p->nr_lanes; i++) {
		unsigned tried = (*lane + i) % p->nr_lanes;

		if (!pieces_claim(&p->lanes[tried].pieces, number, at))
			continue;
		*lane = tried;
		return true;
	}
	return false;
}

static void *prefault_serve(void *arg)
{
	struct prefault *p = arg;
	const struct lane *at_home = NULL;
	uint64_t number;
	struct span at;
	unsigned lane;

	thread_name("prefault");
	pthread_mutex_lock(&p->lock);
	while (!p->begun && !stopped(p))
		pthread_cond_wait(&p->news, &p->lock);
	lane = p->first_lane++;
	pthread_mutex_unlock(&p->lock);
	if (p->yields)
		thread_yields();
	while (!stopped(p) && claim(p, &lane, &number, &at)) {
		struct lane *l = &p->lanes[lane];
		uintptr_t failed = 0;
		int ret;

		/* Where a thread runs decides how fast it is, not where the pages come from. */
		if (l != at_home && p->ram->nr_bound)
			(void)cpus_run_on(&l->cpus);
		at_home = l;
		ret = touch_piece(p, l, at, &failed);
		finish_piece(p, l, number, ret, failed);
	}
	return NULL;
}

/* --- opening --- */

/* A limit of processes may allow some threads and not all. */
static int start_threads(struct prefault *p, unsigned threads, struct err *err)
{
	pthread_attr_t attr;
	int code = pthread_attr_init(&attr);

	if (code)
		return err_sys(err, code, "cannot start a thread that touches guest RAM");
	(void)pthread_attr_setstacksize(&attr, STACK);
	while (p->nr_threads < threads && code == 0) {
		code = thread_start(&p->threads[p->nr_threads], THREAD_PREFAULT, &attr,
				    prefault_serve, p);
		p->nr_threads += code == 0;
	}
	pthread_attr_destroy(&attr);
	if (!p->nr_threads)
		return err_sys(err, code,
			       "cannot start a thread that touches guest RAM; raise the limit of "
			       "processes (ulimit -u, pids.max), or use --prefault off");
	return 0;
}

int prefault_open(struct prefault **out, unsigned threads, struct err *err)
{
	struct prefault *p = calloc(1, sizeof(*p));
	int ret;

	*out = NULL;
	if (!p)
		return err_sys(err, ENOMEM, "out of memory for touching guest RAM");
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->news, NULL);
	p->threads = calloc(threads, sizeof(*p->threads));
	ret = p->threads ? start_threads(p, threads, err)
			 : err_sys(err, ENOMEM, "out of memory for %u threads", threads);
	if (ret < 0) {
		prefault_close(p);
		return ret;
	}
	*out = p;
	return 0;
}

void prefault_yield(struct prefault *p)
{
	p->yields = true;
}

/* --- what is touched --- */

/* Adds memory to the lane of a node; the lists have room. */
static void add_area(struct prefault *p, int node, struct span at)
{
	struct lane *l = p->lanes;

	if (span_empty(at))
		return;
	while (l < p->lanes + p->nr_lanes && l->node != node)
		l++;
	if (l == p->lanes + p->nr_lanes) {
		l->node = node;
		p->nr_lanes++;
	}
	l->areas[l->nr_areas++] = at;
}

/* Divides a block between the nodes that its parts are bound to. */
static void add_block(struct prefault *p, const struct ram_block *b)
{
	uintptr_t hva = (uintptr_t)b->hva;
	uint64_t at = b->gpa.base;

	for (size_t i = 0; i < p->ram->nr_bound; i++) {
		const struct ram_bound *bound = &p->ram->bound[i];
		struct span part = span_common(b->gpa, bound->gpa);

		if (span_empty(part))
			continue;
		add_area(
			p, -1,
			(struct span){ hva + (at - b->gpa.base), hva + (part.base - b->gpa.base) });
		add_area(p, (int)bound->node,
			 (struct span){ hva + (part.base - b->gpa.base),
					hva + (part.end - b->gpa.base) });
		at = part.end;
	}
	add_area(p, -1, (struct span){ hva + (at - b->gpa.base), hva + span_size(b->gpa) });
}

static int add_fold(struct prefault *p, struct err *err)
{
	void *at = mmap(NULL, p->ram->fold, PROT_READ | PROT_WRITE, MAP_SHARED, p->ram->memfd, 0);

	if (at == MAP_FAILED)
		return err_sys(err, errno, "cannot map the %" PRIu64 " MiB that RAM repeats",
			       p->ram->fold / MIB);
	p->fold = at;
	add_area(p, -1, (struct span){ (uintptr_t)at, (uintptr_t)at + p->ram->fold });
	return 0;
}

/* A lane for each node and one for the rest, each with room for all areas that there can be. */
static int make_lanes(struct prefault *p, struct err *err)
{
	const struct ram *ram = p->ram;
	size_t most = ram->nr_bound + 1, areas = ram->nr_blocks + 2 * ram->nr_bound;

	p->lanes = calloc(most, sizeof(*p->lanes));
	p->areas = calloc(most * areas, sizeof(*p->areas));
	if (!p->lanes || !p->areas)
		return err_sys(err, ENOMEM, "out of memory for a list of guest RAM");
	for (size_t i = 0; i < most; i++)
		p->lanes[i].areas = p->areas + i * areas;
	if (ram->fold)
		return add_fold(p, err);
	for (size_t i = 0; i < ram->nr_blocks; i++)
		add_block(p, &ram->blocks[i]);
	return 0;
}

static void choose_cpus(struct lane *l)
{
	struct host_cpus all;

	cpus_allowed(&all);
	if (l->node >= 0)
		cpus_of_node("", (unsigned)l->node, &l->cpus);
	host_cpus_keep(&l->cpus, &all);
	if (host_cpus_none(&l->cpus)) /* memory alone, or CPUs that this process may not use */
		l->cpus = all;
}

static int fill_lane(struct prefault *p, struct lane *l, struct err *err)
{
	unsigned threads = p->nr_threads / p->nr_lanes + 1;
	uint64_t size, total = 0, n;

	for (size_t i = 0; i < l->nr_areas; i++)
		total += span_size(l->areas[i]);
	size = pieces_size(total, p->nr_lanes == 1 ? p->nr_threads : threads, p->ram->page_size);
	n = pieces_count(l->areas, l->nr_areas, size);
	l->done = calloc(n + 1, 1);
	if (!l->done)
		return err_sys(err, ENOMEM, "out of memory for a list of %" PRIu64 " pieces", n);
	pieces_init(&l->pieces, l->areas, l->nr_areas, size, l->done);
	if (p->ram->nr_bound)
		choose_cpus(l);
	return 0;
}

int prefault_begin(struct prefault *p, const struct ram *ram, struct err *err)
{
	int ret;

	p->ram = ram;
	ret = make_lanes(p, err);
	for (unsigned i = 0; ret == 0 && i < p->nr_lanes; i++)
		ret = fill_lane(p, &p->lanes[i], err);
	if (ret < 0)
		return ret;
	pthread_mutex_lock(&p->lock);
	p->begun = true;
	pthread_cond_broadcast(&p->news);
	pthread_mutex_unlock(&p->lock);
	return 0;
}

/* --- waiting --- */

static uint64_t touched(const struct prefault *p)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < p->nr_lanes; i++)
		sum += pieces_noted(&p->lanes[i].pieces);
	return sum;
}

static uint64_t to_touch(const struct prefault *p)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < p->nr_lanes; i++)
		sum += p->lanes[i].pieces.total;
	return sum;
}

static bool are_done(const struct prefault *p, struct span at)
{
	for (unsigned i = 0; i < p->nr_lanes; i++)
		if (!pieces_are_done(&p->lanes[i].pieces, at))
			return false;
	return true;
}

/* The guest address behind a host address. */
static uint64_t prefault_gpa(const struct prefault *p, uintptr_t at)
{
	if (p->fold)
		return at - (uintptr_t)p->fold;
	for (size_t i = 0; i < p->ram->nr_blocks; i++) {
		const struct ram_block *b = &p->ram->blocks[i];

		if (at - (uintptr_t)b->hva < span_size(b->gpa))
			return b->gpa.base + (at - (uintptr_t)b->hva);
	}
	return 0;
}

static int prefault_failed(const struct prefault *p, struct err *err)
{
	uint64_t page = p->ram->page_size, gpa = prefault_gpa(p, p->code_at);
	const char *name = page == GIB ? "1GB" : "2MB", *pool = page == GIB ? "1048576" : "2048";
	uint64_t there = touched(p) / MIB, all = to_touch(p) / MIB;
	int node = ram_node(p->ram, gpa);

	if (p->code == EHWPOISON)
		return err_set(
			err, p->code,
			"the host's memory has an error that its hardware cannot correct, "
			"in guest RAM at or above %#" PRIx64
			": start the guest again, which takes other pages; the host's kernel "
			"log names the bad one",
			gpa);
	if (p->code != EFAULT && p->code != ENOMEM)
		return err_sys(err, p->code, "guest RAM at or above %#" PRIx64 " cannot be touched",
			       gpa);
	if (node >= 0 && page == 4 * KIB)
		return err_set(err, p->code,
			       "node %d of the host has no memory left for guest RAM at or above "
			       "%#" PRIx64 ", which host= of --numa binds to it; %" PRIu64
			       " of %" PRIu64
			       " MiB are there: free memory on that node, bind less to it, or "
			       "leave host= out",
			       node, gpa, there, all);
	if (node >= 0)
		return err_set(err, p->code,
			       "there is no huge page left for guest RAM at or above %#" PRIx64
			       ", which host= of --numa binds to node %d of the host; %" PRIu64
			       " of %" PRIu64
			       " MiB are there: none is free on that node, or a control group "
			       "allows no more (hugetlb.%s.max); reserve more in "
			       "/sys/devices/system/node/node%d/hugepages/hugepages-%skB/"
			       "nr_hugepages, bind less to the node, or leave host= out",
			       gpa, node, there, all, name, node, pool);
	if (page != 4 * KIB)
		return err_set(err, p->code,
			       "the host has no huge page left for guest RAM at or above %#" PRIx64
			       ", %" PRIu64 " of %" PRIu64
			       " MiB are there: none is free on the nodes that this process may "
			       "use (cpuset.mems), or a control group allows no more "
			       "(hugetlb.%s.max); reserve more in /sys/kernel/mm/hugepages/"
			       "hugepages-%skB/nr_hugepages, or use --page-size 4K",
			       gpa, there, all, name, pool);
	return err_set(
		err, p->code,
		"the host has no memory left for guest RAM at or above %#" PRIx64 ", %" PRIu64
		" of %" PRIu64 " MiB are there: free memory on the host%s, use less --memory, or "
		"--prefault off",
		gpa, there, all, p->ram->memfd < 0 ? "" : " (shared memory has limits of its own)");
}

static void wait_for_news(struct prefault *p)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += TICK_MS * 1000000L;
	until.tv_sec += until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	pthread_cond_clockwait(&p->news, &p->lock, CLOCK_MONOTONIC, &until);
}

static int await_areas(struct prefault *p, struct span at, const struct prefault_watch *watch,
		       struct err *err)
{
	int ret = 0;

	pthread_mutex_lock(&p->lock);
	while (ret == 0 && !p->code && !are_done(p, at)) {
		wait_for_news(p);
		pthread_mutex_unlock(&p->lock);
		if (watch && watch->stop && watch->stop(watch->to))
			prefault_stop(p);
		else if (watch && watch->tick)
			watch->tick(watch->to, touched(p), to_touch(p));
		pthread_mutex_lock(&p->lock);
		if (stopped(p) && !p->code)
			ret = err_set(err, EINTR, "interrupted while guest RAM was touched");
	}
	if (p->code)
		ret = prefault_failed(p, err);
	pthread_mutex_unlock(&p->lock);
	return ret;
}

int prefault_await(struct prefault *p, struct span at, const struct prefault_watch *watch,
		   struct err *err)
{
	return p->fold ? prefault_await_all(p, watch, err) : await_areas(p, at, watch, err);
}

int prefault_await_all(struct prefault *p, const struct prefault_watch *watch, struct err *err)
{
	return await_areas(p, (struct span){ 0, UINT64_MAX }, watch, err);
}

/* --- the end --- */

void prefault_stop(struct prefault *p)
{
	pthread_mutex_lock(&p->lock);
	__atomic_store_n(&p->stop, true, __ATOMIC_RELAXED);
	pthread_cond_broadcast(&p->news);
	pthread_mutex_unlock(&p->lock);
}

void prefault_close(struct prefault *p)
{
	if (!p)
		return;
	prefault_stop(p);
	for (unsigned i = 0; i < p->nr_threads; i++)
		pthread_join(p->threads[i], NULL);
	if (p->fold)
		munmap(p->fold, p->ram->fold);
	pthread_cond_destroy(&p->news);
	pthread_mutex_destroy(&p->lock);
	for (unsigned i = 0; i < p->nr_lanes; i++)
		free(p->lanes[i].done);
	free(p->threads);
	free(p->lanes);
	free(p->areas);
	free(p);
}
