/*
 * Touching guest RAM ahead of the guest: all of it, once, by a kernel that can do it and by one
 * that cannot; what the host lacks; and the end in the middle.
 */
#include "tests/fault/wrap.h"
#include "vmm/host/fault.h"
#include "vmm/host/prefault.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define POPULATE_WRITE 23 /* MADV_POPULATE_WRITE */

static struct err err;

static const struct span spans[] = {
	{ 0, 40 * MIB },
	{ UINT64_C(0xfcff800000), UINT64_C(0xfd00000000) },
	{ TIB, TIB + 32 * MIB },
};
#define RAM_SIZE (80 * MIB)

static const struct ram_backing small_pages = { .page_size = 4 * KIB };
static const struct ram_backing in_a_file = { .page_size = 4 * KIB, .shared = true };
static const struct ram_backing folded = { .page_size = 4 * KIB, .fold = 16 * MIB };
static struct ram ram;
static struct prefault *p;

/* --- the played kernel --- */

static struct {
	bool old;	   /* it does not know MADV_POPULATE_WRITE */
	uint64_t touched;  /* bytes that it was asked for; any thread */
	uint64_t longest;  /* of a call */
	uint64_t fail_gpa; /* of the step that fails; 0: none does */
	int fail_code;
	int again; /* calls that are to be repeated */
	bool slow;
	bool holds; /* the step that fails does not end yet */
} host;

static bool played(void *at, size_t len, int advice, int *ret)
{
	uint8_t *bad = host.fail_gpa ? ram_at(&ram, host.fail_gpa, 1) : NULL;

	if (advice != POPULATE_WRITE)
		return false;
	*ret = -1;
	if (host.old) {
		errno = EINVAL;
		return true;
	}
	if (__atomic_fetch_sub(&host.again, 1, __ATOMIC_RELAXED) > 0) {
		errno = EAGAIN;
		return true;
	}
	if (bad && bad >= (uint8_t *)at && bad < (uint8_t *)at + len) {
		while (__atomic_load_n(&host.holds, __ATOMIC_RELAXED))
			usleep(1000);
		errno = host.fail_code;
		return true;
	}
	__atomic_fetch_add(&host.touched, len, __ATOMIC_RELAXED);
	if (len > __atomic_load_n(&host.longest, __ATOMIC_RELAXED))
		__atomic_store_n(&host.longest, len, __ATOMIC_RELAXED);
	if (host.slow)
		usleep(20000);
	/* Not every host has it; and it makes the pages as a touch does. */
	for (size_t i = 0; i < len; i += 4 * KIB)
		__atomic_fetch_or((uint8_t *)at + i, 0, __ATOMIC_SEQ_CST);
	*ret = 0;
	return true;
}

static int play(void **state)
{
	memset(&host, 0, sizeof(host));
	wrap_setup(state);
	wrap_madvise(played);
	return 0;
}

static void make(const struct ram_backing *backing, unsigned threads)
{
	if (prefault_open(&p, threads, &err) < 0 ||
	    ram_create(&ram, spans, ARRAY_SIZE(spans), backing, &err) < 0)
		fail_msg("%s", err.text);
}

static void begin(void)
{
	if (prefault_begin(p, &ram, &err) < 0)
		fail_msg("%s", err.text);
}

static void unmake(void)
{
	prefault_close(p);
	ram_destroy(&ram);
}

/* Bytes of RAM that are in memory. */
static uint64_t resident(void)
{
	static unsigned char pages[RAM_SIZE / (4 * KIB)];
	uint64_t n = 0;

	for (size_t i = 0; i < ram.nr_blocks; i++) {
		uint64_t size = span_size(ram.blocks[i].gpa);

		assert_int_equal(mincore(ram.blocks[i].hva, size, pages), 0);
		for (uint64_t page = 0; page < size / (4 * KIB); page++)
			n += (pages[page] & 1) * 4 * KIB;
	}
	return n;
}

/* --- all of it --- */

static void test_all(void **state)
{
	const struct ram_backing *const backings[] = { &small_pages, &in_a_file };
	struct wrap_held held = wrap_held();

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(backings); i++)
		for (unsigned threads = 1; threads <= 7; threads += 3) {
			host.touched = 0;
			host.again = 5;
			make(backings[i], threads);
			assert_int_equal(resident(), 0);
			begin();
			assert_int_equal(prefault_await_all(p, NULL, &err), 0);
			assert_int_equal(host.touched, RAM_SIZE);
			assert_true(host.longest <= 16 * MIB);
			assert_int_equal(resident(), RAM_SIZE);
			assert_int_equal(prefault_await_all(p, NULL, &err), 0); /* still */
			unmake();
		}
	wrap_assert_released(held, "all");
}

/* Contents stay, on a kernel without the call, too. */
static void test_old_kernel(void **state)
{
	(void)state;
	host.old = true;
	make(&small_pages, 3);
	memset(ram_at(&ram, TIB, 8 * KIB), 0x5a, 8 * KIB);
	begin();
	assert_int_equal(prefault_await_all(p, NULL, &err), 0);
	assert_int_equal(resident(), RAM_SIZE);
	assert_int_equal(*(uint8_t *)ram_at(&ram, TIB + 4 * KIB, 1), 0x5a);
	assert_int_equal(*(uint8_t *)ram_at(&ram, TIB + 8 * KIB, 1), 0);
	unmake();
}

static bool bind_anything(void *at, uint64_t len, int mode, const unsigned long *nodes, int *ret)
{
	(void)at;
	(void)len;
	(void)mode;
	(void)nodes;
	*ret = 0;
	return true;
}

static const struct ram_bound two_nodes[] = { { { 8 * MIB, 24 * MIB }, 900 },
					      { { 24 * MIB, 40 * MIB }, 0 },
					      { { TIB, TIB + 32 * MIB }, 900 } };

static void make_bound(unsigned threads)
{
	wrap_mbind(bind_anything);
	make(&small_pages, threads);
	assert_int_equal(ram_bind(&ram, two_nodes, ARRAY_SIZE(two_nodes), &err), 0);
}

/* Each node's, and that of no node, once; whether there are fewer threads than nodes or more. */
static void test_bound(void **state)
{
	struct wrap_held held = wrap_held();

	(void)state;
	for (unsigned threads = 1; threads <= 7; threads += 3) {
		host.touched = 0;
		make_bound(threads);
		begin();
		assert_int_equal(prefault_await_all(p, NULL, &err), 0);
		assert_int_equal(host.touched, RAM_SIZE);
		assert_int_equal(resident(), RAM_SIZE);
		unmake();
	}
	wrap_assert_released(held, "bound RAM");
}

/* Who waits for a part waits for it on all of its nodes; what a node lacks is said with its name.
 */
static void test_bound_shortage(void **state)
{
	const struct span low = { (uintptr_t)0, 40 * MIB };
	struct span part;

	(void)state;
	host.fail_gpa = TIB + 17 * MIB;
	host.fail_code = ENOMEM;
	host.holds = true;
	make_bound(2);
	part.base = (uintptr_t)ram_at(&ram, low.base, 1);
	part.end = part.base + span_size(low);
	begin();
	assert_int_equal(prefault_await(p, part, NULL, &err), 0);
	for (uint64_t at = 0; at < 40 * MIB; at += 4 * KIB) {
		unsigned char there;

		assert_int_equal(mincore(ram_at(&ram, at, 1), 4 * KIB, &there), 0);
		assert_true(there & 1);
	}
	__atomic_store_n(&host.holds, false, __ATOMIC_RELAXED);
	assert_int_equal(prefault_await_all(p, NULL, &err), -ENOMEM);
	wrap_assert_says(&err, "node 900 of the host has no memory left for guest RAM at or above "
			       "0x100010");
	unmake();
}

/* What RAM repeats is touched once. */
static void test_fold(void **state)
{
	const struct span last = { TIB, TIB + 4 * KIB };
	struct wrap_held held = wrap_held();

	(void)state;
	make(&folded, 2);
	begin();
	assert_int_equal(prefault_await(p, last, NULL, &err), 0);
	assert_int_equal(host.touched, 16 * MIB);
	unmake();
	wrap_assert_released(held, "the fold");
}

/* Who waits for a part does not wait for the rest. */
static void test_part(void **state)
{
	struct span first;

	(void)state;
	host.fail_gpa = TIB + 20 * MIB;
	host.fail_code = ENOMEM;
	host.holds = true;
	make(&small_pages, 1);
	first.base = (uintptr_t)ram_at(&ram, 0, 1);
	first.end = first.base + 40 * MIB;
	begin();
	assert_int_equal(prefault_await(p, first, NULL, &err), 0);
	__atomic_store_n(&host.holds, false, __ATOMIC_RELAXED);
	assert_int_equal(prefault_await_all(p, NULL, &err), -ENOMEM);
	unmake();
}

/* --- what the host lacks --- */

static void expect_failure(const struct ram_backing *backing, int code, const char *words)
{
	const struct ram_backing as_it_is = *backing;
	struct wrap_held held = wrap_held();

	host.fail_gpa = TIB + 17 * MIB;
	host.fail_code = code;
	make(&as_it_is, 3);
	begin();
	assert_int_equal(prefault_await_all(p, NULL, &err), -code);
	wrap_assert_says(&err, words);
	unmake();
	wrap_assert_released(held, words);
}

static void test_sentences(void **state)
{
	static const struct ram_backing huge = { .page_size = 2 * MIB };

	(void)state;
	expect_failure(&small_pages, EHWPOISON,
		       "hardware cannot correct, in guest RAM at or above");
	expect_failure(&small_pages, EHWPOISON, "0x100010");
	expect_failure(&small_pages, ENOMEM, "no memory left for guest RAM at or above 0x100010");
	expect_failure(&in_a_file, EFAULT, "shared memory has limits of its own");
	expect_failure(&small_pages, EIO, "cannot be touched: Input/output error");
	wrap_small_memfd(true);
	expect_failure(&huge, EFAULT, "no huge page left for guest RAM at or above 0x100010");
	expect_failure(&huge, EFAULT, "hugepages-2048kB/nr_hugepages, or use --page-size 4K");
}

/* A touch that raises SIGBUS is an error as well, and not the end of the process. */
static void test_sigbus(void **state)
{
	uint8_t *hole;
	int cut;

	(void)state;
	assert_int_equal(fault_init(&err), 0); /* here: cmocka has handlers of its own */
	host.old = true;
	make(&small_pages, 2);
	hole = ram_at(&ram, TIB + 24 * MIB, 2 * MIB);
	cut = memfd_create("cut", MFD_CLOEXEC); /* no bytes are behind the mapping */
	assert_ptr_equal(
		mmap(hole, 2 * MIB, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, cut, 0), hole);
	begin();
	assert_int_equal(prefault_await_all(p, NULL, &err), -EFAULT);
	wrap_assert_says(&err, "no memory left for guest RAM at or above 0x10001800000");
	unmake();
	close(cut);
}

static int attempt(void *to, struct err *e)
{
	const struct ram_backing *backing = to;
	int ret = prefault_open(&p, 1, e);

	if (ret < 0)
		return ret;
	ret = ram_create(&ram, spans, 1, backing, e);
	if (ret == 0) {
		ret = prefault_begin(p, &ram, e);
		if (ret == 0)
			ret = prefault_await_all(p, NULL, e);
		prefault_close(p);
		ram_destroy(&ram);
	} else {
		prefault_close(p); /* its threads still wait for RAM */
	}
	return ret;
}

static int bound_attempt(void *to, struct err *e)
{
	int ret = prefault_open(&p, 1, e);

	(void)to;
	if (ret < 0)
		return ret;
	ret = ram_create(&ram, spans, ARRAY_SIZE(spans), &small_pages, e);
	if (ret < 0) {
		prefault_close(p);
		return ret;
	}
	ret = ram_bind(&ram, two_nodes, ARRAY_SIZE(two_nodes), e);
	if (ret == 0)
		ret = prefault_begin(p, &ram, e);
	if (ret == 0)
		ret = prefault_await_all(p, NULL, e);
	prefault_close(p);
	ram_destroy(&ram);
	return ret;
}

static void test_every_call(void **state)
{
	static const struct wrap_harmless advice[] = {
		{ { .name = "madvise" }, 0, "advice; the guest runs without it" },
		{ { 0 }, 0, NULL }
	};

	(void)state;
	wrap_sweep(attempt, (void *)(uintptr_t)&small_pages, ENOMEM, advice);
	wrap_sweep(attempt, (void *)(uintptr_t)&folded, ENOMEM, advice);
	wrap_mbind(bind_anything);
	wrap_sweep(bound_attempt, NULL, ENOMEM, advice);
}

/* Fewer threads than wanted are enough. */
static void test_few_threads(void **state)
{
	(void)state;
	wrap_fail_named("pthread_create", 3, EAGAIN);
	make(&small_pages, 5);
	begin();
	assert_int_equal(prefault_await_all(p, NULL, &err), 0);
	unmake();
	wrap_fail_named("pthread_create", 1, EAGAIN);
	assert_int_equal(prefault_open(&p, 5, &err), -EAGAIN);
	wrap_assert_says(&err, "ulimit -u");
	assert_null(p);
}

/* --- the one who waits --- */

struct watcher {
	uint64_t last;
	unsigned ticks, stop_at;
};

static bool watch_stop(void *to)
{
	struct watcher *w = to;

	return w->stop_at && w->ticks >= w->stop_at;
}

static void watch_tick(void *to, uint64_t bytes, uint64_t total)
{
	struct watcher *w = to;

	assert_true(bytes >= w->last && bytes <= total);
	assert_int_equal(total, RAM_SIZE);
	w->last = bytes;
	w->ticks++;
}

static void test_stop(void **state)
{
	struct watcher w = { .stop_at = 2 };
	const struct prefault_watch watch = { watch_stop, watch_tick, &w };

	(void)state;
	host.slow = true;
	make(&small_pages, 2);
	begin();
	assert_int_equal(prefault_await_all(p, &watch, &err), -EINTR);
	wrap_assert_says(&err, "interrupted");
	assert_int_equal(w.ticks, 2);
	assert_int_equal(prefault_await_all(p, &watch, &err), -EINTR); /* it does not go on */
	prefault_close(p);
	assert_true(resident() < RAM_SIZE);
	ram_destroy(&ram);
}

/* Nobody waits: closing ends it in the middle, or before the beginning. */
static void test_close(void **state)
{
	struct wrap_held held = wrap_held();

	(void)state;
	host.slow = true;
	make(&small_pages, 2);
	begin();
	unmake();
	make(&small_pages, 2);
	unmake();
	prefault_close(NULL);
	wrap_assert_released(held, "in the middle");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_all, play),
		cmocka_unit_test_setup(test_old_kernel, play),
		cmocka_unit_test_setup(test_bound, play),
		cmocka_unit_test_setup(test_bound_shortage, play),
		cmocka_unit_test_setup(test_fold, play),
		cmocka_unit_test_setup(test_part, play),
		cmocka_unit_test_setup(test_sentences, play),
		cmocka_unit_test_setup(test_sigbus, play),
		cmocka_unit_test_setup(test_every_call, play),
		cmocka_unit_test_setup(test_few_threads, play),
		cmocka_unit_test_setup(test_stop, play),
		cmocka_unit_test_setup(test_close, play),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
