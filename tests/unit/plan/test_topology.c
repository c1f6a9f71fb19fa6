/* APIC ids of CPU topologies (vmm/plan/topology.h). */
#include "vmm/base/msi.h"
#include "vmm/plan/topology.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

static struct plan machine(unsigned sockets, unsigned cores, unsigned threads)
{
	return (struct plan){ .cpus = sockets * cores * threads,
			      .sockets = sockets,
			      .cores = cores,
			      .threads = threads };
}

static void test_widths(void **state)
{
	static const struct {
		unsigned count, bits;
	} rows[] = {
		{ 1, 0 }, { 2, 1 }, { 3, 2 }, { 4, 2 }, { 5, 3 }, { 8, 3 }, { 9, 4 }, { 64, 6 }
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct plan p = machine(1, rows[i].count, 1);

		assert_int_equal(topology_core_bits(&p), rows[i].bits);
		assert_int_equal(topology_thread_bits(&p), 0);
		p = machine(1, 1, rows[i].count);
		assert_int_equal(topology_core_bits(&p), 0);
		assert_int_equal(topology_thread_bits(&p), rows[i].bits);
	}
}

static void test_sockets_only_count_up(void **state)
{
	struct plan p = machine(4096, 1, 1);

	(void)state;
	for (unsigned cpu = 0; cpu < p.cpus; cpu++)
		assert_int_equal(topology_apic_id(&p, cpu), cpu);
}

static void test_three_cores_leave_gaps(void **state)
{
	static const uint32_t ids[] = { 0, 1, 2, 3, 4, 5, 8, 9, 10, 11, 12, 13 };
	struct plan p = machine(2, 3, 2);

	(void)state;
	for (unsigned cpu = 0; cpu < p.cpus; cpu++)
		assert_int_equal(topology_apic_id(&p, cpu), ids[cpu]);
}

/* CPUs with ids past 254 are counted, and the way out that is named is one. */
static void test_is_wide(void **state)
{
	static const struct {
		unsigned sockets, cores, threads;
		const char *says; /* NULL: nothing */
	} rows[] = {
		{ 1, 255, 1, NULL },
		{ 4, 32, 1, NULL },
		{ 1, 256, 1,
		  "1 of the guest's 256 CPUs have APIC IDs above 254 (the last is 255), which "
		  "Linux "
		  "finds from 5.11 on, as a guest of KVM; for other guests use --cpus "
		  "255,sockets=1 at most" },
		{ 2, 96, 2,
		  "192 of the guest's 384 CPUs have APIC IDs above 254 (the last is 447)" },
		{ 6, 40, 1,
		  "80 of the guest's 240 CPUs have APIC IDs above 254 (the last is 359)" },
		{ 6, 40, 1, "use --cpus 240,sockets=1,threads=1" },
		{ 5, 18, 2,
		  "36 of the guest's 180 CPUs have APIC IDs above 254 (the last is 291)" },
		{ 5, 18, 2, "use --cpus 180,sockets=1,threads=2" },
		{ 5, 5, 5, "use --cpus 125,sockets=1,threads=5" },
		{ 1, 47, 5, "use --cpus 235,sockets=1,threads=1" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct plan p = machine(rows[i].sockets, rows[i].cores, rows[i].threads);
		struct err err = { "" };

		assert_int_equal(topology_is_wide(&p, &err), rows[i].says != NULL);
		if (rows[i].says && !strstr(err.text, rows[i].says))
			fail_msg("%s\nlacks: %s", err.text, rows[i].says);
		assert_int_equal(topology_last_id(&p), topology_apic_id(&p, p.cpus - 1));
	}
}

/* However CPUs are dealt out, interrupts reach the last of the most that there can be. */
static void test_all_ids_are_reached(void **state)
{
	(void)state;
	for (unsigned threads = 1; threads <= CPUS_MAX; threads++) {
		for (unsigned cores = 1; cores * threads <= CPUS_MAX; cores++) {
			unsigned sockets = CPUS_MAX / (cores * threads);

			for (unsigned dies = 1; dies <= cores; dies++) {
				struct apic_socket s = { dies, cores, threads };

				if (cores % dies == 0 &&
				    apic_id_last(&s, sockets) > MSI_DEST_ID_MAX)
					fail_msg("%u sockets, %u dies, %u cores, %u threads",
						 sockets, dies, cores, threads);
			}
		}
	}
}

/* Blocks of ids that no two nodes share. */
static void test_node_bits(void **state)
{
	struct plan p = machine(1, 16, 1);

	(void)state;
	assert_int_equal(topology_node_bits(&p), 4);
	p.nr_nodes = 3;
	memset(p.cpu_node + 8, 1, 8); /* and node 2 is memory alone */
	assert_int_equal(topology_node_bits(&p), 3);
	memset(p.cpu_node + 4, 1, 4);
	memset(p.cpu_node + 8, 0, 4); /* 0-3,8-11 and 4-7,12-15 */
	assert_int_equal(topology_node_bits(&p), 2);
	p.cpu_node[3] = 1;
	assert_int_equal(topology_node_bits(&p), 0);
}

/* Dies have a field of their own, so that each is an aligned block of ids. */
static void test_dies(void **state)
{
	static const uint32_t ids[] = { 0,  1,	2,  4,	5,  6,	8,  9,	10,
					16, 17, 18, 20, 21, 22, 24, 25, 26 };
	struct plan p = machine(2, 9, 1);

	(void)state;
	p.dies = 3;
	assert_int_equal(topology_die_bits(&p), 2);
	assert_int_equal(topology_core_bits(&p), 4);
	for (unsigned cpu = 0; cpu < p.cpus; cpu++)
		assert_int_equal(topology_apic_id(&p, cpu), ids[cpu]);
	/* One die is as none. */
	p.dies = 1;
	assert_int_equal(topology_die_bits(&p), 4);
	assert_int_equal(topology_apic_id(&p, 9), 16);
	/* Two EPYC 9654: 12 dies of 8 cores, of 2 threads. */
	p = machine(2, 96, 2);
	p.dies = 12;
	assert_int_equal(topology_die_bits(&p), 4);
	assert_int_equal(topology_last_id(&p), 256 + 191);
}

/* What a guest does: shift the fields out of the id and find every CPU where it was put. */
static void test_fields_come_back(void **state)
{
	(void)state;
	for (unsigned cores = 1; cores <= 9; cores++) {
		for (unsigned threads = 1; threads <= 5; threads++) {
			struct plan p = machine(3, cores, threads);
			unsigned tb = topology_thread_bits(&p), cb = topology_core_bits(&p);

			for (unsigned cpu = 0; cpu < p.cpus; cpu++) {
				uint32_t id = topology_apic_id(&p, cpu);
				unsigned thread = id & ((1u << tb) - 1);
				unsigned core = id >> tb & ((1u << cb) - 1);
				unsigned socket = id >> (tb + cb);

				assert_int_equal((socket * cores + core) * threads + thread, cpu);
			}
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_widths),
		cmocka_unit_test(test_sockets_only_count_up),
		cmocka_unit_test(test_three_cores_leave_gaps),
		cmocka_unit_test(test_fields_come_back),
		cmocka_unit_test(test_is_wide),
		cmocka_unit_test(test_dies),
		cmocka_unit_test(test_all_ids_are_reached),
		cmocka_unit_test(test_node_bits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
