/*
 * What the control groups (version 2) of this process leave it: the least of its own group and all
 * above it, because each of them limits (Documentation/admin-guide/cgroup-v2.rst).
 */
#ifndef HOST_CGROUP_H
#define HOST_CGROUP_H

#include <stdint.h>

struct cgroup_room {
	uint64_t memory; /* bytes that can still be charged; UINT64_MAX: no limit */
	unsigned cpus;	 /* of cpu.max, rounded up; UINT32_MAX: no limit */
};

/* `root` is "" or, for tests, a folder with proc/ and sys/. What cannot be read does not limit. */
void cgroup_room_read(const char *root, struct cgroup_room *room);

#endif
