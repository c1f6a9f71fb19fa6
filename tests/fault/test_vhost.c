/*
 * vhost, with the kernel's part of it pretended: when it is told of guest memory, and that a call
 * which fails leaves nothing behind.
 */
#include "tests/fault/wrap.h"
#include "vmm/backends/vhost.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <linux/vhost.h>

static struct err err;
static struct vhost vhost;
static struct guest_memory memory;
static const struct ram_block blocks[] = {
	{ { 0, GIB }, (uint8_t *)(uintptr_t)TIB, -1, 0 },
	{ { 4 * GIB, 6 * GIB }, (uint8_t *)(uintptr_t)(2 * TIB), -1, 0 },
	{ { 8 * GIB, 9 * GIB }, (uint8_t *)(uintptr_t)(3 * TIB), -1, 0 },
};

/* --- the kernel's part --- */

static struct {
	unsigned tables; /* it was told of */
	unsigned most;	 /* regions that it takes */
	unsigned n;
	struct vhost_memory_region regions[8];
} kernel;

static bool played(int fd, unsigned long request, void *arg, int *ret)
{
	const struct vhost_memory *m = arg;

	(void)fd;
	*ret = 0;
	if (request == VHOST_GET_FEATURES)
		*(uint64_t *)arg = UINT64_C(1) << 32;
	if (request != VHOST_SET_MEM_TABLE)
		return true;
	if (m->nregions > kernel.most) {
		errno = E2BIG;
		*ret = -1;
		return true;
	}
	kernel.tables++;
	kernel.n = m->nregions;
	for (unsigned i = 0; i < m->nregions; i++)
		kernel.regions[i] = m->regions[i];
	return true;
}

static int play(void **state)
{
	wrap_setup(state);
	wrap_redirect("/dev/vhost-net", "/dev/null");
	wrap_ioctl(played);
	kernel.tables = kernel.n = 0;
	kernel.most = 8;
	guest_memory_init(&memory);
	return 0;
}

/* --- the tests --- */

static int start(void)
{
	const struct served_queue queue = { .size = 16, .kick = -1, .call = -1, .error = -1 };

	return vhost_set_up(&vhost, &memory.all, &queue, 1, 0, &err);
}

static void expect_table(unsigned tables, const unsigned *which, unsigned n)
{
	assert_int_equal(kernel.tables, tables);
	assert_int_equal(kernel.n, n);
	for (unsigned i = 0; i < n; i++) {
		const struct ram_block *b = &blocks[which[i]];

		assert_int_equal(kernel.regions[i].guest_phys_addr, b->gpa.base);
		assert_int_equal(kernel.regions[i].memory_size, span_size(b->gpa));
		assert_int_equal(kernel.regions[i].userspace_addr, (uintptr_t)b->hva);
	}
}

static void test_memory(void **state)
{
	struct wrap_held before = wrap_held();

	(void)state;
	assert_int_equal(vhost_open(&vhost, "/dev/vhost-net", &err), 0);
	assert_int_equal(guest_memory_add(&memory, &blocks[0], &err), 0);
	assert_int_equal(vhost_listen(&vhost, &memory, &err), 0);
	assert_int_equal(guest_memory_add(&memory, &blocks[2], &err), 0);
	assert_int_equal(kernel.tables, 0); /* before there is a ring nobody asks */
	assert_int_equal(start(), 0);
	expect_table(1, (const unsigned[]){ 0, 2 }, 2);
	assert_int_equal(guest_memory_add(&memory, &blocks[1], &err), 0);
	expect_table(2, (const unsigned[]){ 0, 1, 2 }, 3);
	guest_memory_remove(&memory, blocks[0].gpa);
	expect_table(3, (const unsigned[]){ 1, 2 }, 2);
	/* It takes no more: then the guest has no more. */
	kernel.most = 2;
	assert_int_equal(guest_memory_add(&memory, &blocks[0], &err), -E2BIG);
	wrap_assert_says(&err, "vhost does not take guest memory of 3 spans");
	assert_int_equal(memory.all.n, 2);
	expect_table(3, (const unsigned[]){ 1, 2 }, 2);
	guest_memory_forget(&memory, &vhost.listener);
	guest_memory_remove(&memory, blocks[1].gpa);
	assert_int_equal(kernel.tables, 3);
	vhost_close(&vhost);
	wrap_assert_released(before, "vhost_close");
}

static int attempt(void *to, struct err *e)
{
	const struct served_queue queue = { .size = 16, .kick = -1, .call = -1, .error = -1 };
	int ret = vhost_open(&vhost, "/dev/vhost-net", e);

	(void)to;
	guest_memory_init(&memory);
	if (ret == 0)
		ret = vhost_listen(&vhost, &memory, e);
	if (ret == 0)
		ret = vhost_set_up(&vhost, &memory.all, &queue, 1, 0, e);
	if (ret == 0)
		ret = guest_memory_add(&memory, &blocks[0], e);
	guest_memory_forget(&memory, &vhost.listener);
	vhost_close(&vhost);
	return ret;
}

static void test_errors(void **state)
{
	static const struct wrap_harmless none[] = { { { 0 }, 0, NULL } };

	(void)state;
	wrap_sweep(attempt, NULL, EIO, none);
	wrap_sweep(attempt, NULL, ENOMEM, none);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_memory, play),
		cmocka_unit_test_setup(test_errors, play),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
