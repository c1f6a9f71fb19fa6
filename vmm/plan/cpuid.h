/*
 * The CPUID of a guest CPU: KVM's own list, with topology and address widths of the plan.
 *
 * PURE. Arithmetic on structs of linux/kvm.h. Shape of each leaf: AMD APM volume 3 appendix E,
 * Intel SDM volume 2 CPUID, Documentation/virt/kvm/x86/cpuid.rst.
 */
#ifndef PLAN_CPUID_H
#define PLAN_CPUID_H

#include "vmm/plan/plan.h"

#include <linux/kvm.h>

/* Features of KVM that its list of CPUID leaves does not show. */
struct cpuid_kvm {
	bool tsc_deadline;
	bool machine_check; /* memory errors are handed to the guest */
	bool wide_messages; /* MSI addresses can have 15 bits of destination (vmm/base/msi.h) */
	uint32_t tsc_khz;   /* of the guest's TSC; 0: not known */
};

/*
 * Writes the leaves of CPU number `cpu` into `out`, which has room for CPUID_EXTRA entries more
 * than `from` has, KVM_GET_SUPPORTED_CPUID's answer. Returns the number of entries.
 */
unsigned cpuid_build(struct kvm_cpuid_entry2 *out, const struct kvm_cpuid2 *from,
		     const struct plan *plan, unsigned cpu, const struct cpuid_kvm *kvm);

#define CPUID_EXTRA 15 /* how many entries cpuid_build may add: topology and timing */

#endif
