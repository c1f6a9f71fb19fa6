/*
 * --numa host: the guest's nodes are the host's, in proportion.
 *
 * Under the rules of the other files of config/: nothing is opened here, the caller has asked the
 * host (vmm/host/nodes.c).
 */
#include "vmm/config/internal.h"

#include <errno.h>

/*
 * The part of `all` before node i, if each node has a part as its weight says, rounded up. RAM in
 * units of 2 MiB times a host's in MiB, 2^52 bytes each at most, fits into 63 bits.
 */
static uint64_t before(uint64_t all, const uint64_t *weights, unsigned n, unsigned i)
{
	uint64_t sum = 0, below = 0;

	for (unsigned j = 0; j < n; j++) {
		sum += weights[j];
		below += j < i ? weights[j] : 0;
	}
	return sum ? (all * below + sum - 1) / sum : 0;
}

static uint64_t count_cpus(const struct config *c)
{
	uint64_t sockets = c->sockets ? c->sockets : 1, cores = c->cores ? c->cores : 1;

	return c->cpus ? c->cpus : sockets * cores * (c->threads ? c->threads : 1);
}

/* A socket's nodes follow each other on every host that is copied, else the nodes are sockets. */
static unsigned host_sockets(const struct host_nodes *host)
{
	unsigned sockets = 0;
	int last = -1;

	for (unsigned i = 0; i < host->n; i++) {
		if (!host->nodes[i].cpus)
			continue;
		if (host->nodes[i].sockets != 1 || host->nodes[i].socket < last)
			return 0;
		sockets += host->nodes[i].socket != last;
		last = host->nodes[i].socket;
	}
	return sockets;
}

/* Whether sockets of equal size have whole nodes. */
static bool sockets_fit(const struct config *c, unsigned sockets)
{
	if (!sockets || c->cpus % (sockets * c->threads))
		return false;
	for (unsigned i = 1; i < sockets; i++) {
		unsigned cpu = c->cpus / sockets * i;

		if (config_cpu_node(c, cpu) == config_cpu_node(c, cpu - 1))
			return false;
	}
	return true;
}

static void copy_cpus(struct config *c, const struct host_nodes *host)
{
	bool free_choice = !c->sockets && !c->cores;
	uint64_t weights[NODES_MAX];
	unsigned threads = c->threads;

	c->cpus = (unsigned)count_cpus(c);
	if (free_choice && !threads)
		threads = host->threads && c->cpus % host->threads == 0 ? host->threads : 1;
	if (free_choice)
		c->threads = threads;
	threads = threads ? threads : 1;
	for (unsigned i = 0; i < host->n; i++)
		weights[i] = host->nodes[i].cpus;
	for (unsigned i = 0; i < host->n; i++) {
		uint64_t from = before(c->cpus / threads, weights, host->n, i) * threads;
		uint64_t to = before(c->cpus / threads, weights, host->n, i + 1) * threads;

		c->nodes[i].has_cpus = from < to;
		for (; from < to && from < CPUS_MAX; from++)
			c->cpu_node[from] = (uint8_t)(i + 1);
	}
	if (free_choice && sockets_fit(c, host_sockets(host)))
		c->sockets = host_sockets(host);
}

int config_copy_nodes(struct config *c, const struct host_nodes *host, struct err *err)
{
	uint64_t unit = config_ram_unit(c), weights[NODES_MAX];

	if (!host->n)
		return err_set(
			err, EINVAL,
			"--numa host: this host's kernel knows no nodes (it was built without "
			"NUMA); leave it out");
	if (c->memory % unit || c->memory > ADDRESS_SPACE_END || count_cpus(c) > CPUS_MAX)
		return 0; /* config_check() says it */
	for (unsigned i = 0; i < host->n; i++)
		weights[i] = host->nodes[i].memory / MIB;
	for (unsigned i = 0; i < host->n; i++) {
		uint64_t units = before(c->memory / unit, weights, host->n, i + 1) -
				 before(c->memory / unit, weights, host->n, i);

		if (!units)
			return err_set(
				err, EINVAL,
				"--numa host: of --memory %s nothing would be on node %u of the "
				"host, which has %u; use more, or --numa SIZE,host=N",
				SHOWN_SIZE(c->memory), host->nodes[i].number, host->n);
		c->nodes[i] = (struct config_node){ .size = units * unit,
						    .bound = true,
						    .host = host->nodes[i].number };
		for (unsigned j = 0; j < host->n; j++)
			if (i != j && !c->distances[i][j] && !c->distances[j][i])
				c->distances[i][j] = host->distances[i][j];
	}
	c->nr_nodes = host->n;
	copy_cpus(c, host);
	return 0;
}
