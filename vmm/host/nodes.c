#include "vmm/host/nodes.h"

#include "vmm/host/cpus.h"
#include "vmm/host/memory.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool nodes_read(const char *root, const char *directory, unsigned number, const char *name,
		       char *text, size_t cap)
{
	char path[PATH_MAX];
	FILE *file;
	bool read;

	snprintf(path, sizeof(path), "%s/sys/devices/system/%s%u/%s", root, directory, number,
		 name);
	file = fopen(path, "re");
	if (!file)
		return false;
	read = fgets(text, (int)cap, file);
	fclose(file);
	return read;
}

/* Distances to all nodes that are online, in the order of their numbers (node_read_distance()). */
static void read_distances(const char *root, const struct host_memory *m, const unsigned *index,
			   unsigned from, struct host_nodes *nodes)
{
	char text[8 * NODES_MAX], *next = text;

	if (!nodes_read(root, "node/node", nodes->nodes[from].number, "distance", text,
			sizeof(text)))
		return;
	for (unsigned i = 0; i < m->nr_nodes; i++) {
		char *end;
		unsigned long distance = strtoul(next, &end, 10);

		if (end == next)
			return;
		next = end;
		if (index[i] < nodes->n && index[i] != from && distance > 10 && distance <= 255)
			nodes->distances[from][index[i]] = (uint8_t)distance;
	}
}

static int socket_of(const char *root, unsigned cpu)
{
	char text[32];

	if (!nodes_read(root, "cpu/cpu", cpu, "topology/physical_package_id", text, sizeof(text)))
		return -1;
	return (int)strtol(text, NULL, 10);
}

static unsigned threads_of(const char *root, unsigned cpu)
{
	struct host_cpus siblings;
	char text[256];

	if (!nodes_read(root, "cpu/cpu", cpu, "topology/thread_siblings_list", text, sizeof(text)))
		return 1;
	host_cpus_parse(&siblings, text);
	return host_cpus_count(&siblings);
}

static void read_cpus(const char *root, struct host_node *node, unsigned *threads)
{
	struct host_cpus cpus;

	node->socket = -1;
	cpus_of_node(root, node->number, &cpus);
	for (unsigned cpu = 0; cpu < HOST_CPUS_MAX; cpu++) {
		int socket;

		if (!host_cpus_has(&cpus, cpu))
			continue;
		socket = socket_of(root, cpu);
		if (!node->cpus++) {
			node->socket = socket;
			node->sockets = 1;
			*threads = max_u64(*threads, threads_of(root, cpu));
		} else if (socket != node->socket) {
			node->sockets = 2; /* or more: no part of one */
		}
	}
}

void host_nodes_probe(const char *root, struct host_nodes *nodes)
{
	unsigned index[NODES_MAX];
	struct host_memory m;

	memset(nodes, 0, sizeof(*nodes));
	host_memory_probe(root, &m);
	for (unsigned i = 0; i < m.nr_nodes; i++) {
		index[i] = NODES_MAX;
		if (!m.nodes[i].total || !m.nodes[i].allowed)
			continue;
		index[i] = nodes->n;
		nodes->nodes[nodes->n++] = (struct host_node){ .number = m.nodes[i].number,
							       .memory = m.nodes[i].total };
	}
	for (unsigned i = 0; i < nodes->n; i++) {
		read_distances(root, &m, index, i, nodes);
		read_cpus(root, &nodes->nodes[i], &nodes->threads);
	}
}
