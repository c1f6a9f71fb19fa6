/*
 * What touching guest RAM costs beside the least that it can: straddle's --prefault against as many
 * threads that clear the same memory with memset(3), each its equal part.
 *
 *	prefault MIB ROUNDS	prints medians, for pages of 4 KiB and transparent huge pages
 *
 * Each round does both, in turns, on memory that is new. MIB is cut to three quarters of what the
 * host has available.
 */
#include "tests/bench/median.h"
#include "vmm/host/cpus.h"
#include "vmm/host/memory.h"
#include "vmm/host/prefault.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#define ROUNDS_MAX  100u
#define THREADS_MAX 1024u

static unsigned nr_threads;
static double seen[2][2][ROUNDS_MAX]; /* seconds: of small or huge pages, plain or ours */

static void die(const char *what)
{
	fprintf(stderr, "prefault: %s: %s\n", what, strerror(errno));
	exit(1);
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void *clear_part(void *arg)
{
	const struct span *part = arg;

	memset((void *)(uintptr_t)part->base, 0, span_size(*part));
	return NULL;
}

/* Threads are made inside of the time that is measured: so they are by straddle. */
static void clear_all(const struct ram *ram)
{
	static pthread_t threads[THREADS_MAX];
	static struct span parts[THREADS_MAX];
	uintptr_t at = (uintptr_t)ram->blocks[0].hva;
	uint64_t size = span_size(ram->blocks[0].gpa);

	for (unsigned i = 0; i < nr_threads; i++) {
		parts[i].base = at + align_down(size / nr_threads * i, 2 * MIB);
		parts[i].end = i + 1 < nr_threads
				       ? at + align_down(size / nr_threads * (i + 1), 2 * MIB)
				       : at + size;
		errno = pthread_create(&threads[i], NULL, clear_part, &parts[i]);
		if (errno)
			die("a thread");
	}
	for (unsigned i = 0; i < nr_threads; i++)
		pthread_join(threads[i], NULL);
}

static double measure(uint64_t size, bool huge, bool ours)
{
	const struct ram_backing backing = { .page_size = 4 * KIB };
	const struct span span = { 0, size };
	struct prefault *p = NULL;
	double start = now(), making;
	struct ram ram;
	struct err err;

	if ((ours && prefault_open(&p, nr_threads, &err) < 0)) {
		fprintf(stderr, "prefault: %s\n", err.text);
		exit(1);
	}
	making = now();
	if (ram_create(&ram, &span, 1, &backing, &err) < 0) {
		fprintf(stderr, "prefault: %s\n", err.text);
		exit(1);
	}
	madvise(ram.blocks[0].hva, size, huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
	start += now() - making; /* making RAM is not measured */
	if (!ours) {
		clear_all(&ram);
	} else if (prefault_begin(p, &ram, &err) < 0 || prefault_await_all(p, NULL, &err) < 0) {
		fprintf(stderr, "prefault: %s\n", err.text);
		exit(1);
	}
	start = now() - start;
	prefault_close(p);
	ram_destroy(&ram);
	return start;
}

int main(int argc, char *argv[])
{
	unsigned rounds = argc == 3 ? (unsigned)atoi(argv[2]) : 0;
	uint64_t size = argc == 3 ? (uint64_t)atoll(argv[1]) * MIB : 0;
	struct host_memory memory;

	if (!size || !rounds || rounds > ROUNDS_MAX) {
		fprintf(stderr, "usage: prefault MIB ROUNDS\n");
		return 1;
	}
	host_memory_probe("", &memory);
	size = align_down(min_u64(size, memory.available / 4 * 3), 2 * MIB);
	nr_threads = cpus_usable("");
	if (nr_threads > THREADS_MAX)
		nr_threads = THREADS_MAX;
	for (unsigned huge = 0; huge < 2; huge++)
		for (unsigned round = 0; round < rounds; round++)
			for (unsigned turn = 0; turn < 2; turn++) {
				unsigned ours = (round + turn) % 2;

				seen[huge][ours][round] = measure(size, huge, ours);
			}
	printf("%.1f GiB, %u threads, medians of %u\n", (double)size / GIB, nr_threads, rounds);
	printf("%-10s %14s %16s %6s\n", "pages", "memset, GiB/s", "prefault, GiB/s", "ratio");
	for (unsigned huge = 0; huge < 2; huge++) {
		double plain = (double)size / GIB / median(seen[huge][0], rounds);
		double ours = (double)size / GIB / median(seen[huge][1], rounds);

		printf("%-10s %14.2f %16.2f %6.2f\n", huge ? "THP" : "4 KiB", plain, ours,
		       ours / plain);
	}
	return 0;
}
