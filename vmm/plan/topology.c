#include "vmm/plan/topology.h"

#include <errno.h>
#include <stdio.h>

struct apic_socket topology_socket(const struct plan *p)
{
	return (struct apic_socket){ p->dies ? p->dies : 1, p->cores, p->threads };
}

unsigned topology_thread_bits(const struct plan *p)
{
	return apic_id_bits(p->threads);
}

unsigned topology_core_bits(const struct plan *p)
{
	const struct apic_socket s = topology_socket(p);

	return apic_socket_bits(&s) - topology_thread_bits(p);
}

unsigned topology_die_bits(const struct plan *p)
{
	const struct apic_socket s = topology_socket(p);

	return apic_die_bits(&s);
}

uint32_t topology_apic_id(const struct plan *p, unsigned cpu)
{
	const struct apic_socket s = topology_socket(p);

	return apic_id(&s, cpu);
}

unsigned topology_node_bits(const struct plan *p)
{
	unsigned bits = topology_core_bits(p) + topology_thread_bits(p);

	/* Ids grow with the numbers of CPUs, so it is enough to look at neighbours. */
	for (unsigned cpu = 1; cpu < p->cpus; cpu++) {
		uint32_t id, before;

		if (plan_cpu_node(p, cpu) == plan_cpu_node(p, cpu - 1))
			continue;
		id = topology_apic_id(p, cpu);
		before = topology_apic_id(p, cpu - 1);
		while (bits && id >> bits == before >> bits)
			bits--;
	}
	return bits;
}

uint32_t topology_last_id(const struct plan *p)
{
	return topology_apic_id(p, p->cpus - 1);
}

bool topology_is_wide(const struct plan *p, struct err *err)
{
	const struct apic_socket one = { 1, p->cpus / p->threads, p->threads };
	unsigned n = 0;
	char way_out[64];

	for (unsigned cpu = 0; cpu < p->cpus; cpu++)
		n += topology_apic_id(p, cpu) > APIC_ID_MAX;
	if (!n)
		return false;
	/*
	 * Numbers of cores that are not powers of two leave gaps between the ids of sockets and
	 * dies; one socket has no such gaps.
	 */
	if (apic_id_last(&one, 1) <= APIC_ID_MAX)
		snprintf(way_out, sizeof(way_out), "--cpus %u,sockets=1,threads=%u", p->cpus,
			 p->threads);
	else if (p->cpus <= APIC_ID_MAX + 1)
		snprintf(way_out, sizeof(way_out), "--cpus %u,sockets=1,threads=1", p->cpus);
	else
		snprintf(way_out, sizeof(way_out), "--cpus %u,sockets=1 at most", APIC_ID_MAX + 1);
	err_set(err, ERANGE,
		"%u of the guest's %u CPUs have APIC IDs above %u (the last is %u), which Linux "
		"finds from 5.11 on, as a guest of KVM; for other guests use %s",
		n, p->cpus, APIC_ID_MAX, topology_last_id(p), way_out);
	return true;
}
