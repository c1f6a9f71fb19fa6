#include "vmm/host/memory.h"

#include <dirent.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const sizes[HOST_PAGES] = { "2048", "1048576" }; /* KiB, as sysfs has them */

int host_pages(uint64_t page_size)
{
	return page_size == 2 * MIB ? HOST_PAGES_2M : page_size == GIB ? HOST_PAGES_1G : -1;
}

static uint64_t read_number(const char *path)
{
	FILE *file = fopen(path, "re");
	uint64_t value = 0;

	if (!file)
		return 0;
	if (fscanf(file, "%" SCNu64, &value) != 1)
		value = 0;
	fclose(file);
	return value;
}

/* proc_meminfo(5): KiB. */
static void read_meminfo(const char *root, struct host_memory *m)
{
	char path[PATH_MAX], line[256];
	uint64_t kib;
	FILE *file;

	snprintf(path, sizeof(path), "%s/proc/meminfo", root);
	file = fopen(path, "re");
	while (file && fgets(line, sizeof(line), file)) {
		if (sscanf(line, "MemAvailable: %" SCNu64, &kib) == 1)
			m->available = kib * KIB;
		else if (sscanf(line, "SwapFree: %" SCNu64, &kib) == 1)
			m->swap = kib * KIB;
	}
	if (file)
		fclose(file);
}

static void read_pools(const char *root, struct host_memory *m)
{
	char path[PATH_MAX];

	for (unsigned i = 0; i < HOST_PAGES; i++) {
		uint64_t reserved;

		snprintf(path, sizeof(path),
			 "%s/sys/kernel/mm/hugepages/hugepages-%skB/free_hugepages", root,
			 sizes[i]);
		m->huge[i] = read_number(path);
		snprintf(path, sizeof(path),
			 "%s/sys/kernel/mm/hugepages/hugepages-%skB/resv_hugepages", root,
			 sizes[i]);
		reserved = read_number(path);
		m->huge[i] -= min_u64(m->huge[i], reserved);
	}
}

static int by_number(const void *a, const void *b)
{
	unsigned x = *(const unsigned *)a, y = *(const unsigned *)b;

	return (x > y) - (x < y);
}

static void read_nodes(const char *root, struct host_memory *m)
{
	char path[PATH_MAX];
	struct dirent *e;
	DIR *list;

	snprintf(path, sizeof(path), "%s/sys/devices/system/node", root);
	list = opendir(path);
	while (list && (e = readdir(list)) && m->nr_nodes < NODES_MAX) {
		unsigned number;

		if (sscanf(e->d_name, "node%u", &number) != 1)
			continue;
		m->nodes[m->nr_nodes].number = number;
		for (unsigned i = 0; i < HOST_PAGES; i++) {
			snprintf(path, sizeof(path),
				 "%s/sys/devices/system/node/node%u/hugepages/hugepages-%skB/"
				 "free_hugepages",
				 root, number, sizes[i]);
			m->nodes[m->nr_nodes].huge[i] = read_number(path);
		}
		m->nr_nodes++;
	}
	if (list)
		closedir(list);
	qsort(m->nodes, m->nr_nodes, sizeof(m->nodes[0]), by_number);
}

void host_memory_probe(const char *root, struct host_memory *m)
{
	memset(m, 0, sizeof(*m));
	read_meminfo(root, m);
	read_pools(root, m);
	read_nodes(root, m);
}
