/*
 * What comes after the guest has started: RAM that is touched and mapped on a thread while the loop
 * runs; each of the two failing; the end in the middle.
 */
#include "tests/fault/wrap.h"
#include "vmm/vm/late.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define POPULATE_WRITE 23 /* MADV_POPULATE_WRITE */
#define HOLE_END       UINT64_C(0x10000000000)

static struct err err;
static struct vm_memory memory;
static struct passthrough pt;
static struct plan plan;
static struct loop loop;
static struct late late;

static const struct span spans[] = { { 0, 32 * MIB }, { HOLE_END, HOLE_END + 32 * MIB } };

/* --- the played IOMMU, and the played kernel that touches --- */

static struct {
	unsigned maps, mapped;	/* calls, and how many of them are still there; the thread's */
	unsigned fail_map;	/* the call that fails; 0: none does */
	bool map_waits;		/* for late_stop(), in a call of map */
	bool touch_fails, slow; /* atomic */
	uint64_t touched;	/* bytes; any thread */
	bool too_early;		/* what was not touched was mapped */
	int allow_error;
} host;

static int play_map(struct iommu *io, const struct iommu_mapping *m)
{
	unsigned calls = __atomic_add_fetch(&host.maps, 1, __ATOMIC_SEQ_CST);

	(void)io;
	(void)m;
	host.too_early |= __atomic_load_n(&host.touched, __ATOMIC_SEQ_CST) < calls * 32 * MIB;
	while (host.map_waits && !__atomic_load_n(&late.stop, __ATOMIC_ACQUIRE))
		usleep(1000);
	if (calls == host.fail_map)
		return -ENOMEM;
	host.mapped++;
	return 0;
}

static int play_unmap(struct iommu *io, struct span iova)
{
	(void)io;
	(void)iova;
	host.mapped--;
	return 0;
}

static int play_allow(struct iommu *io, const struct span *list, size_t n, struct err *e)
{
	(void)io;
	(void)list;
	(void)n;
	return host.allow_error ? err_sys(e, host.allow_error, "it is not allowed") : 0;
}

static void play_close(struct iommu *io)
{
	(void)io;
}

static const struct iommu_ops iommu_ops = {
	.name = "played",
	.map = play_map,
	.unmap = play_unmap,
	.allow = play_allow,
	.close = play_close,
};

static bool played(void *at, size_t len, int advice, int *ret)
{
	(void)at;
	if (advice != POPULATE_WRITE)
		return false;
	if (__atomic_load_n(&host.slow, __ATOMIC_RELAXED))
		usleep(50000);
	*ret = 0;
	if (host.touch_fails) {
		errno = ENOMEM;
		*ret = -1;
	}
	__atomic_fetch_add(&host.touched, len, __ATOMIC_SEQ_CST);
	return true;
}

static int play(void **state)
{
	memset(&host, 0, sizeof(host));
	wrap_setup(state);
	wrap_madvise(played);
	return 0;
}

/* --- a guest without a guest --- */

static struct {
	unsigned ended;
	int ret;
	uint64_t done, total; /* what was mapped, the thread's */
} seen;

static void see_progress(void *to, bool mapped, uint64_t bytes, uint64_t total)
{
	(void)to;
	if (!mapped)
		return;
	seen.done = bytes;
	seen.total = total;
}

static void see_end(void *to, int ret, const struct err *why)
{
	(void)to;
	seen.ended++;
	seen.ret = ret;
	err = *why;
	loop_stop(&loop);
}

static void must(int ret)
{
	if (ret < 0)
		fail_msg("%s", err.text);
}

/* Makes what late_start() is given, with a device or without. */
static struct late_parts make(bool device)
{
	const struct ram_backing backing = { .page_size = 4 * KIB };
	const unsigned maps = host.maps;
	const struct late_parts parts = {
		.memory = &memory,
		.passthrough = device ? &pt : NULL,
		.loop = &loop,
		.progress = see_progress,
		.ended = see_end,
	};

	memset(&seen, 0, sizeof(seen));
	late = (struct late)LATE_EMPTY;
	memory = (struct vm_memory)VM_MEMORY_EMPTY;
	plan.map.nr_regions = ARRAY_SIZE(spans);
	for (size_t i = 0; i < ARRAY_SIZE(spans); i++)
		plan.map.regions[i] = (struct map_region){ spans[i], MAP_RAM, 0 };
	pt = (struct passthrough)PASSTHROUGH_EMPTY;
	pt.iommu.ops = &iommu_ops;
	pt.iommu.usable[0] = (struct span){ 0, UINT64_MAX };
	pt.iommu.nr_usable = 1;
	must(loop_create(&loop, &err));
	must(prefault_open(&memory.prefault, 2, &err));
	must(ram_create(&memory.ram, spans, ARRAY_SIZE(spans), &backing, &err));
	guest_memory_init(&memory.guest);
	for (size_t i = 0; i < memory.ram.nr_blocks; i++)
		must(guest_memory_add(&memory.guest, &memory.ram.blocks[i], &err));
	prefault_yield(memory.prefault);
	must(prefault_begin(memory.prefault, &memory.ram, &err));
	if (device)
		must(passthrough_prepare(&pt, &memory.guest, &plan, &err));
	assert_int_equal(pt.absent, device);
	assert_int_equal(host.maps, maps);
	return parts;
}

static void unmake(void)
{
	late_stop(&late);
	vm_memory_end(&memory);
	passthrough_close(&pt);
	vm_memory_close(&memory);
	loop_destroy(&loop);
}

static void begin(bool device)
{
	const struct late_parts parts = make(device);

	must(late_start(&late, &parts, &err));
}

static void run(void)
{
	assert_int_equal(loop_run(&loop, &err), 0);
	assert_int_equal(seen.ended, 1);
	assert_false(late.running);
	assert_int_equal(late.done, -1);
	assert_null(memory.prefault);
	assert_false(pt.busy);
}

/* --- tests --- */

static void test_arrives(void **state)
{
	struct wrap_held held = wrap_held();

	(void)state;
	host.slow = true;
	begin(true);
	assert_true(pt.busy);
	run();
	assert_int_equal(seen.ret, 0);
	assert_int_equal(host.mapped, 2);
	assert_false(host.too_early);
	assert_int_equal(host.touched, 64 * MIB);
	assert_int_equal(seen.done, 64 * MIB);
	assert_int_equal(seen.total, 64 * MIB);
	assert_false(pt.absent);
	assert_ptr_equal(memory.guest.first, &pt.listener);
	unmake();
	wrap_assert_released(held, "a device that arrives");

	begin(false);
	run();
	assert_int_equal(seen.ret, 0);
	assert_int_equal(host.touched, 128 * MIB);
	assert_int_equal(host.maps, 2);
	unmake();
	wrap_assert_released(held, "RAM alone");
}

/* The devices stay absent, and nothing is mapped. */
static void fails(int ret, const char *words)
{
	struct wrap_held held = wrap_held();

	begin(true);
	run();
	assert_int_equal(seen.ret, ret);
	wrap_assert_says(&err, words);
	assert_int_equal(host.mapped, 0);
	assert_true(pt.absent);
	assert_null(memory.guest.first);
	unmake();
	wrap_assert_released(held, words);
}

static void test_fails(void **state)
{
	(void)state;
	host.fail_map = 1;
	fails(-ENOMEM, "RAM: mapping IOVA");
	host.maps = 0;
	host.touched = 0;
	host.fail_map = 2;
	fails(-ENOMEM, "RAM: mapping IOVA");
	host.fail_map = 0;
	host.allow_error = EADDRINUSE;
	fails(-EADDRINUSE, "it is not allowed");
	host.touch_fails = true;
	fails(-ENOMEM, "the host has no memory left for guest RAM");
}

/* While RAM is touched, while it is mapped, and when all is done but nobody knows yet. */
static void test_stop(void **state)
{
	struct wrap_held held = wrap_held();

	(void)state;
	for (unsigned when = 0; when < 3; when++) {
		memset(&host, 0, sizeof(host));
		host.slow = when == 0;
		host.map_waits = when == 1;
		begin(true);
		while (when == 1 && !__atomic_load_n(&host.maps, __ATOMIC_RELAXED))
			usleep(1000);
		if (when == 2)
			usleep(200000);
		late_cancel(&late);
		assert_true(late.running);
		late_stop(&late);
		late_stop(&late);
		late_cancel(&late);
		assert_int_equal(host.mapped, when == 2 ? 2 : 0);
		assert_int_equal(seen.ended, 0);
		assert_false(pt.busy);
		assert_true(pt.absent);
		assert_null(memory.prefault);
		unmake();
		wrap_assert_released(held, "stopped");
	}
}

/* The host takes the device back: the loop learns of it, and nothing is left mapped. */
static void test_unwanted(void **state)
{
	struct wrap_held held = wrap_held();

	(void)state;
	host.slow = true;
	begin(true);
	__atomic_store_n(&pt.unwanted, true, __ATOMIC_RELEASE);
	run();
	assert_int_equal(seen.ret, -EINTR);
	assert_int_equal(host.mapped, 0);
	assert_true(pt.absent);
	assert_null(memory.guest.first);
	unmake();
	wrap_assert_released(held, "unwanted");
}

static int start_once(void *to, struct err *e)
{
	int ret = late_start(&late, to, e);

	assert_int_equal(pt.busy, ret == 0);
	if (ret == 0)
		late_stop(&late);
	return ret;
}

static void test_every_call(void **state)
{
	struct late_parts parts = make(true);

	(void)state;
	vm_memory_settle(&memory);
	wrap_sweep(start_once, &parts, EAGAIN,
		   (const struct wrap_harmless[]){ { { 0 }, 0, NULL } });
	wrap_reset();
	unmake();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_arrives, play),
		cmocka_unit_test_setup(test_fails, play),
		cmocka_unit_test_setup(test_stop, play),
		cmocka_unit_test_setup(test_unwanted, play),
		cmocka_unit_test_setup(test_every_call, play),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
