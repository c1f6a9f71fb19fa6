/* How many CPUs the host lets this process use. */
#ifndef HOST_CPUS_H
#define HOST_CPUS_H

/*
 * Those of its affinity (sched_getaffinity(2)), no more than its control groups' share of CPU time
 * is worth; at least 1. `root` is "" or, for tests, a folder with proc/ and sys/.
 */
unsigned cpus_usable(const char *root);

#endif
