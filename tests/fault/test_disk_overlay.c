/*
 * Private disks: random requests against a model in memory, requests that meet in a cluster, hosts
 * without room, and the image, of which no byte may change.
 */
#include "tests/fault/wrap.h"
#include "vmm/backends/disk.h"
#include "vmm/base/span.h"
#include "vmm/host/temp_file.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <liburing.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECTOR	512u
#define CLUSTER DISK_CLUSTER
#define SIZE	(100 * CLUSTER + 3 * SECTOR) /* the last cluster is a short one */

static const struct disk_options buffered = { .queues = 2, .is_private = true };
static const struct disk_options direct = { .queues = 2, .is_private = true, .direct = true };
static char path[] = "straddle-fake-image-XXXXXX"; /* here: /tmp may have no O_DIRECT */
static char folder[] = "straddle-fake-folder-XXXXXX";
static uint8_t model[SIZE], image[SIZE];
static struct disk disk = DISK_EMPTY;
static struct err err;

static int make_image(void **state)
{
	int fd = mkstemp(path);

	(void)state;
	if (fd < 0 || !mkdtemp(folder) || setenv("TMPDIR", folder, 1) < 0)
		return -1;
	for (size_t i = 0; i < SIZE; i++)
		image[i] = (uint8_t)(i / SECTOR * 5 + i % 251 + 1);
	if (pwrite(fd, image, SIZE, 0) != SIZE)
		return -1;
	return close(fd);
}

static int remove_image(void **state)
{
	(void)state;
	return unlink(path) || rmdir(folder);
}

static void nothing_changes(void)
{
}

static int reset(void **state)
{
	int ret = wrap_setup(state);

	disk_close(&disk); /* what a test that failed left open */
	wrap_sleep(nothing_changes);
	memcpy(model, image, SIZE);
	return ret;
}

static void assert_unchanged(void)
{
	static uint8_t now[SIZE + 1];
	int fd = open(path, O_RDONLY);

	assert_int_equal(read(fd, now, sizeof(now)), SIZE);
	close(fd);
	assert_memory_equal(now, image, SIZE);
}

/* Each test's last call: the image is as it was, and the folder is empty, as it is all the time. */
static void end_of_test(void)
{
	disk_close(&disk);
	assert_unchanged();
}

static unsigned files_in_folder(void)
{
	DIR *dir = opendir(folder);
	unsigned n = 0;

	assert_non_null(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n - 2; /* "." and ".." */
}

/* --- requests --- */

static char heard[4096];

static void hear(void *to, const char *sentence)
{
	size_t len = strlen(heard);

	(void)to;
	snprintf(heard + len, sizeof(heard) - len, "%s\n", sentence);
}

/* By a ring or by threads: what the test's state says. */
static void open_served(const char *by, const struct disk_options *options)
{
	heard[0] = '\0';
	if (by)
		wrap_fail_named("io_uring_queue_init", 1, EPERM);
	if (disk_open(&disk, path, options, &err) != 0)
		fail_msg("%s", err.text);
	assert_int_equal(disk.no_ring, by ? -EPERM : 0);
	disk_listen(&disk, hear, NULL);
}

/* A request with its buffer in two parts. */
struct op {
	struct block_request block; /* first */
	struct iovec parts[2];
	uint8_t *data;
	bool done;
	int result;
};

static void on_done(struct block_request *r, int error)
{
	struct op *op = (struct op *)r;

	op->done = true;
	op->result = error;
}

static void submit_to(unsigned queue, struct op *op)
{
	const struct block_queue_ops *ops = disk_queue_ops(&disk);

	op->block.done = on_done;
	op->done = false;
	ops->submit(&disk.queues[queue], &op->block);
	ops->flush(&disk.queues[queue]);
}

/* Until something of these queues ended or is to be tried again. */
static void wait_and_reap(unsigned first, unsigned last)
{
	struct pollfd p[4];
	unsigned n = 0;

	for (unsigned i = first; i <= last; i++) {
		p[n++] = (struct pollfd){ disk.queues[i].completed, POLLIN, 0 };
		p[n++] = (struct pollfd){ disk.queues[i].timer, POLLIN, 0 };
	}
	poll(p, n, -1);
	for (unsigned i = first; i <= last; i++)
		disk_reap(&disk.queues[i]);
}

static void wait_for(unsigned queue, struct op *op)
{
	while (!op->done)
		wait_and_reap(queue, queue);
}

static void set_parts(struct op *op, uint8_t *data, uint64_t len, uint64_t first)
{
	op->data = data;
	op->parts[0] = (struct iovec){ data, first };
	op->parts[1] = (struct iovec){ data + first, len - first };
	op->block.parts = op->parts;
	op->block.nr_parts = 2;
}

static int serve(enum block_op what, uint64_t offset, void *data, uint64_t len)
{
	struct op op = { .block = { .op = what, .offset = offset, .len = len } };

	if (data)
		set_parts(&op, data, len, len / 2);
	submit_to(0, &op);
	wait_for(0, &op);
	return op.result;
}

static int write_byte(uint8_t byte, uint64_t offset, uint64_t len)
{
	static uint8_t data[SIZE];

	memset(data, byte, len);
	return serve(BLOCK_WRITE, offset, data, len);
}

/* All that the guest reads is what the model has. */
static void assert_as_model(void)
{
	static uint8_t all[SIZE];

	memset(all, 0, sizeof(all));
	assert_int_equal(serve(BLOCK_READ, 0, all, SIZE), 0);
	for (unsigned i = 0; i < SIZE; i += SECTOR)
		if (memcmp(all + i, model + i, SECTOR))
			fail_msg("sector %u is not what was written", i / SECTOR);
}

/* --- random requests --- */

static uint64_t random_below(uint64_t *seed, uint64_t n)
{
	*seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (*seed >> 33) % n;
}

#define BATCH 12

/* Whether no request before it in the batch touches one of its sectors. */
static bool is_apart(const struct op *ops, unsigned n, uint64_t offset, uint64_t len)
{
	for (unsigned i = 0; i < n; i++)
		if (offset < ops[i].block.offset + ops[i].block.len &&
		    ops[i].block.offset < offset + len)
			return false;
	return true;
}

static void make_op(struct op *op, uint64_t *seed, const struct op *others, unsigned n)
{
	static const enum block_op kinds[] = { BLOCK_READ,  BLOCK_READ,	   BLOCK_WRITE,
					       BLOCK_WRITE, BLOCK_DISCARD, BLOCK_ZERO };
	uint64_t unit = random_below(seed, 2) ? SECTOR : CLUSTER, offset, len;
	enum block_op what = kinds[random_below(seed, ARRAY_SIZE(kinds))];

	if (what == BLOCK_DISCARD) /* what it does to a part of a cluster is not said */
		unit = CLUSTER;
	do {
		offset = random_below(seed, SIZE / unit) * unit;
		len = min_u64((1 + random_below(seed, random_below(seed, 8) ? 9 : 24)) * unit,
			      SIZE - offset);
		if (what == BLOCK_DISCARD)
			len = align_down(len, CLUSTER);
	} while (!len || !is_apart(others, n, offset, len));
	*op = (struct op){ .block = { .op = what, .offset = offset, .len = len } };
	op->block.may_unmap = random_below(seed, 2);
	if (what == BLOCK_READ || what == BLOCK_WRITE) {
		/* Aligned as O_DIRECT wants it, or not. */
		uint8_t *all = aligned_alloc(CLUSTER, align_up(SIZE, CLUSTER) + CLUSTER);

		assert_non_null(all);
		set_parts(op, all + (random_below(seed, 2) ? SECTOR : 1), len,
			  random_below(seed, len / SECTOR + 1) * SECTOR);
	}
	for (uint64_t i = 0; i < len; i++) {
		if (what == BLOCK_WRITE)
			model[offset + i] = op->data[i] = (uint8_t)random_below(seed, 256);
		else if (what != BLOCK_READ)
			model[offset + i] = 0;
	}
}

/* Both queues have all their requests at once, and all may meet in clusters. */
static void run_batch(uint64_t *seed)
{
	struct op ops[BATCH];

	for (unsigned i = 0; i < BATCH; i++)
		make_op(&ops[i], seed, ops, i);
	for (unsigned i = 0; i < BATCH; i++)
		submit_to(i % 2, &ops[i]);
	for (unsigned i = 0; i < BATCH; i++) {
		while (!ops[i].done)
			wait_and_reap(0, 1);
		if (ops[i].result)
			fail_msg("request %u: %d", i, ops[i].result);
		if (ops[i].block.op == BLOCK_READ)
			assert_memory_equal(ops[i].data, model + ops[i].block.offset,
					    ops[i].block.len);
		free((void *)align_down((uintptr_t)ops[i].data, CLUSTER));
	}
}

static void random_requests(const char *by, const struct disk_options *options)
{
	struct disk_options with = *options;

	with.discard = true;
	for (uint64_t seed = 1; seed < 9; seed++) {
		uint64_t state = seed;

		memcpy(model, image, SIZE);
		open_served(by, &with);
		for (unsigned batch = 0; batch < 20; batch++)
			run_batch(&state);
		assert_as_model();
		assert_ptr_equal(disk.overlay.waiting, NULL);
		for (uint64_t i = 0; i < disk.overlay.map_size / 16; i++)
			assert_int_equal(((uint8_t *)disk.overlay.claimed)[i], 0);
		end_of_test();
	}
}

static void test_random(void **state)
{
	random_requests(*state, &buffered);
}

static void test_random_direct(void **state)
{
	random_requests(*state, &direct);
}

/* Two queues on two threads, each with every other sector of the same clusters. */
static void *every_other_sector(void *arg)
{
	unsigned queue = *(unsigned *)arg;
	uint64_t seed = queue + 1;

	for (unsigned i = 0; i < 400; i++) {
		uint64_t sector = random_below(&seed, SIZE / SECTOR / 2) * 2 + queue;
		uint8_t data[SECTOR];
		struct op op = { .block = { .op = BLOCK_WRITE, .len = SECTOR } };

		op.block.offset = sector * SECTOR;
		if (random_below(&seed, 3) == 0)
			op.block.op = BLOCK_READ;
		memset(data, (int)i, SECTOR);
		set_parts(&op, data, SECTOR, 100);
		submit_to(queue, &op);
		wait_for(queue, &op);
		if (op.result ||
		    (op.block.op == BLOCK_READ && memcmp(data, model + op.block.offset, SECTOR)))
			return arg;
		memcpy(model + op.block.offset, data, SECTOR);
	}
	return NULL;
}

static void test_two_threads(void **state)
{
	unsigned queues[2] = { 0, 1 };
	pthread_t threads[2];
	void *failed;

	open_served(*state, &buffered);
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, every_other_sector, &queues[i]),
				 0);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(pthread_join(threads[i], &failed), 0);
		assert_null(failed);
	}
	assert_as_model();
	end_of_test();
}

/* --- claims --- */

static struct disk_overlay overlay;

static struct block_request request(enum block_op op, uint64_t offset, uint64_t len)
{
	return (struct block_request){ .op = op, .offset = offset, .len = len };
}

/* The step that is planned for a request, in one line. */
static bool planned(struct block_request *r, enum block_step_how how, uint64_t len, uint64_t from,
		    uint64_t to)
{
	return disk_overlay_plan(&overlay, r) && r->step.how == how && r->step.len == len &&
	       r->step.claim_from == from && r->step.claim_to == to;
}

static struct block_request *ended(struct block_request *r, int result, int wanted)
{
	struct block_request *awake;

	assert_int_equal(disk_overlay_end(&overlay, r, result, &awake), wanted);
	return awake;
}

static void test_claims(void **state)
{
	const uint64_t c = CLUSTER;
	struct block_request part = request(BLOCK_WRITE, 2 * c + 512, 512);
	struct block_request other = request(BLOCK_WRITE, 2 * c + 1024, 512);
	struct block_request whole = request(BLOCK_WRITE, c, 4 * c);
	struct block_request apart = request(BLOCK_WRITE, 6 * c, c);
	struct block_request read = request(BLOCK_READ, 0, 8 * c);

	(void)state;
	assert_int_equal(disk_overlay_open(&overlay, path, SIZE, &err), 0);
	assert_true(planned(&part, BLOCK_STEP_COPY, 512, 2, 3));
	assert_false(disk_overlay_plan(&overlay, &other));
	assert_false(disk_overlay_plan(&overlay, &whole));
	assert_true(planned(&apart, BLOCK_STEP_PRIVATE, c, 6, 7));
	assert_true(planned(&read, BLOCK_STEP_IMAGE, 8 * c, 0, 0));
	assert_null(ended(&read, (int)(8 * c), (int)(8 * c)));
	/* Both wake up; the cluster is no longer the image's, so the other one claims nothing. */
	assert_ptr_equal(ended(&part, 512, 512), &whole);
	assert_ptr_equal(whole.next, &other);
	assert_true(planned(&other, BLOCK_STEP_PRIVATE, 512, 0, 0));
	assert_true(planned(&whole, BLOCK_STEP_PRIVATE, 4 * c, 1, 5));
	assert_true(planned(&read, BLOCK_STEP_IMAGE, 2 * c, 0, 0));
	/* A step that failed leaves the clusters to the image. */
	assert_null(ended(&whole, -EIO, -EIO));
	read = request(BLOCK_READ, c, 4 * c);
	assert_true(planned(&read, BLOCK_STEP_IMAGE, c, 0, 0));
	read.moved = c;
	assert_true(planned(&read, BLOCK_STEP_PRIVATE, c, 0, 0));
	read.moved = 2 * c;
	assert_true(planned(&read, BLOCK_STEP_IMAGE, 2 * c, 0, 0));
	disk_overlay_close(&overlay);
}

static void *plan_it(void *arg)
{
	return disk_overlay_plan(&overlay, arg) ? arg : NULL;
}

/* Another write ends between the two looks at the map: there is nothing to copy any more. */
static void test_overtaken(void **state)
{
	struct block_request r = request(BLOCK_WRITE, 512, 512);
	pthread_t thread;
	void *planned_it;

	(void)state;
	assert_int_equal(disk_overlay_open(&overlay, path, SIZE, &err), 0);
	pthread_mutex_lock(&overlay.lock);
	assert_int_equal(pthread_create(&thread, NULL, plan_it, &r), 0);
	poll(NULL, 0, 100); /* it looks, and waits for the lock */
	__atomic_fetch_or(&overlay.written[0], 1, __ATOMIC_RELEASE);
	pthread_mutex_unlock(&overlay.lock);
	assert_int_equal(pthread_join(thread, &planned_it), 0);
	assert_ptr_equal(planned_it, &r);
	assert_int_equal(r.step.how, BLOCK_STEP_PRIVATE);
	assert_int_equal(r.step.claim_to, 0);
	disk_overlay_close(&overlay);
}

/* A write that the kernel ends early counts up to the last cluster that is whole. */
static void test_short_writes(void **state)
{
	const uint64_t c = CLUSTER;
	struct block_request r = request(BLOCK_WRITE, 8 * c, 4 * c + 512);
	struct block_request other = request(BLOCK_WRITE, 12 * c, 512);

	(void)state;
	assert_int_equal(disk_overlay_open(&overlay, path, SIZE, &err), 0);
	assert_true(planned(&r, BLOCK_STEP_PRIVATE, 4 * c, 8, 12));
	assert_null(ended(&r, (int)c + 100, (int)c));
	r.moved = c;
	assert_true(planned(&r, BLOCK_STEP_PRIVATE, 3 * c, 9, 12));
	assert_null(ended(&r, 100, -EAGAIN)); /* again, and by another way */
	assert_true(planned(&r, BLOCK_STEP_COPY, c, 9, 10));
	assert_null(ended(&r, -ENOSPC, -ENOSPC));
	assert_true(planned(&r, BLOCK_STEP_COPY, c, 9, 10)); /* it waited for room */
	assert_null(ended(&r, (int)c, (int)c));
	r.moved = 2 * c;
	assert_true(planned(&r, BLOCK_STEP_PRIVATE, 2 * c, 10, 12));
	assert_null(ended(&r, (int)(2 * c), (int)(2 * c)));
	r.moved = 4 * c;
	assert_true(planned(&r, BLOCK_STEP_COPY, 512, 12, 13));
	assert_null(ended(&r, 512, 512));
	/* All of it is private now, so any number of bytes counts. */
	r.moved = 0;
	assert_true(planned(&r, BLOCK_STEP_PRIVATE, 4 * c + 512, 0, 0));
	assert_null(ended(&r, 100, 100));
	assert_true(planned(&other, BLOCK_STEP_PRIVATE, 512, 0, 0));
	/* A claim behind a cluster that is private in part of the request, and ended in either. */
	for (int i = 0; i < 2; i++) {
		r = request(BLOCK_WRITE, 12 * c + 512, 2 * c - 512);
		assert_true(planned(&r, BLOCK_STEP_PRIVATE, 2 * c - 512, 13, 14));
		assert_null(ended(&r, i ? 5000 : 100, i ? (int)c - 512 : 100));
	}
	disk_overlay_close(&overlay);
}

/* One fallocate(2) for whole clusters; parts of clusters are copied with zeroes, or left alone. */
static void test_space_steps(void **state)
{
	const uint64_t c = CLUSTER;
	struct block_request zero = request(BLOCK_ZERO, c + 512, 2 * c);
	struct block_request discard = request(BLOCK_DISCARD, 8 * c + 512, 2 * c);
	struct block_request end = request(BLOCK_DISCARD, 99 * c, SIZE - 99 * c);

	(void)state;
	assert_int_equal(disk_overlay_open(&overlay, path, SIZE, &err), 0);
	assert_true(planned(&zero, BLOCK_STEP_COPY, c - 512, 1, 2));
	assert_null(ended(&zero, (int)c - 512, (int)c - 512));
	zero.moved = c - 512;
	assert_true(planned(&zero, BLOCK_STEP_PRIVATE, c, 2, 3));
	assert_null(ended(&zero, 0, 0));
	zero.moved += c;
	assert_true(planned(&zero, BLOCK_STEP_COPY, 512, 3, 4));
	assert_null(ended(&zero, 512, 512));
	zero.moved = 0;
	assert_true(planned(&zero, BLOCK_STEP_PRIVATE, 2 * c, 0, 0));
	assert_true(planned(&discard, BLOCK_STEP_NOTHING, c - 512, 0, 0));
	discard.moved = c - 512;
	assert_true(planned(&discard, BLOCK_STEP_PRIVATE, c, 9, 10));
	assert_null(ended(&discard, -EOPNOTSUPP, -EOPNOTSUPP));
	assert_true(planned(&discard, BLOCK_STEP_PRIVATE, c, 9, 10));
	assert_null(ended(&discard, 0, 0));
	discard.moved += c;
	assert_true(planned(&discard, BLOCK_STEP_NOTHING, 512, 0, 0));
	assert_true(planned(&end, BLOCK_STEP_PRIVATE, SIZE - 99 * c, 99, 101));
	assert_null(ended(&end, 0, 0));
	disk_overlay_close(&overlay);
}

/* --- hosts --- */

/* Another file in the place of the temporary one; -1: its own again. */
static void put_behind(int fd)
{
	static int own = -1;

	if (own < 0)
		own = dup(disk.overlay.fd);
	assert_true(dup2(fd < 0 ? own : fd, disk.overlay.fd) >= 0);
	close(fd < 0 ? own : fd);
	own = fd < 0 ? -1 : own;
}

/*
 * A write of whole clusters, and one that copies. Both wait for room, and get it; in the guest's
 * next life they wait until it resets the disk.
 */
static void test_no_room(void **state)
{
	open_served(*state, &buffered);
	for (int life = 0; life < 2; life++) {
		uint8_t data[2][2 * CLUSTER];
		struct op ops[2];

		put_behind(open("/dev/full", O_RDWR)); /* ENOSPC */
		for (unsigned i = 0; i < 2; i++) {
			memset(data[i], 0x11, sizeof(data[i]));
			ops[i] = (struct op){ .block = { .op = BLOCK_WRITE } };
			ops[i].block.offset = life * 20 * CLUSTER + (i ? 10 * CLUSTER + SECTOR : 0);
			ops[i].block.len = i ? SECTOR : 2 * CLUSTER;
			set_parts(&ops[i], data[i], ops[i].block.len, SECTOR);
			submit_to(0, &ops[i]);
		}
		while (disk.nr_held < 2)
			wait_and_reap(0, 0);
		assert_false(ops[0].done || ops[1].done);
		assert_non_null(strstr(heard, "the host has no room for straddle-fake-image-"));
		assert_non_null(strstr(heard, " in straddle-fake-folder-"));
		if (life == 1)
			disk_queue_ops(&disk)->drain(&disk.queues[0], true);
		put_behind(-1);
		wait_for(0, &ops[0]);
		wait_for(0, &ops[1]);
		assert_int_equal(ops[0].result, life ? -ENOSPC : 0);
		assert_int_equal(ops[1].result, life ? -ENOSPC : 0);
		assert_non_null(strstr(heard, "again; the guest's writes go on"));
	}
	memset(model, 0x11, 2 * CLUSTER);
	memset(model + 10 * CLUSTER + SECTOR, 0x11, SECTOR);
	assert_as_model();
	end_of_test();
}

static void test_no_room_is_an_error(void **state)
{
	struct disk_options options = buffered;

	options.fail_when_full = true;
	open_served(*state, &options);
	put_behind(open("/dev/full", O_RDWR));
	assert_int_equal(write_byte(1, 0, 2 * CLUSTER), -ENOSPC);
	assert_int_equal(write_byte(1, 5 * CLUSTER, SECTOR), -ENOSPC);
	put_behind(-1);
	assert_as_model(); /* what failed has changed nothing */
	assert_non_null(strstr(heard, " in straddle-fake-folder-"));
	end_of_test();
}

/* ulimit -f, in the middle of a cluster: a short write, and the error of its rest. */
static void test_size_limit(void **state)
{
	struct rlimit was, limit;

	signal(SIGXFSZ, SIG_IGN); /* as main() does */
	open_served(*state, &buffered);
	getrlimit(RLIMIT_FSIZE, &was);
	limit = (struct rlimit){ CLUSTER + 2 * SECTOR, was.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	assert_int_equal(write_byte(0x22, 0, 3 * CLUSTER), -EFBIG);
	setrlimit(RLIMIT_FSIZE, &was);
	memset(model, 0x22, CLUSTER); /* of the second cluster nothing */
	assert_as_model();
	assert_int_equal(write_byte(0x33, CLUSTER + SECTOR, SECTOR), 0);
	memset(model + CLUSTER + SECTOR, 0x33, SECTOR);
	assert_as_model();
	end_of_test();
	setrlimit(RLIMIT_FSIZE, &limit);
	assert_int_equal(disk_open(&disk, path, &buffered, &err), -EFBIG);
	setrlimit(RLIMIT_FSIZE, &was);
	wrap_assert_says(&err, "ulimit -f");
}

/* A copy reads the image in as many calls as it takes; where the image has ended meanwhile, it
 * fails. */
static void test_short_reads(void **state)
{
	open_served(*state, &buffered);
	wrap_short_reads(100);
	assert_int_equal(write_byte(0x44, SECTOR, SECTOR), 0);
	wrap_short_reads(0);
	memset(model + SECTOR, 0x44, SECTOR);
	assert_as_model();
	assert_int_equal(truncate(path, 50 * CLUSTER), 0);
	assert_int_equal(write_byte(0x44, 60 * CLUSTER, SECTOR), -EIO);
	assert_non_null(strstr(heard, "writing straddle-fake-image-"));
	assert_int_equal(write_byte(0x55, 60 * CLUSTER, CLUSTER), 0);
	disk_close(&disk);
	open_served(NULL, &buffered);
	assert_int_equal(truncate(path, 40 * CLUSTER), 0);
	assert_int_equal(serve(BLOCK_READ, 45 * CLUSTER, model, CLUSTER), -EIO);
	assert_non_null(strstr(heard, "reading straddle-fake-image-"));
	assert_null(strstr(heard, folder)); /* it was the image's error */
	disk_close(&disk);
	int fd = open(path, O_WRONLY);

	assert_int_equal(pwrite(fd, image, SIZE, 0), SIZE);
	close(fd);
}

static unsigned nr_refused;

/* The ways of fallocate(2) that disk_request.c tries. */
static void say_no_holes(struct io_uring *ring, unsigned n)
{
	if (nr_refused >= 2)
		return;
	nr_refused += n;
	while (io_uring_cq_ready(ring) < n)
		sched_yield();
	for (unsigned i = 0; i < n; i++)
		ring->cq.cqes[(*ring->cq.khead + i) & *ring->cq.kring_mask].res = -EOPNOTSUPP;
}

/* A temporary file without holes: zeroes are written; nothing is discarded. */
static void test_without_holes(void **state)
{
	struct disk_options options = buffered;

	(void)state;
	options.discard = true;
	open_served(NULL, &options);
	put_behind(open("/proc/self/oom_score_adj", O_RDWR)); /* has no fallocate: EOPNOTSUPP */
	assert_int_equal(serve(BLOCK_DISCARD, 0, NULL, CLUSTER), -EOPNOTSUPP);
	put_behind(-1);
	assert_as_model();
	nr_refused = 0;
	wrap_submit(say_no_holes);
	assert_int_equal(serve(BLOCK_ZERO, CLUSTER, NULL, 40 * CLUSTER + SECTOR), 0);
	assert_int_equal(nr_refused, 2);
	wrap_submit(NULL);
	memset(model + CLUSTER, 0, 40 * CLUSTER + SECTOR);
	assert_as_model();
	end_of_test();
}

/* Nothing that the guest flushes has to be anywhere at the end. */
static void test_flush(void **state)
{
	struct disk_options options[2] = { buffered, direct };

	for (int i = 0; i < 2; i++) {
		uint8_t data[SECTOR] = { 0 };
		struct op op = { .block = { .op = BLOCK_WRITE, .len = SECTOR, .stable = true } };

		open_served(*state, &options[i]);
		set_parts(&op, data, SECTOR, 0);
		submit_to(0, &op);
		wait_for(0, &op);
		assert_int_equal(op.result, 0);
		put_behind(open("/dev/full", O_RDWR)); /* has no fsync: EINVAL */
		assert_int_equal(serve(BLOCK_FLUSH, 0, NULL, 0), 0);
		put_behind(-1);
		end_of_test();
	}
}

/* --- opening --- */

static void test_temporary_file(void **state)
{
	struct wrap_held before = wrap_held();

	(void)state;
	open_served(NULL, &buffered);
	assert_int_equal(files_in_folder(), 0);
	assert_int_equal(fcntl(disk.fd, F_GETFL) & O_ACCMODE, O_RDONLY);
	assert_int_equal(fcntl(disk.queues[1].fd, F_GETFL) & O_ACCMODE, O_RDONLY);
	assert_int_equal(fcntl(disk.overlay.fd, F_GETFL) & O_DIRECT, 0);
	assert_int_equal(fcntl(disk.overlay.fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	end_of_test();
	/* A file system without O_TMPFILE. */
	wrap_fail_path(folder, EOPNOTSUPP);
	open_served(NULL, &buffered);
	assert_int_equal(files_in_folder(), 0);
	assert_int_equal(write_byte(0x66, SECTOR, SECTOR), 0);
	memset(model + SECTOR, 0x66, SECTOR);
	assert_as_model();
	assert_int_equal(fcntl(disk.overlay.fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	end_of_test();
	/* No folder. */
	wrap_reset();
	setenv("TMPDIR", "/nowhere", 1);
	assert_int_equal(disk_open(&disk, path, &buffered, &err), -ENOENT);
	wrap_assert_says(&err, "/nowhere");
	wrap_assert_says(&err, "TMPDIR=");
	setenv("TMPDIR", "", 1);
	assert_string_equal(temp_file_folder(), "/var/tmp");
	unsetenv("TMPDIR");
	assert_string_equal(temp_file_folder(), "/var/tmp");
	setenv("TMPDIR", folder, 1);
	wrap_assert_released(before, "private disks");
}

/* Many may have the image, and nobody may write it. */
static void test_shared(void **state)
{
	const struct disk_options writes = { .queues = 1 }, reads = { .queues = 1, .readonly = 1 };
	struct disk others[2];

	(void)state;
	open_served(NULL, &buffered);
	assert_int_equal(disk_open(&others[0], path, &buffered, &err), 0);
	assert_int_equal(disk_open(&others[1], path, &reads, &err), 0);
	assert_int_equal(write_byte(0x77, 0, SECTOR), 0);
	for (int i = 0; i < 2; i++)
		disk_close(&others[i]);
	assert_int_equal(disk_open(&others[0], path, &writes, &err), -EBUSY);
	wrap_assert_says(&err, "private=on");
	end_of_test();
	assert_int_equal(disk_open(&others[0], path, &writes, &err), 0);
	assert_int_equal(disk_open(&disk, path, &buffered, &err), -EBUSY);
	disk_close(&others[0]);
}

static void test_resize(void **state)
{
	(void)state;
	open_served(NULL, &buffered);
	assert_int_equal(disk_look_again(&disk, &err), -EOPNOTSUPP);
	wrap_assert_says(&err, "private=on");
	end_of_test();
}

/* The map is addresses; memory is taken where the guest writes. */
static void test_large(void **state)
{
	static char large[] = "straddle-fake-large";
	const uint64_t size = UINT64_C(8) << 40, part = size - 3 * CLUSTER + SECTOR;
	uint8_t data[2 * CLUSTER] = { 0 };
	struct op discard = { .block = { .op = BLOCK_DISCARD,
					 .len = UINT32_MAX / SECTOR * SECTOR } };
	struct disk_options options = buffered;
	int fd = open(large, O_CREAT | O_RDWR | O_TRUNC, 0600);

	(void)state;
	if (ftruncate(fd, (off_t)size) < 0) {
		close(fd);
		unlink(large);
		skip();
	}
	options.discard = true;
	assert_int_equal(disk_open(&disk, large, &options, &err), 0);
	unlink(large);
	assert_int_equal(disk.overlay.map_size, 2 * size / CLUSTER / 8);
	assert_int_equal(write_byte(0x88, part, CLUSTER), 0);
	assert_int_equal(serve(BLOCK_READ, part, data, sizeof(data)), 0);
	assert_true(data[0] == 0x88 && data[CLUSTER - 1] == 0x88 && data[CLUSTER] == 0);
	submit_to(1, &discard);
	wait_for(1, &discard);
	assert_int_equal(discard.result, 0);
	disk_close(&disk);
	close(fd);
}

static unsigned nr_changes;

static bool device_ioctl(int fd, unsigned long request_, void *arg, int *ret)
{
	(void)fd;
	*ret = 0;
	nr_changes += request_ == BLKDISCARD || request_ == BLKZEROOUT;
	if (request_ == BLKGETSIZE64)
		*(uint64_t *)arg = SIZE;
	else if (request_ == BLKSSZGET || request_ == BLKPBSZGET)
		*(unsigned *)arg = SECTOR;
	else if (request_ == BLKALIGNOFF)
		*(int *)arg = 3584;
	return true;
}

static void as_device(struct stat *st)
{
	st->st_mode = S_IFBLK;
	st->st_rdev = 0x103;
}

/* A device is only read, too; it is not claimed, and its discard is not used. */
static void test_device(void **state)
{
	struct disk_options options = buffered;

	options.discard = true;
	wrap_stat(as_device);
	wrap_ioctl(device_ioctl);
	open_served(*state, &options);
	assert_int_equal(disk.topology.physical, CLUSTER);
	assert_int_equal(disk.topology.first, 0);
	assert_int_equal(disk.topology.discard_max, UINT64_MAX);
	assert_int_equal(disk.topology.discard_granularity, CLUSTER);
	assert_int_equal(serve(BLOCK_DISCARD, 0, NULL, 4 * CLUSTER), 0);
	memset(model, 0, 4 * CLUSTER);
	assert_as_model();
	assert_int_equal(nr_changes, 0);
	wrap_reset();
	end_of_test();
}

static int open_and_close(void *to, struct err *e)
{
	int ret = disk_open(&disk, path, to, e);

	disk_close(&disk);
	return ret;
}

static void test_host_refuses(void **state)
{
	static const struct wrap_harmless harmless[] = {
		{ { "pread", 0, 0 }, 0, "an error of the disk is for those who read it" },
		{ { "madvise", 0, 0 }, 0, "the map works without the advice" },
		{ { NULL, 0, 0 }, 0, NULL },
	};
	struct disk_options options = direct;

	(void)state;
	wrap_sweep(open_and_close, &options, EIO, harmless);
	assert_int_equal(files_in_folder(), 0);
}

#define TEST(f) cmocka_unit_test_setup(f, reset)
#define BOTH(f)                                              \
	cmocka_unit_test_setup(f, reset),                    \
	{                                                    \
#f "_by_threads", f, reset, NULL, by_threads \
	}

int main(void)
{
	static char by_threads[] = "threads";
	const struct CMUnitTest tests[] = {
		BOTH(test_random),	 BOTH(test_random_direct),  BOTH(test_two_threads),
		TEST(test_claims),	 TEST(test_overtaken),	    TEST(test_short_writes),
		TEST(test_space_steps),	 BOTH(test_no_room),	    BOTH(test_no_room_is_an_error),
		BOTH(test_size_limit),	 BOTH(test_short_reads),    TEST(test_without_holes),
		BOTH(test_flush),	 TEST(test_temporary_file), TEST(test_shared),
		TEST(test_resize),	 TEST(test_large),	    BOTH(test_device),
		TEST(test_host_refuses),
	};

	return cmocka_run_group_tests(tests, make_image, remove_image);
}
