/*
 * MSI-X of an emulated function: which vectors have a route, and how many changes of the routes
 * that takes.
 */
#include "devices/msix.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#define VECTORS	 16u
#define ENABLE	 0x8000
#define MASK_ALL 0x4000

static struct {
	bool routed[VECTORS];
	uint64_t address[VECTORS];
	unsigned calls, lines;
	int error; /* of the next call */
} machine;

static struct msix msix;
static struct pci_config config;
static unsigned cap;
static int fds[VECTORS];

static int env_route(void *to, struct msi_route *list, size_t n, struct err *err)
{
	int error = machine.error;

	(void)to;
	machine.calls++;
	machine.error = 0;
	if (error)
		return err_set(err, error, "no");
	for (size_t i = 0; i < n; i++) {
		unsigned vector = (unsigned)(list[i].fd - fds[0]);

		assert_true(list[i].handle < 0 || list[i].handle == (int)vector);
		list[i].handle = (int)vector;
		machine.routed[vector] = true;
		machine.address[vector] = list[i].address;
	}
	return 0;
}

static void env_unroute(void *to, int handle, int fd)
{
	(void)to;
	assert_int_equal(fd - fds[0], handle);
	assert_true(machine.routed[handle]);
	machine.routed[handle] = false;
}

static void env_say(void *to, const char *sentence)
{
	(void)to;
	assert_string_equal(sentence, "no");
	machine.lines++;
}

static const struct pci_env env = { .route = env_route, .unroute = env_unroute, .say = env_say };

static unsigned routes(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < VECTORS; i++)
		n += machine.routed[i];
	return n;
}

static void control(uint32_t value)
{
	pci_config_write(&config, cap + 2, 2, value);
	msix_update(&msix, &config, cap);
}

static void entry(unsigned vector, uint64_t address, bool masked)
{
	msix_table_write(&msix, 16 * vector, 8, address);
	msix_table_write(&msix, 16 * vector + 8, 8, (uint64_t)masked << 32 | vector);
}

static int setup(void **state)
{
	(void)state;
	memset(&machine, 0, sizeof(machine));
	for (unsigned i = 0; i < VECTORS; i++)
		fds[i] = 1000 + (int)i; /* which nobody signals here */
	pci_config_init(&config);
	msix_init(&msix, &env, fds, VECTORS);
	cap = msix_add_cap(&msix, &config, 0, 0, 0x800);
	return 0;
}

/* All that a write of the guest changes is one call. */
static void test_at_once(void **state)
{
	(void)state;
	for (unsigned i = 0; i < VECTORS; i++)
		entry(i, 0xfee00000, i == 5);
	assert_int_equal(machine.calls, 0);
	control(ENABLE);
	assert_int_equal(routes(), VECTORS - 1);
	assert_false(machine.routed[5]);
	assert_int_equal(machine.calls, 1);
	control(ENABLE | MASK_ALL);
	assert_int_equal(routes(), 0);
	entry(5, 0xfee00000, false);
	control(ENABLE);
	assert_int_equal(routes(), VECTORS);
	assert_int_equal(machine.calls, 2);
	msix_stop(&msix);
	assert_int_equal(routes(), 0);
	assert_int_equal(machine.calls, 2);
}

static void test_one(void **state)
{
	(void)state;
	control(ENABLE);
	assert_int_equal(machine.calls, 0);
	entry(3, 0xfee01000, false);
	assert_int_equal(routes(), 1);
	assert_int_equal(machine.calls, 1);
	msix_table_write(&msix, 16 * 3, 8, 0xfee02000);
	assert_int_equal(machine.address[3], 0xfee02000);
	assert_int_equal(machine.calls, 2);
	msix_table_write(&msix, 16 * 3, 8, 0xfee02000);
	assert_int_equal(machine.calls, 2); /* nothing changed */
	entry(3, 0xfee02000, true);
	assert_int_equal(routes(), 0);
}

/* What could not be had is said, and tried again at the next change. */
static void test_again(void **state)
{
	(void)state;
	control(ENABLE);
	machine.error = EINVAL;
	msix_table_write(&msix, 12, 4, 0);
	assert_int_equal(routes(), 0);
	assert_int_equal(machine.lines, 1);
	msix_table_write(&msix, 12, 4, 0);
	assert_int_equal(routes(), 1);
	assert_int_equal(machine.lines, 1);
}

static void test_odd_accesses(void **state)
{
	(void)state;
	control(ENABLE);
	msix_table_write(&msix, 12, 2, 0);
	msix_table_write(&msix, 10, 4, 0);
	msix_table_write(&msix, 16 * VECTORS + 12, 4, 0);
	msix_table_write(&msix, UINT64_MAX - 3, 4, 0);
	assert_int_equal(routes(), 0);
	assert_int_equal(msix_table_read(&msix, 12, 4), 1);
	assert_int_equal(msix_table_read(&msix, 16 * VECTORS, 4), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_at_once, setup),
		cmocka_unit_test_setup(test_one, setup),
		cmocka_unit_test_setup(test_again, setup),
		cmocka_unit_test_setup(test_odd_accesses, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
