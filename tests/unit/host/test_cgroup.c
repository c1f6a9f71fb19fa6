/* What control groups leave a process: the least of its own and all above. */
#include "vmm/host/cgroup.h"
#include "vmm/host/cpus.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static char root[] = "/tmp/straddle-cgroup-XXXXXX";

static void shell(const char *command)
{
	char line[512];

	snprintf(line, sizeof(line), "cd %s && %s", root, command);
	assert_int_equal(system(line), 0); /* NOLINT(cert-env33-c): a folder of this test's own */
}

static int setup(void **state)
{
	(void)state;
	assert_non_null(mkdtemp(root));
	shell("mkdir -p proc/self sys/fs/cgroup/a/b && echo 0::/a/b >proc/self/cgroup");
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	shell("rm -r proc sys && rmdir $PWD");
	strcpy(root, "/tmp/straddle-cgroup-XXXXXX");
	return 0;
}

static void expect_room(uint64_t memory, unsigned cpus)
{
	struct cgroup_room room;

	cgroup_room_read(root, &room);
	assert_int_equal(room.memory, memory);
	assert_int_equal(room.cpus, cpus);
}

/* Of the CPUs that this process may run on, no more than the groups' share is worth, and one at
 * least.
 */
static void test_cpus(void **state)
{
	cpu_set_t all, one;
	unsigned n;

	(void)state;
	assert_int_equal(sched_getaffinity(0, sizeof(all), &all), 0);
	n = (unsigned)CPU_COUNT(&all);
	assert_int_equal(cpus_usable(root), n);
	shell("echo 150000 100000 >sys/fs/cgroup/a/cpu.max");
	assert_int_equal(cpus_usable(root), n < 2 ? n : 2);
	shell("echo 1 100000 >sys/fs/cgroup/a/cpu.max");
	assert_int_equal(cpus_usable(root), 1);
	shell("rm sys/fs/cgroup/a/cpu.max");
	CPU_ZERO(&one);
	for (unsigned i = 0; !CPU_COUNT(&one); i++)
		if (CPU_ISSET(i, &all))
			CPU_SET(i, &one);
	assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);
	assert_int_equal(cpus_usable(root), 1);
	assert_int_equal(sched_setaffinity(0, sizeof(all), &all), 0);
}

static void test_none(void **state)
{
	(void)state;
	expect_room(UINT64_MAX, UINT32_MAX);
	shell("echo max >sys/fs/cgroup/a/b/memory.max; echo 5 >sys/fs/cgroup/a/b/memory.current; "
	      "echo max 100000 >sys/fs/cgroup/a/cpu.max");
	expect_room(UINT64_MAX, UINT32_MAX);
	/* Version 1 only. */
	shell("echo 4:memory:/a >proc/self/cgroup");
	expect_room(UINT64_MAX, UINT32_MAX);
	shell("rm proc/self/cgroup");
	expect_room(UINT64_MAX, UINT32_MAX);
}

static void test_least(void **state)
{
	(void)state;
	shell("echo 1000 >sys/fs/cgroup/a/b/memory.max; echo 100 "
	      ">sys/fs/cgroup/a/b/memory.current; "
	      "echo 250000 100000 >sys/fs/cgroup/a/b/cpu.max");
	expect_room(900, 3);
	shell("echo 700 >sys/fs/cgroup/a/memory.max; echo 400 >sys/fs/cgroup/a/memory.current; "
	      "echo 10000 100000 >sys/fs/cgroup/cpu.max");
	expect_room(300, 1);
	/* A limit that was lowered below what is used. */
	shell("echo 300 >sys/fs/cgroup/a/memory.max");
	expect_room(0, 1);
	/* In a container the own group is the root of what is seen. */
	shell("echo 0::/ >proc/self/cgroup; echo 50 >sys/fs/cgroup/memory.max; "
	      "echo 20 >sys/fs/cgroup/memory.current");
	expect_room(30, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_none, setup, teardown),
		cmocka_unit_test_setup_teardown(test_least, setup, teardown),
		cmocka_unit_test_setup_teardown(test_cpus, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
