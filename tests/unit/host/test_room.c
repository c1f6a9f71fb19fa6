/* Whether a host has what a guest's RAM needs, judged on facts: each shortage, and its sentence. */
#include "vmm/host/room.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static struct err err;

/* Two nodes with 8 GiB available, of which 1 GiB is swap, and 1024 huge pages of 2 MiB. */
static struct room big(void)
{
	struct room room = {
		.memory = {
			.available = 7 * GIB,
			.swap = GIB,
			.huge = { 1024, 0 },
			.pool = { 1500, 0 },
			.knows_huge = true,
			.has_huge = { true, true },
			.nodes = { { 0, true, { 800, 0 }, 3 * GIB, 8 * GIB }, { 1, true, { 224, 0 }, 4 * GIB, 8 * GIB } },
			.nr_nodes = 2,
		},
		.address_space = UINT64_MAX,
		.data = UINT64_MAX,
		.file = UINT64_MAX,
		.locked = UINT64_MAX,
	};

	room.group.memory_limit.bytes = UINT64_MAX;
	for (unsigned i = 0; i < HOST_PAGES; i++)
		room.group.huge[i].bytes = UINT64_MAX;
	return room;
}

static struct room_need of(uint64_t bytes, uint64_t page_size)
{
	return (struct room_need){ .ram = bytes,
				   .behind = bytes,
				   .page_size = page_size,
				   .in_file = page_size != 4 * KIB };
}

static void fits(const struct room *room, const struct room_need *need)
{
	if (room_judge(room, need, &err) != 0)
		fail_msg("%s", err.text);
}

static void refused(const struct room *room, const struct room_need *need, int code,
		    const char *words)
{
	assert_int_equal(room_judge(room, need, &err), -code);
	if (!strstr(err.text, words) || strchr(err.text, '\n'))
		fail_msg("\"%s\" does not say \"%s\"", err.text, words);
}

/* A guest that touches little starts on a small host. */
static void test_lazy(void **state)
{
	struct room_need need = of(1126 * GIB, 4 * KIB);
	struct room room = big();

	(void)state;
	fits(&room, &need);
	room.group.memory_limit.bytes = 0;
	fits(&room, &need);
}

static void test_touched(void **state)
{
	struct room_need need = of(8 * GIB, 4 * KIB);
	struct room room = big();

	(void)state;
	need.touched = true;
	fits(&room, &need);
	need.ram = need.behind = 8 * GIB + 2 * MIB;
	refused(&room, &need, ENOMEM,
		"--prefault touches all 8194 MiB of guest RAM, and the host has 8192 MiB "
		"available, "
		"swap included: ");
	refused(&room, &need, ENOMEM, "--prefault off, or --overcommit");
	need.pinned = true;
	refused(&room, &need, ENOMEM,
		"devices pin all 8194 MiB of guest RAM, and the host has 8192");
	need.overcommit = true;
	fits(&room, &need);
	need.overcommit = false;
	need.behind = 512 * MIB; /* --fold */
	fits(&room, &need);
	room.memory.available = 0; /* the kernel does not say */
	need.behind = TIB;
	fits(&room, &need);
}

static void test_groups(void **state)
{
	struct room_need need = of(GIB, 4 * KIB), huge = of(GIB, 2 * MIB);
	struct room room = big();

	(void)state;
	need.touched = true;
	room.group.memory_limit.bytes = 100 * MIB;
	strcpy(room.group.memory_limit.file, "/sys/fs/cgroup/a/memory.max");
	refused(&room, &need, ENOMEM,
		"/sys/fs/cgroup/a/memory.max: --prefault touches all 1024 MiB");
	refused(&room, &need, ENOMEM, "its control group leaves it 100 MiB: raise that limit");
	fits(&room, &huge);
	room.group.huge[HOST_PAGES_2M].bytes = 20 * MIB;
	strcpy(room.group.huge[HOST_PAGES_2M].file, "/sys/fs/cgroup/a/hugetlb.2MB.max");
	refused(&room, &huge, ENOMEM,
		"needs 512 free huge pages of 2 MiB, and its control group leaves it 10: raise "
		"/sys/fs/cgroup/a/hugetlb.2MB.max");
}

static void test_huge(void **state)
{
	struct room_need need = of(2 * GIB, 2 * MIB), giant = of(2 * GIB, GIB);
	struct room room = big();

	(void)state;
	fits(&room, &need);
	need.ram = need.behind = 2 * GIB + 4 * MIB;
	/* 1500 there are, 2 more are needed */
	refused(&room, &need, ENOMEM,
		"needs 1026 free huge pages of 2 MiB, and the host has 1024: `echo 1502 "
		">/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages`");
	room.memory.could_make[HOST_PAGES_2M] = 2;
	fits(&room, &need);
	room.memory.nodes[0].allowed = false;
	refused(&room, &need, ENOMEM,
		"has 224 on the nodes that this process may use (cpuset.mems)");
	need.overcommit = true;
	fits(&room, &need); /* the kernel will say it */
	refused(&room, &giant, ENOMEM, "hugepagesz=1G hugepages=N");
	room.memory.has_huge[HOST_PAGES_1G] = false;
	refused(&room, &giant, ENODEV, "no huge pages of 1024 MiB: its CPU has none (no pdpe1gb");
	room.memory.knows_huge = false;
	fits(&room, &giant); /* the kernel will say it */
}

/* Nodes that memory is bound to must be there, also for memory that is made as it is used. */
static void test_no_node(void **state)
{
	struct room_need need = of(GIB, 4 * KIB);
	struct room room = big();

	(void)state;
	need.parts[0] = (struct room_part){ 1, TIB };
	need.nr_parts = 1;
	fits(&room, &need);
	room.memory.nodes[1].allowed = false;
	refused(&room, &need, ENODEV, "on node 1 of the host, which this process may not use");
	room.memory.nodes[1].total = 0;
	refused(&room, &need, ENODEV, "on node 1 of the host, which has CPUs and no memory");
	need.parts[0].node = 2;
	need.overcommit = true;
	refused(&room, &need, ENODEV,
		"on node 2 of the host, which has 2 nodes, the last of them node 1; use another");
	room.memory.nr_nodes = 0;
	refused(&room, &need, ENODEV, "whose kernel knows no nodes");
}

/* Memory that is bound to nodes must be there. */
static void test_nodes(void **state)
{
	struct room_need need = of(GIB, 2 * MIB);
	struct room room = big();

	(void)state;
	need.parts[0] = (struct room_part){ 0, GIB / 2 };
	need.parts[1] = (struct room_part){ 1, GIB / 2 };
	need.nr_parts = 2;
	refused(&room, &need, ENOMEM,
		"needs 256 free huge pages of 2 MiB on node 1 of the host, which has 224");
	refused(&room, &need, ENOMEM,
		"node1/hugepages/hugepages-2048kB/nr_hugepages` makes them, N "
		"being 32 more");
	need.parts[1].bytes = 224 * 2 * MIB;
	fits(&room, &need);
	need = of(7 * GIB, 4 * KIB);
	need.touched = true;
	need.parts[0] = (struct room_part){ 0, 4 * GIB };
	need.nr_parts = 1;
	refused(&room, &need, ENOMEM,
		"4096 MiB of it on node 0 of the host, which has 3072 MiB available: bind less");
}

static void test_limits(void **state)
{
	struct room_need need = of(4 * GIB, 4 * KIB);
	struct room room = big();

	(void)state;
	room.address_space = 4 * GIB;
	refused(&room, &need, ENOMEM, "needs 5120 MiB of address space");
	refused(&room, &need, ENOMEM, "may have 4096 MiB more (RLIMIT_AS)");
	room.address_space = 5 * GIB;
	fits(&room, &need);
	room.data = GIB;
	refused(&room, &need, ENOMEM, "`ulimit -d unlimited`");
	need.in_file = true;
	fits(&room, &need);
	room.file = GIB;
	refused(&room, &need, EFBIG,
		"a file of 4096 MiB here, and this process may write no file of "
		"more than 1024 MiB: raise the limit (ulimit -f");
	need.behind = GIB;
	fits(&room, &need);
	need.pinned = need.overcommit = true; /* which lifts no limit */
	room.locked = GIB;
	refused(&room, &need, ENOMEM,
		"devices need 4194304 KiB and this user may lock 1048576 KiB");
	refused(&room, &need, ENOMEM, "`ulimit -l 4194304`");
	need.pinned = false;
	need.locked = true;
	refused(&room, &need, ENOMEM,
		"--lock-memory needs 4194304 KiB and this user may lock 1048576 KiB");
}

static void test_transparent(void **state)
{
	static const char *const made[] = { "always", "madvise", "advise", "within_size", "force" };
	struct room_need need = of(4 * GIB, 4 * KIB);
	struct room room = big();

	(void)state;
	fits(&room, &need);
	need.transparent = true;
	refused(&room, &need, ENODEV,
		"--page-size thp: this host's kernel has no transparent huge pages (there is no "
		"/sys/kernel/mm/transparent_hugepage/enabled); use another");
	for (size_t i = 0; i < ARRAY_SIZE(made); i++) {
		strcpy(room.transparent, made[i]);
		fits(&room, &need);
	}
	strcpy(room.transparent, "never");
	refused(&room, &need, ENODEV, "/enabled says never): write madvise to it");
	need.in_file = need.overcommit = true;
	strcpy(room.transparent, "deny");
	refused(&room, &need, ENODEV, "/shmem_enabled says deny): write advise to it");
}

/* The host's own facts: this test's limits are seen. */
static int probe_limited(void)
{
	struct rlimit space = { 256 * TIB, 256 * TIB }, file = { MIB, MIB };
	struct room_need need = of(GIB, 4 * KIB);
	struct room room;

	room_probe("/nowhere", &need, &room);
	if (room.memory.available || room.file != UINT64_MAX || room.locked != UINT64_MAX)
		return 1; /* RAM that is made as it is used needs no such facts */
	need.transparent = true;
	room_probe("/nowhere", &need, &room);
	if (*room.transparent)
		return 5;
	need.transparent = false;
	if (setrlimit(RLIMIT_DATA, &space) < 0 || setrlimit(RLIMIT_FSIZE, &file) < 0)
		return 2;
	need.touched = true;
	room_probe("", &need, &room);
	if (!room.memory.available || room.file != MIB || room.data >= 256 * TIB ||
	    room.data < 4 * GIB)
		return 3;
	return room_judge(&room, &need, &err) == 0 ? 0 : 4;
}

static void test_probe(void **state)
{
	int status = 0;
	pid_t child = fork();

	(void)state;
	if (child == 0)
		_exit(probe_limited());
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lazy),   cmocka_unit_test(test_touched),
		cmocka_unit_test(test_groups), cmocka_unit_test(test_huge),
		cmocka_unit_test(test_nodes),  cmocka_unit_test(test_no_node),
		cmocka_unit_test(test_limits), cmocka_unit_test(test_transparent),
		cmocka_unit_test(test_probe),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
