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

#include "vmm/err.h"
#include "vmm/plan.h"

/* Guests find CPUs up to this id: see topology_lacks. */
#define TOPOLOGY_ID_MAX 254u

/* Widths of the fields; 0 where there is one thread per core, or one core per socket. */
unsigned topology_thread_bits(const struct plan *p);
unsigned topology_core_bits(const struct plan *p);

/* Width of the largest blocks of ids, at most a socket's, none of which has CPUs of two nodes. */
unsigned topology_node_bits(const struct plan *p);

/* The largest id of a machine of so many; products are at most CPUS_MAX. */
uint32_t topology_last_id(unsigned sockets, unsigned cores, unsigned threads);

/*
 * Whether there are CPUs that the guest will not find, and a sentence with their number and the way
 * out. Linux takes ids past 254 where interrupts can reach them: by an IOMMU of the guest's, or by
 * MSI addresses of 15 bits (try_to_enable_x2apic in arch/x86/kernel/apic/apic.c). It has neither.
 */
bool topology_lacks(const struct plan *p, struct err *err);

/* The (x2)APIC id of CPU number `cpu`, which is less than p->cpus. */
uint32_t plan_apic_id(const struct plan *p, unsigned cpu);

#endif
