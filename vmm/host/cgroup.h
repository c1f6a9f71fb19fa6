/*
 * What the control groups of this process leave it: the least of its own group and all above it,
 * because each of them limits (Documentation/admin-guide/cgroup-v2.rst). Version 2, and of version
 * 1 (admin-guide/cgroup-v1/) what is mounted where distributions mount it.
 */
#ifndef HOST_CGROUP_H
#define HOST_CGROUP_H

#include "vmm/host/memory.h"

#include <stdint.h>

#define CGROUP_FILE_MAX 512

/* A limit: the bytes that can still be charged; UINT64_MAX: there is none. */
struct cgroup_limit {
	uint64_t bytes;
	char file[CGROUP_FILE_MAX]; /* which sets it; "" if none does */
};

struct cgroup_room {
	unsigned cpus; /* of the share of CPU time, rounded up; UINT32_MAX: no limit */
	/* Its own page cache can be given back, so it does not count as used. */
	struct cgroup_limit memory_limit;
	struct cgroup_limit huge[HOST_PAGES]; /* of huge pages, by size */
};

/* `root` is "" or, for tests, a folder with proc/ and sys/. What cannot be read does not limit. */
void cgroup_room_read(const char *root, struct cgroup_room *room);

#endif
