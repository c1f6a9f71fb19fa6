/*
 * What the plan needs to know about the host: plain facts, so that every host can be planned for
 * on any host. Filled by host_probe() (CPU, KVM), vfio/sysfs.c (devices and their IOMMU groups) and
 * vfio/iommu.c (usable IOVAs) from the real machine, or from `plan --host`.
 */
#ifndef VMM_FACTS_H
#define VMM_FACTS_H

#include "vmm/bar.h"
#include "vmm/limits.h"
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

#define HOST_PCI_NAME 64

/* A device that the user named, before anything is opened. */
struct host_pci {
	char name[HOST_PCI_NAME]; /* "0000:41:10.1", or the UUID of a mediated device */
	unsigned group;		  /* IOMMU group number */
	int node;		  /* NUMA node, or -1 */
	uint16_t vendor, device;
	uint32_t class; /* 24 bits: base class, subclass, programming interface */
	struct bar_shape bars[BARS];
	uint64_t rom_size; /* bytes; 0: none */
};

#define HOST_USABLE_MAX 64

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

	/* The devices, in the order of the --vfio options. */
	struct host_pci pci[PCI_DEVICES_MAX];
	unsigned nr_pci;

	/* Bytes of the files of --pmem, in their order. */
	uint64_t pmem[PMEM_MAX];
	unsigned nr_pmem;

	/*
	 * The IOVAs that VFIO or iommufd says can be mapped, once the devices are attached: sorted,
	 * disjoint. None: nobody asked.
	 */
	struct span usable[HOST_USABLE_MAX];
	unsigned nr_usable;
};

#endif
