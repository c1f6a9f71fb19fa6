/* The host's CPUs: which this process may use, which are a node's, and where a thread runs. */
#ifndef HOST_CPUS_H
#define HOST_CPUS_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Those of its affinity (sched_getaffinity(2)), no more than its control groups' share of CPU time
 * is worth; at least 1. `root` is "" or, for tests, a folder with proc/ and sys/.
 */
unsigned cpus_usable(const char *root);

#define HOST_CPUS_MAX 8192 /* the most that Linux on x86 can have (NR_CPUS) */

struct host_cpus {
	uint64_t words[HOST_CPUS_MAX / 64];
};

void host_cpus_add(struct host_cpus *set, unsigned cpu);
bool host_cpus_has(const struct host_cpus *set, unsigned cpu);
unsigned host_cpus_count(const struct host_cpus *set);
bool host_cpus_none(const struct host_cpus *set);
/* Keeps what both have. */
void host_cpus_keep(struct host_cpus *set, const struct host_cpus *other);
/* Reads a list of the kernel's, "0-3,64-67", up to what is no list. */
void host_cpus_parse(struct host_cpus *set, const char *list);

/* Those that the calling thread may use; all if the kernel does not say. */
void cpus_allowed(struct host_cpus *set);
/* Those of a node; none: it has none, or is not there. */
void cpus_of_node(const char *root, unsigned node, struct host_cpus *set);
/* From now on the calling thread, and those that it makes, run there. 0 or -errno. */
int cpus_run_on(const struct host_cpus *set);

#endif
