#include "vmm/vm/affinity.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* The first CPU that only the first set has. */
static unsigned first_missing(const struct host_cpus *wanted, const struct host_cpus *got)
{
	unsigned cpu = 0;

	while (cpu < HOST_CPUS_MAX && (!host_cpus_has(wanted, cpu) || host_cpus_has(got, cpu)))
		cpu++;
	return cpu;
}

/*
 * The kernel runs a thread on those of the CPUs that are online and in its cpuset, and says nothing
 * of the others (sched_setaffinity(2)), so the set is read back.
 */
static int try_set(const struct host_cpus *set, unsigned cpu, struct err *err)
{
	struct host_cpus got = { { 0 } };

	if (cpus_run_on(set) == 0)
		cpus_allowed(&got);
	if (!memcmp(&got, set, sizeof(got)))
		return 0;
	return err_set(
		err, ENODEV,
		"--cpu-affinity: vCPU %u cannot run on CPU %u of the host, which is not there, "
		"is offline, or is not one that this process may use (cpuset.cpus); use others",
		cpu, first_missing(set, &got));
}

static int of_node(struct host_cpus *set, const struct plan *plan, unsigned cpu,
		   const struct host_cpus *own, struct err *err)
{
	const struct plan_node *node = &plan->nodes[plan_cpu_node(plan, cpu)];

	if (!node->bound)
		return 0;
	cpus_of_node("", node->host, set);
	if (host_cpus_none(set))
		return err_set(
			err, ENODEV,
			"--cpu-affinity auto: node %u of the host, where the RAM of vCPU %u's "
			"node is, has no CPUs; say where it runs (%u@CPUS)",
			node->host, cpu, cpu);
	host_cpus_keep(set, own);
	if (host_cpus_none(set))
		return err_set(
			err, ENODEV,
			"--cpu-affinity auto: this process may use no CPU of node %u of the "
			"host, where the RAM of vCPU %u's node is (taskset, cpuset.cpus); say "
			"where it runs (%u@CPUS)",
			node->host, cpu, cpu);
	return 0;
}

static void of_option(struct host_cpus *set, const struct config *config, unsigned cpu)
{
	struct config_affinity wanted = config->affinity[cpu];

	if (wanted.list == CONFIG_ONE_CPU)
		host_cpus_add(set, wanted.cpu);
	else if (wanted.list)
		host_cpus_parse(set, config->cpu_lists[wanted.list - 1]);
}

static int affinity_fill(struct host_cpus *sets, const struct config *config,
			 const struct plan *plan, const struct host_cpus *own, struct err *err)
{
	bool bound = false;
	int ret = 0;

	for (unsigned i = 0; i < plan->nr_nodes; i++)
		bound |= plan->nodes[i].bound;
	if (config->affinity_auto && !bound)
		return err_set(
			err, EINVAL,
			"--cpu-affinity auto follows nodes that are bound to the host's, and "
			"the plan has none; use VCPUS@CPUS");
	for (unsigned cpu = plan->cpus; cpu < CPUS_MAX; cpu++)
		if (config->affinity[cpu].list)
			return err_set(err, EINVAL,
				       "--cpu-affinity has vCPU %u, but the plan has %u, 0 to %u",
				       cpu, plan->cpus, plan->cpus - 1);
	for (unsigned cpu = 0; ret == 0 && cpu < plan->cpus; cpu++) {
		if (config->affinity_auto)
			ret = of_node(&sets[cpu], plan, cpu, own, err);
		else
			of_option(&sets[cpu], config, cpu);
		if (ret == 0 && !host_cpus_none(&sets[cpu]))
			ret = try_set(&sets[cpu], cpu, err);
	}
	return ret;
}

int vm_affinity(struct host_cpus **list, const struct config *config, const struct plan *plan,
		struct err *err)
{
	struct host_cpus own;
	int ret;

	*list = NULL;
	if (!config->affinity_auto && !config->has_affinity)
		return 0;
	*list = calloc(plan->cpus, sizeof(**list));
	if (!*list)
		return err_sys(err, ENOMEM, "out of memory for the CPUs of %u vCPUs", plan->cpus);
	cpus_allowed(&own);
	ret = affinity_fill(*list, config, plan, &own, err);
	(void)cpus_run_on(&own);
	if (ret == 0)
		return 0;
	free(*list);
	*list = NULL;
	return ret;
}
