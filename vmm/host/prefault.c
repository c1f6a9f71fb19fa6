#include "vmm/host/prefault.h"

#include "vmm/base/pieces.h"
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

struct prefault {
	pthread_t *threads;
	unsigned nr_threads;
	const struct ram *ram;
	uint8_t *fold; /* the memory that RAM repeats, mapped once more; NULL: it repeats none */
	struct span *areas;
	uint8_t *done;
	struct pieces pieces;
	bool no_populate; /* the kernel is too old; any thread */
	bool yields;	  /* to other threads, by their priority */
	bool stop;	  /* any thread */
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

static int touch_piece(struct prefault *p, struct span at, uintptr_t *failed)
{
	uint64_t step = max_u64(STEP, p->ram->page_size);

	while (!span_empty(at)) {
		uint64_t len = min_u64(step, span_size(at)), done;
		int ret;

		if (stopped(p))
			return -EINTR;
		ret = touch_step(p, (uint8_t *)(uintptr_t)at.base, len, &done);
		pieces_note(&p->pieces, done);
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

static void finish_piece(struct prefault *p, uint64_t number, int ret, uintptr_t failed)
{
	pthread_mutex_lock(&p->lock);
	if (ret == 0) {
		pieces_finish(&p->pieces, number);
	} else if (ret != -EINTR && !p->code) {
		p->code = -ret;
		p->code_at = failed;
	}
	if (ret < 0)
		__atomic_store_n(&p->stop, true, __ATOMIC_RELAXED);
	pthread_cond_broadcast(&p->news);
	pthread_mutex_unlock(&p->lock);
}

static void *prefault_serve(void *arg)
{
	struct prefault *p = arg;
	uint64_t number;
	struct span at;

	thread_name("prefault");
	pthread_mutex_lock(&p->lock);
	while (!p->begun && !stopped(p))
		pthread_cond_wait(&p->news, &p->lock);
	pthread_mutex_unlock(&p->lock);
	if (p->yields)
		thread_yields();
	while (!stopped(p) && pieces_claim(&p->pieces, &number, &at)) {
		uintptr_t failed = 0;
		int ret = touch_piece(p, at, &failed);

		finish_piece(p, number, ret, failed);
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

static size_t list_blocks(struct span *areas, const struct ram *ram)
{
	for (size_t i = 0; i < ram->nr_blocks; i++) {
		areas[i].base = (uintptr_t)ram->blocks[i].hva;
		areas[i].end = areas[i].base + span_size(ram->blocks[i].gpa);
	}
	return ram->nr_blocks;
}

static int list_fold(struct prefault *p, struct err *err)
{
	void *at = mmap(NULL, p->ram->fold, PROT_READ | PROT_WRITE, MAP_SHARED, p->ram->memfd, 0);

	if (at == MAP_FAILED)
		return err_sys(err, errno, "cannot map the %" PRIu64 " MiB that RAM repeats",
			       p->ram->fold / MIB);
	p->fold = at;
	p->areas[0] = (struct span){ (uintptr_t)at, (uintptr_t)at + p->ram->fold };
	return 1;
}

int prefault_begin(struct prefault *p, const struct ram *ram, struct err *err)
{
	uint64_t size, total = 0, n;
	int nr_areas;

	p->ram = ram;
	p->areas = calloc(ram->nr_blocks + 1, sizeof(*p->areas));
	if (!p->areas)
		return err_sys(err, ENOMEM, "out of memory for a list of guest RAM");
	nr_areas = ram->fold ? list_fold(p, err) : (int)list_blocks(p->areas, ram);
	if (nr_areas < 0)
		return nr_areas;
	for (int i = 0; i < nr_areas; i++)
		total += span_size(p->areas[i]);
	size = pieces_size(total, p->nr_threads, ram->page_size);
	n = pieces_count(p->areas, (size_t)nr_areas, size);
	p->done = calloc(n + 1, 1);
	if (!p->done)
		return err_sys(err, ENOMEM, "out of memory for a list of %" PRIu64 " pieces", n);
	pieces_init(&p->pieces, p->areas, (size_t)nr_areas, size, p->done);
	pthread_mutex_lock(&p->lock);
	p->begun = true;
	pthread_cond_broadcast(&p->news);
	pthread_mutex_unlock(&p->lock);
	return 0;
}

/* --- waiting --- */

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
	uint64_t there = pieces_noted(&p->pieces) / MIB, all = p->pieces.total / MIB;

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
	while (ret == 0 && !p->code && !pieces_are_done(&p->pieces, at)) {
		wait_for_news(p);
		pthread_mutex_unlock(&p->lock);
		if (watch && watch->stop && watch->stop(watch->to))
			prefault_stop(p);
		else if (watch && watch->tick)
			watch->tick(watch->to, pieces_noted(&p->pieces), p->pieces.total);
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
	free(p->threads);
	free(p->areas);
	free(p->done);
	free(p);
}
