#include "vmm/host/cpus.h"

#include "vmm/base/span.h"
#include "vmm/host/cgroup.h"

#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- sets --- */

void host_cpus_add(struct host_cpus *set, unsigned cpu)
{
	if (cpu < HOST_CPUS_MAX)
		set->words[cpu / 64] |= UINT64_C(1) << cpu % 64;
}

bool host_cpus_has(const struct host_cpus *set, unsigned cpu)
{
	return cpu < HOST_CPUS_MAX && set->words[cpu / 64] >> cpu % 64 & 1;
}

unsigned host_cpus_count(const struct host_cpus *set)
{
	unsigned n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(set->words); i++)
		n += (unsigned)__builtin_popcountll(set->words[i]);
	return n;
}

bool host_cpus_none(const struct host_cpus *set)
{
	return host_cpus_count(set) == 0;
}

void host_cpus_keep(struct host_cpus *set, const struct host_cpus *other)
{
	for (size_t i = 0; i < ARRAY_SIZE(set->words); i++)
		set->words[i] &= other->words[i];
}

void host_cpus_parse(struct host_cpus *set, const char *list)
{
	memset(set, 0, sizeof(*set));
	while (*list >= '0' && *list <= '9') {
		char *end;
		unsigned long first = strtoul(list, &end, 10), last = first;

		if (*end == '-')
			last = strtoul(end + 1, &end, 10);
		for (; first <= last && first < HOST_CPUS_MAX; first++)
			host_cpus_add(set, (unsigned)first);
		list = *end == ',' ? end + 1 : end;
	}
}

/* --- the host's --- */

/*
 * The kernel writes as many bytes as its own set has, which is no larger, and reads what is beyond
 * its own as nothing (kernel/sched/syscalls.c).
 */
static bool cpus_read_allowed(struct host_cpus *set)
{
	memset(set, 0, sizeof(*set));
	return sched_getaffinity(0, sizeof(set->words), (cpu_set_t *)(void *)set->words) >= 0;
}

void cpus_allowed(struct host_cpus *set)
{
	if (!cpus_read_allowed(set))
		memset(set, 0xff, sizeof(*set));
}

unsigned cpus_usable(const char *root)
{
	struct cgroup_room room;
	struct host_cpus set;
	uint64_t n = cpus_read_allowed(&set) ? host_cpus_count(&set) : 0;

	cgroup_room_read(root, &room);
	return (unsigned)max_u64(1, min_u64(n, room.cpus));
}

void cpus_of_node(const char *root, unsigned node, struct host_cpus *set)
{
	char path[PATH_MAX], line[4 * HOST_CPUS_MAX];
	FILE *file;

	memset(set, 0, sizeof(*set));
	snprintf(path, sizeof(path), "%s/sys/devices/system/node/node%u/cpulist", root, node);
	file = fopen(path, "re");
	if (!file)
		return;
	if (fgets(line, sizeof(line), file))
		host_cpus_parse(set, line);
	fclose(file);
}

int cpus_run_on(const struct host_cpus *set)
{
	const void *words = set->words;

	return sched_setaffinity(0, sizeof(set->words), words) < 0 ? -errno : 0;
}
