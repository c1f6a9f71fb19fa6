/*
 * The CPUID of a guest CPU: KVM's own list, with topology and address widths of the plan.
 *
 * PURE but for its type: arithmetic on KVM's structs, no system calls. Shape of each leaf: AMD APM
 * volume 3 appendix E, Intel SDM volume 2 CPUID, Documentation/virt/kvm/x86/cpuid.rst.
 */
#ifndef VMM_CPUID_H
#define VMM_CPUID_H

#include "vmm/plan.h"

#include <linux/kvm.h>

/*
 * Writes the leaves of CPU number `cpu` into `out`, which has room for `cap` entries; `from` is
 * KVM_GET_SUPPORTED_CPUID's answer. Returns the number of entries, at
 * most from->nent + CPUID_EXTRA.
 */
unsigned cpuid_build(struct kvm_cpuid_entry2 *out, unsigned cap, const struct kvm_cpuid2 *from,
		     const struct plan *plan, unsigned cpu, bool tsc_deadline);

#define CPUID_EXTRA 8 /* how many entries cpuid_build may add: the topology leaves */

#endif
