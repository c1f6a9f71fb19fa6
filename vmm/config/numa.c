/*
 * --numa and --numa-distance: the guest's nodes, their CPUs, and how far they are apart.
 *
 * Setters of the table in config/options.c, under its rules, and what they mean together.
 */
#include "vmm/config/internal.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

/* ACPI 6.5 section 5.2.17: a node is 10 from itself, and 255 means that there is no way. */
#define DISTANCE_SELF  10
#define DISTANCE_LEAST (DISTANCE_SELF + 1)
#define DISTANCE_MOST  255

/* --- --numa --- */

static const char node_words[] = "SIZE,cpus=A-B,C-D,host=N";

static int add_cpu_range(struct config *c, char *text, struct err *err)
{
	unsigned first, last;
	int ret = config_parse_cpu_range(text, CPUS_MAX, &first, &last, err);

	if (ret < 0)
		return ret;
	for (; first <= last; first++) {
		unsigned node = c->cpu_node[first];

		if (node == c->nr_nodes + 1)
			return err_set(err, EINVAL, "CPU %u is there twice; write it once", first);
		if (node)
			return err_set(err, EINVAL,
				       "CPU %u is in node %u already; a CPU is in one node", first,
				       node - 1);
		c->cpu_node[first] = (uint8_t)(c->nr_nodes + 1);
	}
	return 0;
}

static int set_host_node(struct config_node *node, const char *value, struct err *err)
{
	uint64_t number;
	int ret;

	if (node->bound)
		return err_set(err, EINVAL, "host is given twice; a node has the memory of one");
	ret = config_parse_number(value, 0, CONFIG_HOST_NODES - 1, &number, err);
	node->bound = ret == 0;
	node->host = ret == 0 ? (unsigned)number : 0;
	return ret;
}

/* A word behind the size; one that begins with a digit continues the list of cpus=. */
static int set_node_word(struct config *c, struct config_node *node, char *word, char *value,
			 bool *in_cpus, struct err *err)
{
	if (*in_cpus && !value && *word >= '0' && *word <= '9')
		return add_cpu_range(c, word, err);
	*in_cpus = value && !strcmp(word, "cpus");
	node->has_cpus |= *in_cpus;
	if (*in_cpus)
		return add_cpu_range(c, value, err);
	if (value && !strcmp(word, "host"))
		return set_host_node(node, value, err);
	return err_set(err, EINVAL, "'%s' is unknown here; use %s", SHOWN(word), node_words);
}

int config_set_numa(struct config *c, const char *value, struct err *err)
{
	struct config_node node = { 0 };
	bool in_cpus = false;
	struct words words;
	char *word, *rest;
	int ret = words_init_one_more(&words, value, c->nr_nodes, NODES_MAX, "nodes", err);

	if (ret < 0)
		return ret;
	if (c->numa_host || (c->nr_nodes && !strcmp(value, "host")))
		return err_set(err, EINVAL,
			       "--numa host makes all nodes; leave it or the others out");
	if (!strcmp(value, "host")) {
		c->numa_host = true;
		return 0;
	}
	word = words_next(&words, &rest);
	if (rest)
		return err_set(err, EINVAL, "the node's size comes first: %s", node_words);
	ret = config_parse_size(word, &node.size, err);
	if (ret < 0)
		return ret;
	if (node.size == 0)
		return err_set(err, EINVAL, "a node needs memory; use at least 2M");
	while ((word = words_next(&words, &rest))) {
		ret = set_node_word(c, &node, word, rest, &in_cpus, err);
		if (ret < 0)
			return ret;
	}
	c->nodes[c->nr_nodes++] = node;
	return 0;
}

/* --- --numa-distance --- */

int config_set_numa_distance(struct config *c, const char *value, struct err *err)
{
	uint64_t n[3];
	struct words words;
	char *word, *rest;
	int ret = words_init(&words, value, err);

	for (unsigned i = 0; ret == 0 && i < ARRAY_SIZE(n); i++) {
		word = words_next(&words, &rest);
		if (!word || rest || (i == 2 && words.rest))
			return err_set(err, EINVAL,
				       "a distance is A,B,D: the numbers of two nodes, and how far "
				       "they are apart, such as 0,1,21");
		ret = config_parse_number(word, 0, i == 2 ? DISTANCE_MOST : NODES_MAX - 1, &n[i],
					  err);
	}
	if (ret < 0)
		return ret;
	if (n[0] == n[1] && n[2] != DISTANCE_SELF)
		return err_set(err, EINVAL, "a node is %u from itself; leave this out",
			       DISTANCE_SELF);
	/* A smaller one makes Linux ignore all of them (slit_valid() in drivers/acpi/numa/srat.c).
	 */
	if (n[0] != n[1] && n[2] < DISTANCE_LEAST)
		return err_set(err, EINVAL,
			       "two nodes are at least %u apart, because a node is %u from itself; "
			       "use %u to 254, or %u: not to be reached",
			       DISTANCE_LEAST, DISTANCE_SELF, DISTANCE_LEAST, DISTANCE_MOST);
	if (c->distances[n[0]][n[1]])
		return err_set(err, EINVAL,
			       "the distance from node %u to %u is given twice; keep "
			       "one",
			       (unsigned)n[0], (unsigned)n[1]);
	c->distances[n[0]][n[1]] = (uint8_t)n[2];
	return 0;
}

/* --- together --- */

static bool any_has_cpus(const struct config *c)
{
	for (unsigned i = 0; i < c->nr_nodes; i++)
		if (c->nodes[i].has_cpus)
			return true;
	return false;
}

bool config_binds_ram(const struct config *c)
{
	for (unsigned i = 0; i < c->nr_nodes; i++)
		if (c->nodes[i].bound)
			return true;
	return false;
}

unsigned config_cpu_node(const struct config *c, unsigned cpu)
{
	unsigned threads = c->threads ? c->threads : 1, cores = c->cpus / threads;

	if (c->cpu_node[cpu])
		return c->cpu_node[cpu] - 1u;
	if (!c->nr_nodes || !cores || any_has_cpus(c))
		return 0;
	return cpu / threads * c->nr_nodes / cores;
}

unsigned config_even_nodes(const struct config *c)
{
	unsigned threads = c->threads ? c->threads : 1, nodes = 0, size;
	bool seen[NODES_MAX] = { false };

	if (c->cpus > CPUS_MAX || c->cpus % threads)
		return 0;
	for (unsigned cpu = 0; cpu < c->cpus; cpu++) {
		unsigned node = config_cpu_node(c, cpu);

		nodes += !seen[node];
		seen[node] = true;
	}
	if (!nodes || c->cpus % nodes)
		return 0;
	size = c->cpus / nodes;
	for (unsigned cpu = 0; cpu < c->cpus; cpu++)
		if (config_cpu_node(c, cpu) != config_cpu_node(c, cpu / size * size))
			return 0;
	return size % threads ? 0 : nodes;
}

int config_check_node_sizes(struct config *c, struct err *err)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < c->nr_nodes; i++) {
		uint64_t size = c->nodes[i].size;
		int ret = config_check_limit("numa", size, ADDRESS_SPACE_END, config_no_more_bits,
					     err);

		if (ret < 0)
			return ret;
		ret = config_check_multiple("numa", size, config_ram_unit(c), err);
		if (ret < 0)
			return ret;
		sum += size; /* at most 64 * 2^52 */
	}
	if (c->nr_nodes && !config_option_given(c, "memory"))
		c->memory = sum;
	if (c->nr_nodes && sum != c->memory)
		return err_set(err, EINVAL,
			       "the --numa nodes have %s together, but --memory is %s; make them "
			       "equal, or leave --memory out",
			       SHOWN_SIZE(sum), SHOWN_SIZE(c->memory));
	return 0;
}

/* If one node has cpus=, every CPU must be in a node. */
int config_check_node_cpus(const struct config *c, struct err *err)
{
	bool named = any_has_cpus(c);

	for (unsigned cpu = 0; named && cpu < CPUS_MAX; cpu++) {
		unsigned last = cpu;

		if (cpu < c->cpus ? c->cpu_node[cpu] : !c->cpu_node[cpu])
			continue;
		if (cpu >= c->cpus)
			return err_set(
				err, EINVAL,
				"--numa %s (node %u) has CPU %u, but there are %u CPUs, 0 to %u; "
				"use more --cpus or a smaller range",
				SHOWN_SIZE(c->nodes[c->cpu_node[cpu] - 1].size),
				c->cpu_node[cpu] - 1, cpu, c->cpus, c->cpus - 1);
		while (last + 1 < c->cpus && !c->cpu_node[last + 1])
			last++;
		if (last == cpu)
			return err_set(err, EINVAL,
				       "--numa: CPU %u belongs to no node; add it to the cpus= of "
				       "one",
				       cpu);
		return err_set(err, EINVAL,
			       "--numa: CPUs %u to %u belong to no node; add them to the cpus= of "
			       "one",
			       cpu, last);
	}
	for (unsigned cpu = 0; cpu < c->cpus; cpu++) {
		unsigned core = cpu / c->threads * c->threads;

		/* Linux drops such cores (topology_sane() in arch/x86/kernel/smpboot.c). */
		if (config_cpu_node(c, cpu) != config_cpu_node(c, core))
			return err_set(err, EINVAL,
				       "--numa: CPUs %u and %u are threads of one core, which "
				       "cannot be in nodes %u and %u; threads have numbers that "
				       "follow each other",
				       core, cpu, config_cpu_node(c, core),
				       config_cpu_node(c, cpu));
	}
	return 0;
}

int config_check_distances(const struct config *c, struct err *err)
{
	if (c->numa_host && c->has_host)
		return err_set(
			err, EINVAL,
			"--numa host copies this host, and --host is another; give its nodes "
			"one by one");
	for (unsigned a = 0; a < NODES_MAX; a++)
		for (unsigned b = 0; b < NODES_MAX; b++)
			if (c->distances[a][b] && (a >= c->nr_nodes || b >= c->nr_nodes))
				return err_set(err, EINVAL,
					       "--numa-distance %u,%u,%u names a node that is not "
					       "there: --numa makes %u%s",
					       a, b, c->distances[a][b], c->nr_nodes,
					       c->nr_nodes ? ", counted from 0" : "");
	return 0;
}
