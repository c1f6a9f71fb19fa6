/*
 * The APIC ids of a plan's CPUs. MADT, SRAT and CPUID leaves must have the same ids, so all of them
 * call these functions. base/apic_id.h makes an id from numbers.
 *
 * PURE.
 */
#ifndef PLAN_TOPOLOGY_H
#define PLAN_TOPOLOGY_H

#include "vmm/base/apic_id.h"
#include "vmm/base/err.h"
#include "vmm/plan/plan.h"

struct apic_socket topology_socket(const struct plan *p);
/*
 * Widths of the fields; 0 where there is one thread per core, or one core per socket. The cores'
 * holds that of the dies.
 */
unsigned topology_thread_bits(const struct plan *p);
unsigned topology_core_bits(const struct plan *p);
/* Width of the ids of a die's CPUs. */
unsigned topology_die_bits(const struct plan *p);

/*
 * Width in bits of the largest aligned blocks of ids, at most a socket, none of which has CPUs of
 * two nodes.
 */
unsigned topology_node_bits(const struct plan *p);

/* The (x2)APIC id of CPU number `cpu`, which is less than p->cpus. */
uint32_t topology_apic_id(const struct plan *p, unsigned cpu);
/* The largest. */
uint32_t topology_last_id(const struct plan *p);

/*
 * Returns whether some of the CPUs have ids past APIC_ID_MAX; the sentence has their number, what
 * the guest needs to find them, and how it can do without. Linux uses such ids only if interrupts
 * can reach them: by MSI addresses of 15 bits, which it has known since 5.11
 * (try_to_enable_x2apic() in arch/x86/kernel/apic/apic.c, kvm_msi_ext_dest_id()), or by an IOMMU
 * that remaps interrupts, which the guest has not.
 */
bool topology_is_wide(const struct plan *p, struct err *err);

#endif
