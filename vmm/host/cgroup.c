#include "vmm/host/cgroup.h"

#include "vmm/base/span.h"

#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* The path of this process' group below the mount, or false; "/" is the root of what it sees. */
static bool read_path(const char *root, char *path, size_t size)
{
	char name[PATH_MAX], line[PATH_MAX];
	bool found = false;
	FILE *file;

	snprintf(name, sizeof(name), "%s/proc/self/cgroup", root);
	file = fopen(name, "re");
	while (file && !found && fgets(line, sizeof(line), file)) {
		line[strcspn(line, "\n")] = '\0';
		found = !strncmp(line, "0::/", 4) && strlen(line + 3) < size;
		if (found)
			strcpy(path, line + 3);
	}
	if (file)
		fclose(file);
	return found;
}

/* Reads a file's first line. */
static bool read_line(const char *group, const char *file, char *line, int size)
{
	char name[PATH_MAX + 32];
	bool ok;
	FILE *in;

	snprintf(name, sizeof(name), "%s/%s", group, file);
	in = fopen(name, "re");
	ok = in && fgets(line, size, in);
	if (in)
		fclose(in);
	return ok;
}

/* "max" is no number. */
static void take_memory(const char *group, struct cgroup_room *room)
{
	char line[64];
	uint64_t max, used;

	if (!read_line(group, "memory.max", line, sizeof(line)) ||
	    sscanf(line, "%" SCNu64, &max) != 1 ||
	    !read_line(group, "memory.current", line, sizeof(line)) ||
	    sscanf(line, "%" SCNu64, &used) != 1)
		return;
	room->memory = min_u64(room->memory, max > used ? max - used : 0);
}

/* "QUOTA PERIOD" in microseconds. */
static void take_cpus(const char *group, struct cgroup_room *room)
{
	uint64_t quota, period, cpus;
	char line[64];

	if (!read_line(group, "cpu.max", line, sizeof(line)) ||
	    sscanf(line, "%" SCNu64 " %" SCNu64, &quota, &period) != 2 || !period)
		return;
	cpus = quota / period + (quota % period != 0);
	room->cpus = (unsigned)min_u64(room->cpus, cpus ? cpus : 1);
}

void cgroup_room_read(const char *root, struct cgroup_room *room)
{
	char path[PATH_MAX / 2], group[PATH_MAX];
	char *slash;

	*room = (struct cgroup_room){ UINT64_MAX, UINT32_MAX };
	if (!read_path(root, path, sizeof(path)))
		return;
	/* From the own group up to the root, which in a container has files, too. */
	for (;;) {
		if (snprintf(group, sizeof(group), "%s/sys/fs/cgroup%s", root, path) <
		    (int)sizeof(group)) {
			take_memory(group, room);
			take_cpus(group, room);
		}
		slash = strrchr(path, '/');
		if (!slash)
			return;
		*slash = '\0';
	}
}
