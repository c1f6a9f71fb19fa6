/*
 * What an overlay costs: a disk of private=on against a plain one, on the same image.
 *
 *	disk FOLDER MIB ROUNDS
 *
 * Makes an image in FOLDER and drives the back end without a guest, 32 requests at once, from the
 * page cache. Each round measures both disks, and takes turns which is first. Prints medians, in
 * MiB a second, and as MiB for a second of CPU time, which says more on a busy machine. TMPDIR is
 * where the private disk writes.
 */
#include "tests/bench/median.h"
#include "vmm/backends/disk.h"
#include "vmm/base/units.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define DEPTH	   32u
#define ROUNDS_MAX 100u
#define SECTOR	   512u

/* One request for each `every` bytes of the disk, in a shuffled order or not. */
struct measurement {
	const char *name;
	enum block_op op;
	uint64_t at, len, every;
	bool shuffled;
	bool reopens; /* with another image: what was written before is gone */
	bool sparse;  /* which has no data yet, so that both disks allocate space */
};

static const struct measurement measurements[] = {
	{ "read-4k-image", BLOCK_READ, 0, 4096, 4096, true, true, false },
	{ "read-1m-image", BLOCK_READ, 0, MIB, MIB, false, false, false },
	{ "write-4k-first", BLOCK_WRITE, 0, 4096, 4096, true, true, true },
	{ "write-4k-again", BLOCK_WRITE, 0, 4096, 4096, true, false, false },
	{ "read-4k-private", BLOCK_READ, 0, 4096, 4096, true, false, false },
	{ "write-1m-first", BLOCK_WRITE, 0, MIB, MIB, false, true, true },
	{ "write-1m-again", BLOCK_WRITE, 0, MIB, MIB, false, false, false },
	{ "read-1m-private", BLOCK_READ, 0, MIB, MIB, false, false, false },
	{ "write-512-copies", BLOCK_WRITE, 3 * SECTOR, SECTOR, 65536, true, true, false },
	{ "read-1m-mixed", BLOCK_READ, 0, MIB, MIB, false, false, false },
};

struct slot {
	struct block_request block; /* first */
	struct iovec part;
	uint8_t *data;
	bool busy;
};

static struct slot slots[DEPTH];
static unsigned nr_busy;
/* MiB a second, and for a second of CPU time */
static double seen[ARRAY_SIZE(measurements)][2][2][ROUNDS_MAX];

static void die(const char *what)
{
	fprintf(stderr, "disk: %s: %s\n", what, strerror(errno));
	exit(1);
}

static double now(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void on_done(struct block_request *r, int error)
{
	((struct slot *)r)->busy = false;
	nr_busy--;
	if (!error)
		return;
	errno = -error;
	die("a request");
}

static void start(struct disk *d, const struct measurement *m, uint64_t offset)
{
	struct slot *s = slots;

	while (s->busy)
		s++;
	s->busy = true;
	nr_busy++;
	s->part = (struct iovec){ s->data, m->len };
	s->block = (struct block_request){
		.op = m->op,
		.offset = offset + m->at,
		.len = m->len,
		.parts = &s->part,
		.nr_parts = 1,
		.done = on_done,
	};
	disk_queue_ops(d)->submit(&d->queues[0], &s->block);
}

static uint64_t gcd(uint64_t a, uint64_t b)
{
	return b ? gcd(b, a % b) : a;
}

static void measure(struct disk *d, const struct measurement *m, double *rate, double *cpu)
{
	uint64_t n = d->size / m->every, step = 1, next = 0, begun = 0;
	struct pollfd p = { d->queues[0].completed, POLLIN, 0 };
	double from = now(CLOCK_MONOTONIC), cpu_from = now(CLOCK_PROCESS_CPUTIME_ID);
	double mib = (double)(n * m->len) / MIB;

	if (m->shuffled) /* a step that has no divisor with n goes through all of them */
		for (step = n / 3 | 1; gcd(step, n) != 1; step++)
			;
	while (begun < n || nr_busy) {
		for (; begun < n && nr_busy < DEPTH; begun++) {
			start(d, m, next * m->every);
			next = (next + step) % n;
		}
		disk_queue_ops(d)->flush(&d->queues[0]);
		if (nr_busy && poll(&p, 1, nr_busy < DEPTH && begun < n ? 0 : -1) > 0)
			disk_reap(&d->queues[0]);
	}
	*rate = mib / (now(CLOCK_MONOTONIC) - from);
	*cpu = mib / (now(CLOCK_PROCESS_CPUTIME_ID) - cpu_from);
}

static void make_image(const char *path, uint64_t size, bool sparse)
{
	int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);

	if (fd < 0 || ftruncate(fd, (off_t)size) < 0)
		die(path);
	for (uint64_t at = 0; at < size && !sparse; at += MIB)
		if (pwrite(fd, slots[0].data, MIB, (off_t)at) != (ssize_t)MIB)
			die(path);
	close(fd);
}

static void run(const char *path, uint64_t size, bool is_private, unsigned round)
{
	const struct disk_options options = { .queues = 1, .is_private = is_private };
	struct disk d = DISK_EMPTY;
	struct err err;

	for (unsigned i = 0; i < ARRAY_SIZE(measurements); i++) {
		const struct measurement *m = &measurements[i];

		if (m->reopens) {
			disk_close(&d);
			make_image(path, size, m->sparse);
			if (disk_open(&d, path, &options, &err) < 0) {
				fprintf(stderr, "%s\n", err.text);
				exit(1);
			}
		}
		measure(&d, m, &seen[i][is_private][0][round], &seen[i][is_private][1][round]);
	}
	disk_close(&d);
}

int main(int argc, char *argv[])
{
	unsigned rounds = argc == 4 ? (unsigned)atoi(argv[3]) : 0;
	uint64_t mib = argc == 4 ? (uint64_t)atoll(argv[2]) : 0;
	char path[4096];

	if (!mib || !rounds || rounds > ROUNDS_MAX) {
		fprintf(stderr, "usage: disk FOLDER MIB ROUNDS\n");
		return 1;
	}
	snprintf(path, sizeof(path), "%s/straddle-bench-%d", argv[1], (int)getpid());
	for (unsigned i = 0; i < DEPTH; i++) {
		if (posix_memalign((void **)&slots[i].data, 4096, MIB))
			die("memory");
		memset(slots[i].data, (int)i + 1, MIB);
	}
	for (unsigned round = 0; round < rounds; round++)
		for (unsigned turn = 0; turn < 2; turn++)
			run(path, mib * MIB, (round + turn) % 2, round);
	unlink(path);
	printf("%-18s %26s %26s\n", "private=on", "MiB/s", "MiB for a second of CPU");
	printf("%-18s", "");
	for (unsigned what = 0; what < 2; what++)
		printf(" %9s %9s %6s", "plain", "private", "ratio");
	printf("\n");
	for (unsigned i = 0; i < ARRAY_SIZE(measurements); i++) {
		printf("%-18s", measurements[i].name);
		for (unsigned what = 0; what < 2; what++) {
			double plain = median(seen[i][false][what], rounds);
			double private = median(seen[i][true][what], rounds);

			printf(" %9.0f %9.0f %6.2f", plain, private, private / plain);
		}
		printf("\n");
	}
	return 0;
}
