/*
 * How CPU numbers become APIC ids.
 *
 * PURE. CPUs are numbered thread by thread, core by core, socket by socket. In an APIC id each
 * level has a bit field of its own, as wide as its count needs (Intel SDM volume 3, section 9.9.5:
 * software takes ids apart by shifts), so ids have gaps where a count is no power of two:
 *
 *   id = socket << (core bits + thread bits) | core << thread bits | thread
 *
 * MADT, SRAT and the CPUID leaves must agree on them; all of them ask here.
 */
#ifndef VMM_TOPOLOGY_H
#define VMM_TOPOLOGY_H

#include "vmm/plan.h"

/* Widths of the fields; 0 where there is one thread per core, or one core per socket. */
unsigned topology_thread_bits(const struct plan *p);
unsigned topology_core_bits(const struct plan *p);

/* Width of the largest blocks of ids, at most a socket's, none of which has CPUs of two nodes. */
unsigned topology_node_bits(const struct plan *p);

/* The (x2)APIC id of CPU number `cpu`, which is less than p->cpus. */
uint32_t plan_apic_id(const struct plan *p, unsigned cpu);

#endif
