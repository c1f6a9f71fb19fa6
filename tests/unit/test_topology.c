/* APIC ids of CPU topologies (vmm/topology.h). */
#include "vmm/topology.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

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
		assert_int_equal(plan_apic_id(&p, cpu), cpu);
}

static void test_three_cores_leave_gaps(void **state)
{
	static const uint32_t ids[] = { 0, 1, 2, 3, 4, 5, 8, 9, 10, 11, 12, 13 };
	struct plan p = machine(2, 3, 2);

	(void)state;
	for (unsigned cpu = 0; cpu < p.cpus; cpu++)
		assert_int_equal(plan_apic_id(&p, cpu), ids[cpu]);
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
				uint32_t id = plan_apic_id(&p, cpu);
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
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
