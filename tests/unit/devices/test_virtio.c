/*
 * Virtio devices against drivers of this file's own: that kicks come when they must, and that no
 * driver keeps the thread that serves it.
 */
#include "devices/virtio_balloon.h"
#include "devices/virtio_blk.h"
#include "devices/virtio_console.h"
#include "tests/unit/devices/virtio_driver.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <linux/virtio_balloon.h>

/* --- balloon --- */

enum { INFLATE, DEFLATE, STATS, REPORTS };

static struct virtio_balloon balloon;
static unsigned nr_stats, discarded;

static void on_stats(void *to, const uint64_t *numbers)
{
	(void)to;
	assert_int_equal(numbers[4], 0x1234);
	nr_stats++;
}

static void on_discard(void *to, void *at, size_t len)
{
	(void)to;
	(void)at;
	discarded += (unsigned)(len / 4096);
}

static void start_balloon(uint64_t features)
{
	balloon.dev.state.accepted = features;
	for (unsigned i = 0; i <= REPORTS; i++)
		set_queue(i);
	store_le(memory + DATA, 4, 2);
	store_le(memory + DATA + 2, 0x1234, 8);
	describe(STATS, 0, DATA, 10, 0, 0);
	describe(INFLATE, 0, DATA + 0x1000, 4096, 0, 0);
	for (unsigned i = 0; i < 1024; i++)
		store_le(memory + DATA + 0x1000 + 4 * i, 2 * (i % 128), 4);
}

static void plug_balloon(void)
{
	const struct balloon_host host = { on_discard, on_stats, NULL };

	nr_stats = discarded = 0;
	virtio_balloon_init(&balloon, &host, 0);
	plug(&balloon.dev);
}

/* As Linux does it: the first buffer is there before the device is ready. */
static void test_statistics(void **state)
{
	const uint64_t features = VIRTIO_BIT(F_VERSION_1) | VIRTIO_BIT(RING_F_EVENT_IDX) |
				  VIRTIO_BIT(BALLOON_F_STATS_VQ);

	(void)state;
	plug_balloon();
	assert_false(virtio_balloon_ask(&balloon));
	start_balloon(features);
	offer(STATS, 1, 0);
	virtio_start(dev);
	serve(STATS);
	for (uint16_t i = 1; i < 4; i++) {
		assert_true(virtio_balloon_ask(&balloon));
		assert_int_equal(used(STATS), i);
		assert_int_equal(nr_stats, i - 1);
		offer(STATS, 1, 0);
		assert_true(must_kick(STATS, i, (uint16_t)(i + 1)));
		serve(STATS);
		assert_int_equal(nr_stats, i);
	}
	/* Who asked before a reset is answered by the next driver; one without numbers has none. */
	assert_true(virtio_balloon_ask(&balloon));
	virtio_reset(dev);
	start_balloon(0);
	virtio_start(dev);
	assert_false(virtio_balloon_ask(&balloon));
	virtio_reset(dev);
	start_balloon(features);
	offer(STATS, 1, 0);
	virtio_start(dev);
	serve(STATS);
	assert_int_equal(nr_stats, 4);
	virtio_reset(dev);
}

/* Every buffer has a thousand pages that are not beside each other. */
static void test_inflation_in_turns(void **state)
{
	(void)state;
	plug_balloon();
	start_balloon(0);
	offer(INFLATE, ENTRIES, 0);
	virtio_start(dev);
	for (unsigned turns = 1; turns <= ENTRIES / 4; turns++) {
		assert_true(kicked(INFLATE));
		serve(INFLATE);
		assert_int_equal(discarded, turns * 4096);
	}
	serve(INFLATE);
	assert_false(kicked(INFLATE));
	assert_int_equal(used(INFLATE), ENTRIES);
	virtio_reset(dev);
}

/* Pages on both sides of where two blocks of RAM meet are one run of the guest's. */
static void test_inflation_over_blocks(void **state)
{
	(void)state;
	plug_balloon();
	start_balloon(0);
	describe(INFLATE, 0, DATA + 0x1000, 16, 0, 0);
	for (unsigned i = 0; i < 4; i++)
		store_le(memory + DATA + 0x1000 + 4 * i, BLOCKS_MEET / 4096 - 2 + i, 4);
	offer(INFLATE, 1, 0);
	virtio_start(dev);
	serve(INFLATE);
	assert_int_equal(discarded, 4);
	virtio_reset(dev);
}

/* One buffer of `n` free pages of 512 KiB. */
static void report(unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		describe(REPORTS, i, 0x80000, 0x80000, DESC_WRITE | (i + 1 < n), i + 1);
	offer(REPORTS, 1, 0);
}

/* Free pages that the guest fills must come back as they were; those of zeroes may go. */
static void test_reports(void **state)
{
	(void)state;
	plug_balloon();
	assert_true(dev->features & VIRTIO_BIT(BALLOON_F_PAGE_POISON));
	for (unsigned poison = 0; poison < 3; poison++) {
		start_balloon(VIRTIO_BIT(BALLOON_F_STATS_VQ) | VIRTIO_BIT(BALLOON_F_REPORTING) |
			      (poison ? VIRTIO_BIT(BALLOON_F_PAGE_POISON) : 0));
		store_le(dev->state.config + 12, poison == 2 ? 0xaaaaaaaa : 0, 4);
		dev->ops->config_written(dev);
		report(2);
		virtio_start(dev);
		discarded = 0;
		serve(REPORTS);
		assert_int_equal(discarded, poison == 2 ? 0 : 256);
		assert_int_equal(used(REPORTS), 1);
		virtio_reset(dev);
	}
	assert_int_equal(load_le(dev->state.config + 12, 4), 0);
}

/* Turns are counted in bytes: the buffers of one that reports much wait, half done if need be. */
static void test_reports_in_turns(void **state)
{
	const unsigned parts = ENTRIES - 1, pages = BLOCKS_MEET / 4096;

	(void)state;
	plug_balloon();
	start_balloon(VIRTIO_BIT(BALLOON_F_STATS_VQ) | VIRTIO_BIT(BALLOON_F_REPORTING));
	for (unsigned i = 0; i < parts; i++)
		describe(REPORTS, i, 0, BLOCKS_MEET, DESC_WRITE | (i + 1 < parts), i + 1);
	offer(REPORTS, 10, 0);
	virtio_start(dev);
	for (unsigned before = 0; used(REPORTS) < 10; before = discarded) {
		assert_true(kicked(REPORTS));
		serve(REPORTS);
		assert_in_range(discarded - before, 1, (256u << 20) / 4096 + pages);
	}
	serve(REPORTS);
	assert_false(kicked(REPORTS));
	assert_int_equal(discarded, 10 * parts * pages);

	/* A reset in the middle of one: the next driver's are its own. */
	offer(REPORTS, 10, 0);
	serve(REPORTS);
	assert_true(used(REPORTS) < 20);
	virtio_reset(dev);
	start_balloon(VIRTIO_BIT(BALLOON_F_STATS_VQ) | VIRTIO_BIT(BALLOON_F_REPORTING));
	report(2);
	virtio_start(dev);
	discarded = 0;
	serve(REPORTS);
	assert_int_equal(discarded, 256);
	assert_int_equal(used(REPORTS), 1);
	virtio_reset(dev);
}

/* --- console --- */

static struct virtio_console console;

static void put(void *to, uint8_t byte)
{
	(void)to;
	(void)byte;
}

static bool always(void *to)
{
	(void)to;
	return true;
}

static void nothing(void *to)
{
	(void)to;
}

static void test_input_without_room(void **state)
{
	const struct console_port port = { put, always, nothing, NULL };

	(void)state;
	virtio_console_init(&console, &port, 80, 25);
	plug(&console.dev);
	set_queue(0);
	describe(0, 0, DATA, 16, 0, 0); /* for reading */
	offer(0, 1, 0);
	virtio_start(dev);
	serve(0);
	assert_int_equal(virtio_console_input(&console, (const uint8_t *)"abc", 3), 0);
	assert_true(kicked(0));
	virtio_handle(dev, 0);
	assert_non_null(strstr(told, "driver broke queue 0: "));
	virtio_reset(dev);
	/* And one that does as it should. */
	set_queue(0);
	describe(0, 0, DATA, 2, DESC_WRITE, 0);
	offer(0, 2, 0);
	virtio_start(dev);
	assert_int_equal(virtio_console_input(&console, (const uint8_t *)"abc", 3), 3);
	assert_int_equal(memory[DATA], 'c');
	assert_int_equal(used(0), 2);
	virtio_reset(dev);
}

/* --- disk --- */

static struct virtio_blk blk;
static unsigned taken, stable;
static int submit_result;
static bool feed;

static void submit(void *queue, struct block_request *r)
{
	(void)queue;
	taken++;
	stable += r->stable;
	r->done(r, submit_result);
}

/* Another CPU of the guest puts in as much as was taken. */
static void flush(void *queue)
{
	(void)queue;
	if (feed)
		offer(0, ENTRIES, 0);
}

static bool look_out(void *queue, bool (*more)(void *to), void *to)
{
	(void)queue;
	return more(to);
}

static unsigned drained;

static void drain(void *queue, bool on)
{
	(void)queue;
	drained += on;
}

static void start_blk(uint64_t features, unsigned type)
{
	blk.dev.state.accepted = features;
	set_queue(0);
	store_le(memory + DATA, type, 4);
	store_le(memory + DATA + 8, 0, 8);
	describe(0, 0, DATA, 16, 1, 1);
	describe(0, 1, DATA + 0x1000, 512, type == 1 ? 1 : 1 | DESC_WRITE, 2);
	describe(0, 2, DATA + 0x2000, 1, DESC_WRITE, 0);
}

/* A reset has the driver's registers, and waits for storage. */
static bool held_up(void *to, unsigned offset, const void *bytes, unsigned n, bool wait)
{
	(void)to;
	(void)offset;
	(void)bytes;
	(void)n;
	assert_false(wait);
	return false;
}

static void test_disk(void **state)
{
	static const struct block_queue_ops ops = { submit, flush, look_out, drain };
	const struct virtio_blk_disk disk = {
		.size = 1 << 20,
		.block_size = 512,
		.physical = 4096,
		.first = 3584,
		.min_io = 65536,
		.opt_io = 1 << 20,
		.discard_max = 200000,
		.discard_granularity = 65536,
		.nr_queues = 1,
		.ops = &ops,
	};
	struct err err;

	(void)state;
	assert_int_equal(virtio_blk_init(&blk, &disk, &err), 0);
	plug(&blk.dev);
	/* Section 5.2.4: the topology, in blocks; what a discard may be, in sectors. */
	assert_true(dev->features & 1 << 10);
	assert_true(dev->features & 1 << 13);
	assert_false(dev->features & 1 << 14); /* no write-zeroes without `zeroes` */
	assert_int_equal(dev->state.config[24], 3);
	assert_int_equal(dev->state.config[25], 7);
	assert_int_equal(load_le(dev->state.config + 26, 2), 128);
	assert_int_equal(load_le(dev->state.config + 28, 4), 2048);
	assert_int_equal(load_le(dev->state.config + 36, 4), 384); /* three whole pieces */
	assert_int_equal(load_le(dev->state.config + 44, 4), 128);
	assert_true(virtio_blk_resize(&blk, 2 << 20));
	assert_int_equal(load_le(dev->state.config, 8), 4096);
	dev->config_changed = held_up;
	assert_false(virtio_blk_resize(&blk, 4 << 20));
	assert_int_equal(blk.disk.size, 2 << 20);
	dev->config_changed = NULL;
	start_blk(0, 0);
	feed = true;
	taken = 0;
	offer(0, ENTRIES, 0);
	virtio_start(dev);
	serve(0);
	assert_in_range(taken, ENTRIES, 2 * VIRTIO_BLK_QUEUE_SIZE);
	assert_true(kicked(0)); /* the rest has another turn */
	drained = 0;
	virtio_reset(dev);
	assert_int_equal(drained, 1);
	feed = false;

	/* What the disk cannot do is not what went wrong. */
	for (int error = 0; error < 2; error++) {
		submit_result = error ? -EIO : -EOPNOTSUPP;
		start_blk(0, 0);
		offer(0, 1, 0);
		virtio_start(dev);
		serve(0);
		assert_int_equal(memory[DATA + 0x2000], error ? 1 : 2);
		virtio_reset(dev);
	}
	submit_result = 0;

	/* A driver that does not know of flushes has each write as one. */
	for (unsigned flushes = 0; flushes < 2; flushes++) {
		stable = taken = 0;
		start_blk(flushes ? 1 << 9 : 0, 1);
		offer(0, 3, 0);
		virtio_start(dev);
		serve(0);
		assert_int_equal(taken, 3);
		assert_int_equal(stable, flushes ? 0 : 3);
		virtio_reset(dev);
	}
	virtio_blk_destroy(&blk);
}

/* --- work --- */

/* One look at the device: whether its requests show that the guest works. */
static bool worked(void)
{
	static uint64_t last;
	uint64_t now = virtio_work(dev);
	bool more = now > last;

	last = now;
	return more;
}

static void test_work(void **state)
{
	static const struct block_queue_ops ops = { submit, flush, look_out, drain };
	const struct virtio_blk_disk disk = {
		.size = 1 << 20, .block_size = 512, .nr_queues = 1, .ops = &ops
	};
	struct err err;

	(void)state;
	assert_int_equal(virtio_blk_init(&blk, &disk, &err), 0);
	plug(&blk.dev);
	start_blk(0, 0);
	virtio_start(dev);
	(void)worked();
	assert_false(worked());
	offer(0, 1, 0);
	assert_false(worked()); /* a request that does not complete is none */
	serve(0);
	assert_true(worked());
	assert_false(worked());
	/* What another process serves is seen as well. */
	store_le(memory + RING(0) + 0x2002, used(0) + 1, 2);
	assert_true(worked());
	assert_false(worked());
	/* A queue that is being handled is not waited for, and not forgotten. */
	store_le(memory + RING(0) + 0x2002, used(0) + 1, 2);
	pthread_mutex_lock(&dev->queues[0].lock);
	assert_false(worked());
	pthread_mutex_unlock(&dev->queues[0].lock);
	assert_true(worked());
	virtio_reset(dev);
	virtio_blk_destroy(&blk);
}

/* Input that the host has, and what an idle kernel gives back, are no work; output is. */
static void test_no_work(void **state)
{
	const struct console_port port = { 0 };

	(void)state;
	virtio_console_init(&console, &port, 80, 25);
	plug(&console.dev);
	for (unsigned i = 0; i < 2; i++) {
		set_queue(i);
		virtio_start(dev);
		(void)worked();
		store_le(memory + RING(i) + 0x2002, 1, 2);
		assert_int_equal(worked(), i == 1);
		virtio_reset(dev);
	}
	plug_balloon();
	start_balloon(0);
	virtio_start(dev);
	(void)worked();
	store_le(memory + RING(INFLATE) + 0x2002, 1, 2);
	assert_false(worked());
	virtio_reset(dev);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_statistics, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_inflation_in_turns, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_inflation_over_blocks, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_reports, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_reports_in_turns, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_input_without_room, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_disk, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_work, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_no_work, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
