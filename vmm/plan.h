/*
 * The resolved machine: every address, decided before anything is opened.
 *
 * PURE. A plan is a value and const once built; the machine obeys it, reset builds the machine
 * again from it, `straddle plan` prints it. The functions below plan_build are the folds: every
 * list that firmware, kernel or IOMMU wants is computed from the one map.
 */
#ifndef VMM_PLAN_H
#define VMM_PLAN_H

#include "vmm/config.h"
#include "vmm/facts.h"
#include "vmm/map.h"

#define PLAN_CPUS_MAX 4096

struct plan_node {
	uint64_t size;
	unsigned first_cpu, nr_cpus;
};

struct plan {
	uint64_t ram_size;
	uint64_t max_memory;
	uint64_t page_size;
	unsigned phys_bits; /* what the guest's CPUs announce */
	enum iova_policy iova_policy;
	unsigned cpus, sockets, cores, threads;
	struct plan_node nodes[MAP_NODES_MAX];
	unsigned nr_nodes; /* at least 1 */
	bool numa;	   /* the user asked for nodes or hotplug: SRAT and SLIT are made */
	struct map map;
};

/* Returns 0, -ERANGE (does not fit: map_build's sentence) or -EINVAL. */
int plan_build(struct plan *p, const struct config *c, const struct host_facts *host,
	       struct err *err);

/*
 * Whether this host can honour a plan that came from a file: address bits and forbidden ranges
 * under the plan's own policy. Returns 0, or -ERANGE and a sentence.
 */
int plan_check_host(const struct plan *p, const struct host_facts *host, struct err *err);

/* The forbidden ranges of a policy on a host, unsorted as found. Returns their number. */
unsigned plan_forbidden(struct map_forbidden *out, unsigned cap, enum iova_policy policy,
			const struct host_facts *host, const struct span *reserve,
			unsigned nr_reserve);

/* --- folds: each writes at most `cap` entries and returns how many there are --- */

enum e820_type {
	E820_USABLE = 1,
	E820_RESERVED = 2,
	E820_ACPI = 3,
};

struct e820_entry {
	struct span at;
	enum e820_type type;
};

struct plan_memory {
	struct span at;
	unsigned node;
	bool hotplug;
};

#define PLAN_LIST_MAX (MAP_REGIONS_MAX + 8)

/* What the kernel is told of memory. */
size_t plan_e820(const struct plan *p, struct e820_entry *out, size_t cap);
/* RAM and hotplug space with their nodes. */
size_t plan_srat(const struct plan *p, struct plan_memory *out, size_t cap);
/* RAM present at start, adjacent regions joined: what devices may reach. */
size_t plan_dma(const struct plan *p, struct span *out, size_t cap);
/* PCI windows of one kind (MAP_PCI32 or MAP_PCI64). */
size_t plan_windows(const struct plan *p, enum map_kind kind, struct span *out, size_t cap);
/*
 * What the PNP0C02 device claims, so that no BAR is put there: ECAM, ROM, forbidden ranges. Not the
 * APICs: they are devices of their own to the kernel, which would complain of the second claim.
 */
size_t plan_reserved(const struct plan *p, struct span *out, size_t cap);
struct span plan_ecam(const struct plan *p);
unsigned plan_cpu_node(const struct plan *p, unsigned cpu);

struct plan_cmos {
	uint32_t above_16m_64k; /* registers 0x34, 0x35: 64 KiB units between 16 MiB and 4 GiB */
	uint32_t above_4g_64k;	/* registers 0x5b to 0x5d: units from 4 GiB to the first hole */
};
struct plan_cmos plan_cmos(const struct plan *p);

#endif
