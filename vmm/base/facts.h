/*
 * What the plan needs to know about the host: plain facts, so that every host can be planned for
 * on any host. Filled by host_probe() (CPU, KVM), vfio/sysfs.c (devices and their IOMMU groups) and
 * vfio/iommu.c (usable IOVAs) from the real machine, or from `plan --host`.
 */
#ifndef BASE_FACTS_H
#define BASE_FACTS_H

#include "vmm/base/bar.h"
#include "vmm/base/device_kind.h"
#include "vmm/base/limits.h"
#include "vmm/base/span.h"

#include <stddef.h>

enum host_vendor {
	HOST_OTHER,
	HOST_INTEL,
	HOST_AMD,
	HOST_HYGON,
};

/* "amd": as --host has it. */
const char *host_vendor_name(enum host_vendor vendor);
/* By the registers of CPUID leaf 0 (AMD APM volume 3 appendix E, Intel SDM volume 2 CPUID). */
enum host_vendor host_vendor_of(uint32_t ebx, uint32_t ecx, uint32_t edx);
/* True for AMD and Hygon, whose CPUs differ in the name alone. */
bool host_vendor_is_amd(enum host_vendor vendor);

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

/* The kernel's name of the type, such as "direct-relaxable". */
const char *host_resv_name(enum host_resv_type type);
/* Finds the type of that name, the first `len` bytes of `name`. False: no type has it. */
bool host_resv_find(const char *name, size_t len, enum host_resv_type *type);

#define HOST_PCI_NAME 64

/*
 * The kernel's name of the function at the address that a user wrote: "41:10.1" is "0000:41:10.1".
 * False: `text` is not a PCI address.
 */
bool host_bdf(const char *text, char name[HOST_PCI_NAME]);
/* 8-4-4-4-12 hexadecimal digits (RFC 4122 section 3). */
bool host_is_uuid(const char *text);

/*
 * A device that the user named, as it is before anything is opened. plan_add_devices() adds those
 * that straddle emulates.
 */
struct host_pci {
	enum device_kind kind;
	unsigned index;		  /* among those of its kind */
	char name[HOST_PCI_NAME]; /* "0000:41:10.1", or the UUID of a mediated device */
	unsigned group;		  /* IOMMU group number */
	int node;		  /* NUMA node, or -1 */
	bool is_virtual;	  /* an SR-IOV virtual function */
	/* What the port above it can: PCI Express' number of the speed, and lanes; 0: not known. */
	unsigned link_speed, link_width;
	uint16_t vendor, device;
	uint32_t class; /* 24 bits: base class, subclass, programming interface */
	struct bar_shape bars[BARS];
	uint64_t rom_size; /* bytes; 0: none */
};

/* The NUMA nodes of a host that have memory which this process may use, by their numbers. */
struct host_nodes {
	struct host_node {
		unsigned number;
		uint64_t memory; /* bytes */
		unsigned cpus;
		unsigned sockets; /* how many its CPUs are of */
		int socket;	  /* of its first CPU, or -1 */
	} nodes[NODES_MAX];
	unsigned n;
	uint8_t distances[NODES_MAX][NODES_MAX]; /* by the index in nodes[] */
	unsigned threads;			 /* of a core */
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
	 * disjoint. nr_usable 0: VFIO was not asked.
	 */
	struct span usable[HOST_USABLE_MAX];
	unsigned nr_usable;
};

#endif
