#include "vmm/host/cgroup.h"

#include "vmm/base/span.h"

#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* --- files --- */

/* Whether `list`, words with commas between them, has the word. */
static bool has_word(const char *list, const char *word)
{
	size_t len = strlen(word);

	for (const char *at = list; at; at = strchr(at, ',')) {
		at += *at == ',';
		if (!strncmp(at, word, len) && (at[len] == ',' || !at[len]))
			return true;
	}
	return false;
}

/*
 * The path of this process' group below the mount, or false; "/" is the root of what it sees. Lines
 * are NUMBER:CONTROLLERS:PATH, with no controllers for version 2.
 */
static bool read_path(const char *root, const char *controller, char *path, size_t size)
{
	char name[PATH_MAX], line[PATH_MAX], *list, *at;
	bool found = false;
	FILE *file;

	snprintf(name, sizeof(name), "%s/proc/self/cgroup", root);
	file = fopen(name, "re");
	while (file && !found && fgets(line, sizeof(line), file)) {
		line[strcspn(line, "\n")] = '\0';
		list = strchr(line, ':');
		at = list ? strchr(list + 1, ':') : NULL;
		if (!at || at[1] != '/' || strlen(at + 1) >= size)
			continue;
		*at++ = '\0';
		found = has_word(list + 1, controller);
		if (found)
			strcpy(path, at);
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
static bool cgroup_number(const char *group, const char *file, uint64_t *value)
{
	char line[64];

	return read_line(group, file, line, sizeof(line)) && line[0] != '-' &&
	       sscanf(line, "%" SCNu64, value) == 1;
}

/* The page cache, of the group and all below it: the kernel takes it back before it refuses. */
static uint64_t page_cache(const char *group, const char *prefix)
{
	char name[PATH_MAX + 32], line[128], key[64];
	uint64_t sum = 0, value;
	FILE *file;

	snprintf(name, sizeof(name), "%s/memory.stat", group);
	file = fopen(name, "re");
	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "%63s %" SCNu64, key, &value) == 2 &&
		    !strncmp(key, prefix, strlen(prefix)) &&
		    (!strcmp(key + strlen(prefix), "inactive_file") ||
		     !strcmp(key + strlen(prefix), "active_file")))
			sum += value;
	if (file)
		fclose(file);
	return sum;
}

/* --- limits --- */

#define UNLIMITED (UINT64_C(1) << 62) /* version 1 writes a number about as large as this */

static void take_limit(const char *group, const char *max_file, const char *used_file,
		       uint64_t reclaimable, struct cgroup_limit *limit)
{
	uint64_t max, used;

	if (!cgroup_number(group, max_file, &max) || max >= UNLIMITED ||
	    !cgroup_number(group, used_file, &used))
		return;
	used -= min_u64(used, reclaimable);
	if (limit->bytes <= (max > used ? max - used : 0))
		return;
	limit->bytes = max > used ? max - used : 0;
	snprintf(limit->file, sizeof(limit->file), "%s/%s", group, max_file);
}

static void take_cpus(uint64_t quota, uint64_t period, struct cgroup_room *room)
{
	uint64_t cpus = period ? quota / period + (quota % period != 0) : UINT32_MAX;

	room->cpus = (unsigned)min_u64(room->cpus, cpus ? cpus : 1);
}

static const char *const size_names[HOST_PAGES] = { "2MB", "1GB" };

static void take_huge(const char *group, const char *max, const char *used,
		      struct cgroup_room *room)
{
	char max_file[64], used_file[64];

	for (unsigned i = 0; i < HOST_PAGES; i++)
		for (unsigned reserved = 0; reserved < 2; reserved++) {
			const char *kind = reserved ? "rsvd." : "";

			snprintf(max_file, sizeof(max_file), "hugetlb.%s.%s%s", size_names[i], kind,
				 max);
			snprintf(used_file, sizeof(used_file), "hugetlb.%s.%s%s", size_names[i],
				 kind, used);
			take_limit(group, max_file, used_file, 0, &room->huge[i]);
		}
}

static void take_v2(const char *group, struct cgroup_room *room)
{
	uint64_t quota, period;
	char line[64];

	take_limit(group, "memory.max", "memory.current", page_cache(group, ""),
		   &room->memory_limit);
	take_huge(group, "max", "current", room);
	/* "QUOTA PERIOD" in microseconds. */
	if (read_line(group, "cpu.max", line, sizeof(line)) &&
	    sscanf(line, "%" SCNu64 " %" SCNu64, &quota, &period) == 2)
		take_cpus(quota, period, room);
}

static void take_v1_memory(const char *group, struct cgroup_room *room)
{
	take_limit(group, "memory.limit_in_bytes", "memory.usage_in_bytes",
		   page_cache(group, "total_"), &room->memory_limit);
}

static void take_v1_huge(const char *group, struct cgroup_room *room)
{
	take_huge(group, "limit_in_bytes", "usage_in_bytes", room);
}

static void take_v1_cpus(const char *group, struct cgroup_room *room)
{
	uint64_t quota, period;

	if (cgroup_number(group, "cpu.cfs_quota_us", &quota) &&
	    cgroup_number(group, "cpu.cfs_period_us", &period))
		take_cpus(quota, period, room);
}

static const struct hierarchy {
	const char *controller, *mount;
	void (*take)(const char *group, struct cgroup_room *room);
} hierarchies[] = {
	{ "", "", take_v2 },
	{ "memory", "/memory", take_v1_memory },
	{ "hugetlb", "/hugetlb", take_v1_huge },
	{ "cpu", "/cpu", take_v1_cpus },
};

/* From the own group up to the root, which in a container has files, too. */
static void read_hierarchy(const char *root, const struct hierarchy *h, struct cgroup_room *room)
{
	char path[PATH_MAX / 2], group[CGROUP_FILE_MAX - 64], *slash;

	if (!read_path(root, h->controller, path, sizeof(path)))
		return;
	for (;;) {
		if (snprintf(group, sizeof(group), "%s/sys/fs/cgroup%s%s", root, h->mount, path) <
		    (int)sizeof(group))
			h->take(group, room);
		slash = strrchr(path, '/');
		if (!slash)
			return;
		*slash = '\0';
	}
}

void cgroup_room_read(const char *root, struct cgroup_room *room)
{
	*room = (struct cgroup_room){ .cpus = UINT32_MAX };
	room->memory_limit.bytes = UINT64_MAX;
	for (unsigned i = 0; i < HOST_PAGES; i++)
		room->huge[i].bytes = UINT64_MAX;
	for (size_t i = 0; i < ARRAY_SIZE(hierarchies); i++)
		read_hierarchy(root, &hierarchies[i], room);
}
