/*
 * The resolved machine: every address, decided before anything is opened.
 *
 * PURE. A plan is a value and const once built; the machine obeys it, reset builds the machine
 * again from it, `straddle plan` prints it. The functions below plan_build are the folds: every
 * list that firmware, kernel or IOMMU wants is computed from the one map.
 */
#ifndef PLAN_PLAN_H
#define PLAN_PLAN_H

#include "vmm/base/facts.h"
#include "vmm/config/config.h"
#include "vmm/plan/map.h"

/* A node without CPUs is memory alone. */
struct plan_node {
	uint64_t size;
	bool bound; /* its RAM comes from node `host` of the host alone */
	unsigned host;
};

/* No node: of CPUs in a plan file that is not read yet. */
#define PLAN_NO_NODE 0xff

/* A BAR with its address. */
struct plan_bar {
	struct bar_shape shape; /* size 0: none */
	uint64_t at;		/* 0, of an I/O BAR: unassigned */
};

/* A PCI function other than the host bridge and root ports. */
struct plan_pci {
	enum device_kind kind;
	unsigned index;		  /* among those of its kind, as the options name them */
	char name[HOST_PCI_NAME]; /* the host's address, "0000:41:10.1", or "disk0" */
	unsigned bus, slot, function;
	unsigned port; /* index of the root port above it, or PLAN_NO_PORT: on a root bus */
	struct plan_bar bars[BARS_AND_ROM];
};

#define PLAN_NO_PORT UINT32_MAX

/*
 * A host bridge: a root bus, the buses behind its ports, which follow it, and its own part of the
 * PCI windows (map_region.node). All of them share one configuration space.
 */
struct plan_bridge {
	unsigned node;	/* the NUMA node of what is behind it */
	unsigned bus;	/* its root bus */
	unsigned buses; /* how many there are with it, from `bus` on */
};

/* A PCIe root port: on a root bus, with a bus of its own behind it. */
struct plan_port {
	unsigned slot, function, bus;
	unsigned link_speed, link_width; /* as the host's port (facts.h); 0: any */
	struct span io, mem32, prefetch; /* the ranges that it forwards; empty: none */
};

struct plan {
	uint64_t ram_size;
	uint64_t max_memory;
	uint64_t page_size;
	unsigned phys_bits; /* what the guest's CPUs announce */
	enum iova_policy iova_policy;
	unsigned cpus, sockets, cores, threads;
	unsigned dies; /* groups of a socket's cores, each with a last-level cache; 0 is 1 */
	struct plan_node nodes[NODES_MAX];
	unsigned nr_nodes; /* at least 1 */
	uint8_t cpu_node[CPUS_MAX];
	uint8_t distances[NODES_MAX][NODES_MAX]; /* 0: plan_distance() has the default */
	bool numa; /* the user asked for nodes or hotplug: SRAT and SLIT are made */
	/* The first has bus 0, node 0 and all I/O ports; each other one is of another node. */
	struct plan_bridge bridges[NODES_MAX];
	unsigned nr_bridges; /* at least 1 */
	struct plan_port ports[PCI_DEVICES_MAX];
	unsigned nr_ports;
	struct plan_pci pci[PCI_DEVICES_MAX];
	unsigned nr_pci;
	struct map map; /* last, because plan_resolve() clears only the members before it */
};

/*
 * Makes the plan for a request on a host; host->pci[i] is the device of c->vfio[i]. Returns 0,
 * -ERANGE if the machine does not fit, or -EINVAL. The sentence of -ERANGE names the need, the
 * limit and the ways out, each of which was tried.
 */
int plan_build(struct plan *p, const struct config *c, const struct host_facts *host,
	       struct err *err);

/*
 * Checks the rules of every plan, computed or read from a file: map_check(), plan_pci_check(), and
 * sizes, nodes and CPUs that add up. -EINVAL and a sentence.
 */
int plan_check(const struct plan *p, struct err *err);

/*
 * Whether this host can honour a plan that came from a file: address bits, forbidden ranges under
 * the plan's own policy, and the devices, which must be those of host->pci, with the same BARs.
 * Returns 0, -ERANGE or (other devices) -EINVAL, and a sentence.
 */
int plan_check_host(const struct plan *p, const struct host_facts *host, struct err *err);

/* Address bits that the host can map: KVM may say that they are fewer than the CPU's (facts.h). */
unsigned plan_host_bits(const struct host_facts *host);

/*
 * Lists the forbidden ranges of a policy on a host, unsorted. Returns their number, which may
 * exceed `cap`.
 */
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

/* The E820 table. */
size_t plan_e820(const struct plan *p, struct e820_entry *out, size_t cap);
/* RAM and hotplug space with their nodes. */
size_t plan_srat(const struct plan *p, struct plan_memory *out, size_t cap);
/* The span of file `i` of --pmem; empty: there is no such file. */
struct span plan_pmem(const struct plan *p, unsigned i);
/* RAM present at start, adjacent regions joined. */
size_t plan_ram(const struct plan *p, struct span *out, size_t cap);
/* RAM that devices may reach: plan_ram() without the forbidden ranges of the BIOS area. */
size_t plan_dma(const struct plan *p, struct span *out, size_t cap);
/* As plan_ram(), but RAM that is bound to nodes of the host alone; not joined. */
struct plan_bound {
	struct span at;
	unsigned host;
};
size_t plan_bound_ram(const struct plan *p, struct plan_bound *out, size_t cap);
/* PCI windows of one kind (MAP_PCI32 or MAP_PCI64), of all host bridges or of one. */
size_t plan_windows(const struct plan *p, enum map_kind kind, struct span *out, size_t cap);
size_t plan_bridge_windows(const struct plan *p, unsigned bridge, enum map_kind kind,
			   struct span *out, size_t cap);
/*
 * The ranges that the PNP0C02 device claims, so that no BAR is put there: ECAM, ROM, forbidden
 * ranges. The APICs are left out, because they are devices of their own to the kernel, which would
 * complain of the second claim.
 */
size_t plan_reserved(const struct plan *p, struct span *out, size_t cap);
struct span plan_ecam(const struct plan *p);
/* Buses that exist: one of each host bridge and one behind each root port. */
unsigned plan_buses(const struct plan *p);
/* The host bridge whose bus this is. */
unsigned plan_bridge_of(const struct plan *p, unsigned bus);
/* The number of a root port's slot, which no other port has: 13 bits. */
unsigned plan_port_number(const struct plan *p, const struct plan_port *port);
/* The GSI of pin 0 to 3 (INTA to INTD) of a function, as _PRT and the root ports wire it. */
unsigned plan_pci_gsi(const struct plan *p, const struct plan_pci *fn, unsigned pin);
unsigned plan_cpu_node(const struct plan *p, unsigned cpu);
/*
 * Finds the first run of CPUs of a node from CPU `from` on: its beginning and its end, exclusive.
 * False: there is none.
 */
bool plan_node_cpus(const struct plan *p, unsigned node, unsigned from, unsigned *first,
		    unsigned *end);
/* Writes the CPUs of a node as "0-3,64-67", "" if it has none. PLAN_CPU_LIST_MAX has room. */
void plan_cpu_list(const struct plan *p, unsigned node, char *out, size_t cap);
#define PLAN_CPU_LIST_MAX (10 * CPUS_MAX / 3 + 16) /* "1000-1001," for each three CPUs */
/* The distance from a node to another, as SLIT has it: 10 to itself, 20 if nothing else is said. */
unsigned plan_distance(const struct plan *p, unsigned from, unsigned to);

struct plan_cmos {
	uint32_t above_16m_64k; /* registers 0x34, 0x35: 64 KiB units between 16 MiB and 4 GiB */
	uint32_t above_4g_64k;	/* registers 0x5b to 0x5d: units from 4 GiB to the first hole */
};
struct plan_cmos plan_cmos(const struct plan *p);

#endif
