/* --cpu-affinity with a plan, on this host: what is asked for is tried, and nothing stays changed.
 */
#include "vmm/vm/affinity.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct err err;
static struct host_cpus *list;
static struct config config;
static struct plan plan;

static int setup(void **state)
{
	(void)state;
	memset(&config, 0, sizeof(config));
	memset(&plan, 0, sizeof(plan));
	plan.cpus = 3;
	plan.nr_nodes = 1;
	return 0;
}

static unsigned some_cpu(const struct host_cpus *set)
{
	unsigned cpu = 0;

	while (!host_cpus_has(set, cpu))
		cpu++;
	return cpu;
}

static void refused(int code, const char *words)
{
	struct host_cpus before, after;

	cpus_allowed(&before);
	assert_int_equal(vm_affinity(&list, &config, &plan, &err), -code);
	assert_null(list);
	if (!strstr(err.text, words) || strchr(err.text, '\n'))
		fail_msg("\"%s\" does not say \"%s\"", err.text, words);
	cpus_allowed(&after);
	assert_memory_equal(&before, &after, sizeof(before));
}

static void test_nothing(void **state)
{
	(void)state;
	assert_int_equal(vm_affinity(&list, &config, &plan, &err), 0);
	assert_null(list);
}

static void test_sets(void **state)
{
	struct host_cpus before, after;
	char text[32];

	(void)state;
	cpus_allowed(&before);
	snprintf(text, sizeof(text), "%u", some_cpu(&before));
	config.has_affinity = true;
	config.cpu_lists[0] = text;
	config.nr_cpu_lists = 1;
	config.affinity[0].list = 1;
	config.affinity[2] =
		(struct config_affinity){ CONFIG_ONE_CPU, (uint16_t)some_cpu(&before) };
	assert_int_equal(vm_affinity(&list, &config, &plan, &err), 0);
	assert_true(host_cpus_has(&list[0], some_cpu(&before)));
	assert_true(host_cpus_none(&list[1]));
	assert_memory_equal(&list[0], &list[2], sizeof(list[0]));
	free(list);
	cpus_allowed(&after);
	assert_memory_equal(&before, &after, sizeof(before));
}

/* A set of which the kernel would take a part in silence is refused as well. */
static void test_no_such_cpu(void **state)
{
	struct host_cpus own;
	char text[32];

	(void)state;
	cpus_allowed(&own);
	if (host_cpus_has(&own, HOST_CPUS_MAX - 1))
		skip();
	config.has_affinity = true;
	config.affinity[1] = (struct config_affinity){ CONFIG_ONE_CPU, HOST_CPUS_MAX - 1 };
	refused(ENODEV, "vCPU 1 cannot run on CPU 8191 of the host, which is not there");
	snprintf(text, sizeof(text), "%u,8190", some_cpu(&own));
	config.cpu_lists[0] = text;
	config.affinity[1].list = 1;
	refused(ENODEV, "vCPU 1 cannot run on CPU 8190 of the host");
	config.affinity[3].list = 1;
	refused(EINVAL, "--cpu-affinity has vCPU 3, but the plan has 3, 0 to 2");
}

static void test_auto(void **state)
{
	(void)state;
	config.affinity_auto = true;
	refused(EINVAL, "the plan has none; use VCPUS@CPUS");
	plan.nodes[0].bound = true;
	plan.nodes[0].host = CONFIG_HOST_NODES - 1;
	refused(ENODEV, "node 1023 of the host, where the RAM of vCPU 0's node is, has no CPUs");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_nothing, setup),
		cmocka_unit_test_setup(test_sets, setup),
		cmocka_unit_test_setup(test_no_such_cpu, setup),
		cmocka_unit_test_setup(test_auto, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
