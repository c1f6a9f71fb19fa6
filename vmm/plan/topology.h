/*
 * The APIC ids of a plan's CPUs, which MADT, SRAT and the CPUID leaves must agree on: all of them
 * ask here. How an id is made of numbers: apic_id.h.
 *
 * PURE.
 */
#ifndef PLAN_TOPOLOGY_H
#define PLAN_TOPOLOGY_H

#include "vmm/base/apic_id.h"
#include "vmm/base/err.h"
#include "vmm/plan/plan.h"

/* Widths of the fields; 0 where there is one thread per core, or one core per socket. */
unsigned topology_thread_bits(const struct plan *p);
unsigned topology_core_bits(const struct plan *p);

/* Width of the largest blocks of ids, at most a socket's, none of which has CPUs of two nodes. */
unsigned topology_node_bits(const struct plan *p);

/*
 * Whether there are CPUs that the guest will not find, and a sentence with their number and the way
 * out. Linux takes ids past 254 where interrupts can reach them: by an IOMMU of the guest's, or by
 * MSI addresses of 15 bits (try_to_enable_x2apic in arch/x86/kernel/apic/apic.c). It has neither.
 */
bool topology_lacks(const struct plan *p, struct err *err);

/* The (x2)APIC id of CPU number `cpu`, which is less than p->cpus. */
uint32_t topology_apic_id(const struct plan *p, unsigned cpu);

#endif
