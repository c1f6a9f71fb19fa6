/* What control groups leave a process: the least of its own and all above. */
#include "vmm/host/cgroup.h"
#include "vmm/base/units.h"
#include "vmm/host/cpus.h"
#include "vmm/host/nodes.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static char root[] = "/tmp/straddle-cgroup-XXXXXX";

static void shell(const char *command)
{
	char line[1024];

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
	assert_int_equal(room.memory_limit.bytes, memory);
	assert_int_equal(room.cpus, cpus);
}

static void expect_limit(const struct cgroup_limit *limit, uint64_t bytes, const char *file)
{
	assert_int_equal(limit->bytes, bytes);
	if (strncmp(limit->file, root, strlen(root)) != 0 ||
	    strcmp(limit->file + strlen(root), file) != 0)
		fail_msg("%s is not %s", limit->file, file);
}

/* What the group could give back does not count; who limits is named. */
static void test_limits(void **state)
{
	struct cgroup_room room;

	(void)state;
	shell("cd sys/fs/cgroup/a && echo 1000 >memory.max && echo 900 >memory.current && "
	      "printf 'anon 5\ninactive_file 300\nactive_file 50\ninactive_file_x 9\n' "
	      ">memory.stat");
	shell("cd sys/fs/cgroup/a/b && echo 8000 >memory.max && echo 10 >memory.current && "
	      "echo 4194304 >hugetlb.2MB.max && echo 2097152 >hugetlb.2MB.current && "
	      "echo 9000000 >hugetlb.2MB.rsvd.max && echo 0 >hugetlb.2MB.rsvd.current && "
	      "echo max >hugetlb.1GB.max && echo 0 >hugetlb.1GB.current");
	cgroup_room_read(root, &room);
	expect_limit(&room.memory_limit, 450, "/sys/fs/cgroup/a/memory.max");
	expect_limit(&room.huge[HOST_PAGES_2M], 2 * MIB, "/sys/fs/cgroup/a/b/hugetlb.2MB.max");
	assert_int_equal(room.huge[HOST_PAGES_1G].bytes, UINT64_MAX);
	assert_string_equal(room.huge[HOST_PAGES_1G].file, "");
	shell("echo 1048576 >sys/fs/cgroup/a/b/hugetlb.2MB.rsvd.max");
	cgroup_room_read(root, &room);
	expect_limit(&room.huge[HOST_PAGES_2M], MIB, "/sys/fs/cgroup/a/b/hugetlb.2MB.rsvd.max");
}

/* Version 1 has a tree for each controller; in a container the own path may not be visible. */
static void test_version_1(void **state)
{
	struct cgroup_room room;

	(void)state;
	shell("printf '9:name=systemd:/x\n8:hugetlb:/h\n7:cpu,cpuacct:/c/d\n4:memory:/m/n\n0::/\n' "
	      ">proc/self/cgroup");
	shell("cd sys/fs/cgroup && mkdir -p memory/m cpu/c hugetlb/h && "
	      "echo 9223372036854771712 >memory/memory.limit_in_bytes && "
	      "echo 77 >memory/memory.usage_in_bytes");
	expect_room(UINT64_MAX, UINT32_MAX);
	shell("cd sys/fs/cgroup && echo 5000 >memory/m/memory.limit_in_bytes && "
	      "echo 4000 >memory/m/memory.usage_in_bytes && "
	      "printf 'inactive_file 1\ntotal_inactive_file 100\ntotal_active_file 20\n' "
	      ">memory/m/memory.stat");
	shell("cd sys/fs/cgroup && echo -1 >cpu/cpu.cfs_quota_us && echo 100000 "
	      ">cpu/cpu.cfs_period_us "
	      "&& echo 250000 >cpu/c/cpu.cfs_quota_us && echo 100000 >cpu/c/cpu.cfs_period_us");
	shell("cd sys/fs/cgroup/hugetlb/h && echo 4194304 >hugetlb.2MB.limit_in_bytes && "
	      "echo 0 >hugetlb.2MB.usage_in_bytes");
	expect_room(1120, 3);
	cgroup_room_read(root, &room);
	expect_limit(&room.memory_limit, 1120, "/sys/fs/cgroup/memory/m/memory.limit_in_bytes");
	expect_limit(&room.huge[HOST_PAGES_2M], 4 * MIB,
		     "/sys/fs/cgroup/hugetlb/h/hugetlb.2MB.limit_in_bytes");
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

static void expect_set(const struct host_cpus *set, const char *members)
{
	char text[256] = "";
	size_t len = 0;

	for (unsigned cpu = 0; cpu < HOST_CPUS_MAX + 2; cpu++)
		if (host_cpus_has(set, cpu))
			len += (size_t)snprintf(text + len, sizeof(text) - len, "%u ", cpu);
	assert_string_equal(text, members);
}

static void test_sets(void **state)
{
	struct host_cpus set, other, own;

	(void)state;
	host_cpus_parse(&set, "0-2,64,8190-9000\n");
	expect_set(&set, "0 1 2 64 8190 8191 ");
	host_cpus_parse(&other, "2-64");
	host_cpus_keep(&set, &other);
	expect_set(&set, "2 64 ");
	host_cpus_parse(&set, "\n");
	assert_true(host_cpus_none(&set));
	host_cpus_parse(&set, "1-,x");
	expect_set(&set, "");
	/* A node's, and none of one that is not there or has memory alone. */
	shell("mkdir -p sys/devices/system/node/node3 && "
	      "echo 5-6,9 >sys/devices/system/node/node3/cpulist");
	cpus_of_node(root, 3, &set);
	expect_set(&set, "5 6 9 ");
	cpus_of_node(root, 2, &set);
	assert_true(host_cpus_none(&set));
	/* Where this thread may run, one CPU, and back. */
	cpus_allowed(&own);
	assert_false(host_cpus_none(&own));
	memset(&set, 0, sizeof(set));
	for (unsigned cpu = 0; host_cpus_none(&set); cpu++)
		if (host_cpus_has(&own, cpu))
			host_cpus_add(&set, cpu);
	assert_int_equal(cpus_run_on(&set), 0);
	cpus_allowed(&other);
	assert_memory_equal(&other, &set, sizeof(set));
	assert_int_equal(cpus_run_on(&own), 0);
	memset(&set, 0, sizeof(set));
	assert_int_equal(cpus_run_on(&set), -EINVAL);
}

/* Node 1 has no memory, node 2 no CPUs; node 3 may not be used. */
static void test_host_nodes(void **state)
{
	struct host_nodes nodes;

	(void)state;
	host_nodes_probe(root, &nodes);
	assert_int_equal(nodes.n, 0);
	shell("for n in 0 1 2 3; do mkdir -p sys/devices/system/node/node$n; done; "
	      "cd sys/devices/system/node; for n in 0 2 3; do "
	      "echo Node $n MemTotal: $((n * 8 + 8)) kB >node$n/meminfo; done; "
	      "echo 0-1,4-5 >node0/cpulist; echo 2-3 >node1/cpulist; echo >node2/cpulist; "
	      "echo 10 11 12 13 >node0/distance; echo 12 21 10 23 >node2/distance");
	shell("for n in 0 1 4 5; do mkdir -p sys/devices/system/cpu/cpu$n/topology; "
	      "echo 7 >sys/devices/system/cpu/cpu$n/topology/physical_package_id; done; "
	      "echo 0,4 >sys/devices/system/cpu/cpu0/topology/thread_siblings_list; "
	      "echo Mems_allowed_list: 0-2 >proc/self/status");
	host_nodes_probe(root, &nodes);
	assert_int_equal(nodes.n, 2);
	assert_int_equal(nodes.nodes[0].number, 0);
	assert_int_equal(nodes.nodes[0].memory, 8 * KIB);
	assert_int_equal(nodes.nodes[0].cpus, 4);
	assert_int_equal(nodes.nodes[0].sockets, 1);
	assert_int_equal(nodes.nodes[0].socket, 7);
	assert_int_equal(nodes.nodes[1].number, 2);
	assert_int_equal(nodes.nodes[1].memory, 24 * KIB);
	assert_int_equal(nodes.nodes[1].cpus, 0);
	assert_int_equal(nodes.distances[0][1], 12);
	assert_int_equal(nodes.distances[1][0], 12);
	assert_int_equal(nodes.threads, 2);
	shell("echo 8 >sys/devices/system/cpu/cpu5/topology/physical_package_id");
	host_nodes_probe(root, &nodes);
	assert_int_equal(nodes.nodes[0].sockets, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_none, setup, teardown),
		cmocka_unit_test_setup_teardown(test_least, setup, teardown),
		cmocka_unit_test_setup_teardown(test_limits, setup, teardown),
		cmocka_unit_test_setup_teardown(test_version_1, setup, teardown),
		cmocka_unit_test_setup_teardown(test_cpus, setup, teardown),
		cmocka_unit_test_setup_teardown(test_sets, setup, teardown),
		cmocka_unit_test_setup_teardown(test_host_nodes, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
