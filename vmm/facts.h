/*
 * What the plan needs to know about the host: plain facts, so that every host can be planned for
 * on any host. Filled by host_probe() from the real machine, or from `plan --host`.
 */
#ifndef VMM_FACTS_H
#define VMM_FACTS_H

#include "vmm/span.h"

enum host_vendor {
	HOST_OTHER,
	HOST_INTEL,
	HOST_AMD,
	HOST_HYGON,
};

/* /sys/kernel/iommu_groups/N/reserved_regions: Documentation/ABI/testing/sysfs-kernel-iommu_groups
 */
enum host_resv_type {
	HOST_RESV_RESERVED,
	HOST_RESV_DIRECT,
	HOST_RESV_DIRECT_RELAXABLE,
	HOST_RESV_MSI,
};

struct host_resv {
	struct span at;
	enum host_resv_type type;
	unsigned group; /* IOMMU group number */
};

#define HOST_RESV_MAX 128

struct host_facts {
	enum host_vendor vendor;
	unsigned family;	   /* CPUID 1: base family + extended family */
	unsigned phys_bits;	   /* CPUID 8000_0008 EAX[7:0]: host physical address bits */
	unsigned mem_encrypt_bits; /* CPUID 8000_001F EBX[11:6] where SME is on, else 0 */
	unsigned guest_phys_bits;  /* KVM's CPUID 8000_0008 EAX[23:16]: mappable bits; 0: same as
				      phys_bits */

	/* Reserved regions of the IOMMU groups of the devices that the user named. */
	struct host_resv resv[HOST_RESV_MAX];
	unsigned nr_resv;
};

#endif
