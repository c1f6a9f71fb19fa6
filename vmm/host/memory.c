#include "vmm/host/memory.h"

#include <dirent.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

static uint64_t read_pool(const char *root, unsigned pages, const char *file)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/sys/kernel/mm/hugepages/hugepages-%skB/%s", root,
		 sizes[pages], file);
	return read_number(path);
}

static void read_pools(const char *root, struct host_memory *m)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/sys/kernel/mm/hugepages", root);
	m->knows_huge = access(path, F_OK) == 0;
	for (unsigned i = 0; i < HOST_PAGES; i++) {
		uint64_t surplus = read_pool(root, i, "surplus_hugepages");

		snprintf(path, sizeof(path), "%s/sys/kernel/mm/hugepages/hugepages-%skB", root,
			 sizes[i]);
		m->has_huge[i] = access(path, F_OK) == 0;
		m->pool[i] = read_pool(root, i, "nr_hugepages");
		m->huge[i] = read_pool(root, i, "free_hugepages");
		m->huge[i] -= min_u64(m->huge[i], read_pool(root, i, "resv_hugepages"));
		m->could_make[i] = read_pool(root, i, "nr_overcommit_hugepages");
		m->could_make[i] -= min_u64(m->could_make[i], surplus);
	}
}

/* Lines such as "Node 0 MemFree:  123 kB": what is free, and what the kernel gives back if asked.
 */
static void read_node(const char *root, struct host_memory_node *node)
{
	static const char *const counted[] = { "MemFree:", "Active(file):", "Inactive(file):",
					       "SReclaimable:" };
	char path[PATH_MAX], line[256], key[64];
	uint64_t kib;
	FILE *file;

	snprintf(path, sizeof(path), "%s/sys/devices/system/node/node%u/meminfo", root,
		 node->number);
	file = fopen(path, "re");
	while (file && fgets(line, sizeof(line), file)) {
		if (sscanf(line, "Node %*u %63s %" SCNu64, key, &kib) != 2)
			continue;
		if (!strcmp(key, "MemTotal:"))
			node->total = kib * KIB;
		for (size_t i = 0; i < ARRAY_SIZE(counted); i++)
			if (!strcmp(key, counted[i]))
				node->available += kib * KIB;
	}
	if (file)
		fclose(file);
}

/* "Mems_allowed_list:	0-1,3" of proc_pid_status(5). Without that line all are allowed. */
static void read_allowed(const char *root, struct host_memory *m)
{
	char path[PATH_MAX], line[1024];
	FILE *file;

	snprintf(path, sizeof(path), "%s/proc/self/status", root);
	file = fopen(path, "re");
	while (file && fgets(line, sizeof(line), file)) {
		char *at = strchr(line, ':');

		if (strncmp(line, "Mems_allowed_list:", 18) != 0 || !at)
			continue;
		for (unsigned i = 0; i < m->nr_nodes; i++)
			m->nodes[i].allowed = false;
		for (at++; at; at = strchr(at, ',')) {
			unsigned first, last;
			int n;

			at += *at == ',';
			n = sscanf(at, "%u-%u", &first, &last);
			for (unsigned i = 0; n > 0 && i < m->nr_nodes; i++)
				m->nodes[i].allowed |= m->nodes[i].number >= first &&
						       m->nodes[i].number <= (n > 1 ? last : first);
		}
	}
	if (file)
		fclose(file);
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
		m->nodes[m->nr_nodes].allowed = true;
		read_node(root, &m->nodes[m->nr_nodes]);
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
	read_allowed(root, m);
}
