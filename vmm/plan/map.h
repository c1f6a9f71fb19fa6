/*
 * The one table that owns the guest's physical address space.
 *
 * PURE. map_build() takes what is wanted and what is forbidden and lays out RAM, hotplug space and
 * PCI windows around every range that must stay free. Everything that speaks of addresses (E820,
 * SRAT, CMOS, _CRS, PNP0C02, memory slots, DMA mappings) is a fold over the result (plan.h).
 *
 *   0        low end   3 GiB                         4 GiB               1012 GiB  1 TiB
 *   |-- RAM --|  . . .  |-- PCI32 --|ECAM|-- PCI32 --|APIC|ROM|--- RAM ---|#########|-- RAM --|--
 * hotplug --|-- pmem --|-- PCI64 --| forbidden
 */
#ifndef PLAN_MAP_H
#define PLAN_MAP_H

#include "vmm/base/err.h"
#include "vmm/base/limits.h"
#include "vmm/base/span.h"

#include <stddef.h>

enum map_kind {
	MAP_RAM,
	MAP_HOTPLUG,  /* where DIMMs may appear later */
	MAP_PMEM,     /* a file of the host (--pmem), in one piece */
	MAP_RESERVED, /* a forbidden range, or one that KVM needs for itself */
	MAP_PCI32,
	MAP_PCI64,
	MAP_ECAM,
	MAP_APIC, /* I/O APIC and local APIC, message signalled interrupts */
	MAP_ROM,  /* kept for firmware, under the reset vector */
};

struct map_region {
	struct span at;
	enum map_kind kind;
	/*
	 * NUMA node of RAM and hotplug space; index of the file of MAP_PMEM, of the host bridge of
	 * MAP_PCI32 and MAP_PCI64
	 */
	unsigned node;
};

#define MAP_WHY_MAX	  96
#define MAP_PCI32_UNIT	  MIB /* 32-bit windows are whole MiB: the granularity of a bridge window */
#define MAP_PCI64_DEFAULT (64 * GIB)

/* A range that must stay free, with the reason in a few words. */
struct map_forbidden {
	struct span at;
	char why[MAP_WHY_MAX];
	bool last; /* of a request: addresses that a host can use end before it */
};

#define MAP_FORBIDDEN_MAX 256
#define MAP_REGIONS_MAX	  (4 * MAP_FORBIDDEN_MAX + 2 * NODES_MAX + PMEM_MAX + 16)

struct map {
	/* Sorted by start; regions never overlap. Adjacent RAM of one node is one region. */
	struct map_region regions[MAP_REGIONS_MAX];
	unsigned nr_regions;
	/* Sorted by start, disjoint: overlapping inputs become one range with both reasons. */
	struct map_forbidden forbidden[MAP_FORBIDDEN_MAX];
	unsigned nr_forbidden;
	unsigned bits_required; /* address bits that RAM, hotplug space and PCI windows use */
};

struct map_request {
	uint64_t ram_size;   /* bytes, a multiple of `align` */
	uint64_t max_memory; /* bytes, a multiple of `align`; 0: ram_size */
	uint64_t low_memory; /* at most this much RAM below 4 GiB, a multiple of `align`; 0: default
			      */
	uint64_t high_memory_start; /* all above 4 GiB begins here, a multiple of `align`; 0: 4 GiB
				     */
	bool both_sides;      /* RAM lies on both sides of every forbidden range (layout.h), and
			       * high_memory_start is 0 */
	uint64_t pci32_size;  /* 32-bit windows add up to at least this; 0: 512 MiB, or whatever
			       * is left if low_memory is given */
	uint64_t pci64_size;  /* 64-bit windows add up to at least this; 0: 64 GiB, or less if the
				 address bits do not suffice */
	uint64_t pci64_least; /* with pci64_size 0: they add up to at least this, and to 1 GiB */
	uint64_t largest_bar; /* 64-bit windows are whole units of this; at least 1 GiB is used */
	uint64_t align;	      /* of RAM, power of two, at least 2 MiB */
	unsigned guest_bits;  /* what the guest's CPU announces */
	unsigned host_bits;   /* what the host can map */
	uint64_t node_sizes[NODES_MAX]; /* add up to ram_size */
	unsigned nr_nodes;		/* 0: one node */
	uint64_t pmem[PMEM_MAX];	/* bytes, multiples of 2 MiB */
	unsigned nr_pmem;
	struct map_forbidden forbidden[MAP_FORBIDDEN_MAX]; /* any order, may overlap */
	unsigned nr_forbidden;
};

/*
 * Lays out the address space. Returns 0, or -ERANGE with a sentence that names the need and the
 * limit: when the address bits do not suffice or no layout exists. plan_build() appends the ways
 * out. A request that breaks the rules beside its fields gives -EINVAL; nothing else is refused.
 */
int map_build(struct map *m, const struct map_request *req, struct err *err);

/*
 * Gives [at), which lies in a PCI window of host bridge 0, to another host bridge. -ENOSPC and a
 * sentence if the table is full.
 */
int map_give_window(struct map *m, struct span at, unsigned bridge, struct err *err);

/*
 * Checks the rules that every map keeps, whoever made it (a plan file, too): sorted, disjoint, no
 * RAM, hotplug space or PCI window on a forbidden range, sizes that add up. -EINVAL and a sentence.
 */
int map_check(const struct map *m, struct err *err);

const char *map_kind_name(enum map_kind kind);
/*
 * Whether `at` lies in the BIOS area, from video memory up to 1 MiB. RAM may lie over a forbidden
 * range there, because plan_dma() leaves that part out of what devices reach.
 */
bool map_in_bios_area(struct span at);
/* The end of the regions that devices may reach (map_is_reached()). */
uint64_t map_used_end(const struct map *m);
/* The number of address bits that all addresses below `end` fit into. */
unsigned map_bits_for(uint64_t end);
/* Whether regions of this kind are of a NUMA node: RAM, hotplug space. */
bool map_is_memory(enum map_kind kind);
/* Whether regions of this kind are of a host bridge: PCI windows. */
bool map_is_window(enum map_kind kind);
/*
 * Whether devices may reach regions of this kind (RAM, hotplug space, files, PCI windows), which
 * must therefore be translatable.
 */
bool map_is_reached(enum map_kind kind);
/* A few words on why the region is there; never NULL. */
const char *map_region_why(const struct map *m, const struct map_region *region);
/* Bytes of all regions of one kind. */
uint64_t map_total(const struct map *m, enum map_kind kind);

#endif
