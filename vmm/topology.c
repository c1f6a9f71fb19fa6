#include "vmm/topology.h"

/* Bits that hold the numbers 0 to count - 1. */
static unsigned bits_for(unsigned count)
{
	return count > 1 ? 32 - (unsigned)__builtin_clz(count - 1) : 0;
}

unsigned topology_thread_bits(const struct plan *p)
{
	return bits_for(p->threads);
}

unsigned topology_core_bits(const struct plan *p)
{
	return bits_for(p->cores);
}

uint32_t plan_apic_id(const struct plan *p, unsigned cpu)
{
	unsigned thread = cpu % p->threads;
	unsigned core = cpu / p->threads % p->cores;
	unsigned socket = cpu / p->threads / p->cores;

	return ((socket << topology_core_bits(p) | core) << topology_thread_bits(p)) | thread;
}

unsigned topology_node_bits(const struct plan *p)
{
	unsigned bits = topology_core_bits(p) + topology_thread_bits(p);

	for (unsigned i = 0; i < p->nr_nodes; i++) {
		if (!p->nodes[i].nr_cpus)
			continue;
		while (bits && plan_apic_id(p, p->nodes[i].first_cpu) & ((1u << bits) - 1))
			bits--;
	}
	return bits;
}
