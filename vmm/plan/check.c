/*
 * Checks a plan that was read from a file: that it is sound in itself, and possible on this host.
 *
 * PURE. Called on plan files, after plan/fdt.c has read one, and by tests on plans of every origin.
 */
#include "vmm/plan/plan.h"

#include "vmm/plan/pci_rules.h"
#include "vmm/plan/topology.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* --- the plan in itself --- */

/*
 * Each node must have as many bytes of RAM regions as its size says; hotplug space belongs to the
 * last node, and each CPU to one node.
 */
static int plan_check_nodes(const struct plan *p, struct err *err)
{
	uint64_t sizes[NODES_MAX] = { 0 }, sum = 0;

	if (!p->nr_nodes)
		return err_set(err, EINVAL, "the plan has no NUMA node");
	for (unsigned i = 0; i < p->map.nr_regions; i++) {
		const struct map_region *r = &p->map.regions[i];

		if (map_is_memory(r->kind) &&
		    (r->node >= p->nr_nodes ||
		     (r->kind == MAP_HOTPLUG && r->node != p->nr_nodes - 1)))
			return err_set(err, EINVAL,
				       "memory at %#" PRIx64 " cannot belong to NUMA node %u of %u",
				       r->at.base, r->node, p->nr_nodes);
		if (r->kind == MAP_RAM)
			sizes[r->node] += span_size(r->at);
	}
	for (unsigned i = 0; i < p->nr_nodes; i++) {
		const struct plan_node *n = &p->nodes[i];

		if (n->size != sizes[i])
			return err_set(err, EINVAL,
				       "NUMA node %u should have %" PRIu64
				       " bytes of RAM but its regions have %" PRIu64,
				       i, n->size, sizes[i]);
		for (unsigned j = 0; j < p->nr_nodes; j++)
			if (i != j && plan_distance(p, i, j) <= plan_distance(p, i, i))
				return err_set(err, EINVAL,
					       "NUMA nodes %u and %u are %u apart, no more than a "
					       "node is from itself",
					       i, j, plan_distance(p, i, j));
		sum += sizes[i];
	}
	for (unsigned cpu = 0; cpu < p->cpus; cpu++)
		if (p->cpu_node[cpu] >= p->nr_nodes)
			return err_set(err, EINVAL, "CPU %u belongs to no NUMA node", cpu);
	if (sum != p->ram_size)
		return err_set(err, EINVAL,
			       "RAM regions add up to %" PRIu64 " bytes instead of "
			       "%" PRIu64,
			       sum, p->ram_size);
	return 0;
}

/* RAM comes in whole backing pages: mmap of huge pages needs it. */
static int check_pages(const struct plan *p, struct err *err)
{
	if (p->page_size != 4 * KIB && p->page_size != 2 * MIB && p->page_size != GIB)
		return err_set(err, EINVAL,
			       "the plan has pages of %" PRIu64
			       " bytes, and hosts have 4K, 2M and 1G",
			       p->page_size);
	for (unsigned i = 0; i < p->map.nr_regions; i++) {
		const struct map_region *r = &p->map.regions[i];

		if (r->kind == MAP_RAM && (r->at.base | r->at.end) % p->page_size)
			return err_set(err, EINVAL,
				       "RAM at %#" PRIx64 " is not made of pages of %" PRIu64
				       " bytes",
				       r->at.base, p->page_size);
	}
	return 0;
}

/* Each file of --pmem must be one region, and the regions of n files are numbered 0 to n - 1. */
static int plan_check_pmem(const struct plan *p, struct err *err)
{
	unsigned seen = 0, n = 0;

	for (unsigned i = 0; i < p->map.nr_regions; i++) {
		const struct map_region *r = &p->map.regions[i];

		if (r->kind != MAP_PMEM)
			continue;
		if (r->node >= PMEM_MAX || seen >> r->node & 1)
			return err_set(err, EINVAL,
				       "file %u of --pmem at %#" PRIx64
				       " is there twice, or is one file too many",
				       r->node, r->at.base);
		seen |= 1u << r->node;
		n++;
	}
	if (seen != (1u << n) - 1)
		return err_set(err, EINVAL,
			       "the regions of --pmem files are not numbered from 0 on");
	return 0;
}

int plan_check(const struct plan *p, struct err *err)
{
	uint64_t hotplug = map_total(&p->map, MAP_HOTPLUG);
	int ret = map_check(&p->map, err);

	if (ret)
		return ret;
	ret = plan_check_nodes(p, err);
	if (ret)
		return ret;
	ret = check_pages(p, err);
	if (ret)
		return ret;
	ret = plan_check_pmem(p, err);
	if (ret)
		return ret;
	ret = plan_pci_check(p, err);
	if (ret)
		return ret;
	if (p->max_memory < p->ram_size || hotplug != p->max_memory - p->ram_size)
		return err_set(err, EINVAL,
			       "%" PRIu64 " bytes of RAM and %" PRIu64
			       " of hotplug space do not add up to the plan's maximum, %" PRIu64,
			       p->ram_size, hotplug, p->max_memory);
	if (p->phys_bits < p->map.bits_required || p->phys_bits > ADDRESS_BITS_MAX)
		return err_set(
			err, EINVAL,
			"the plan has %u address bits, but its map needs %u, and 52 is the most",
			p->phys_bits, p->map.bits_required);
	if (!p->cpus || (uint64_t)p->sockets * p->cores * p->threads != p->cpus)
		return err_set(err, EINVAL, "%u CPUs are not %u sockets x %u cores x %u threads",
			       p->cpus, p->sockets, p->cores, p->threads);
	if (p->cores % topology_socket(p).dies)
		return err_set(err, EINVAL, "%u cores of a socket are not %u dies", p->cores,
			       p->dies);
	return 0;
}

/* --- this host --- */

/*
 * The host's device must have the BARs of the plan, because other BARs would not fit in their
 * places.
 */
static int check_shape(const struct plan_pci *fn, const struct host_pci *host, struct err *err)
{
	for (unsigned i = 0; i < BARS; i++) {
		const struct bar_shape *a = &fn->bars[i].shape, *b = &host->bars[i];

		if (a->size != b->size || (a->size && (a->io != b->io || a->wide != b->wide ||
						       a->prefetch != b->prefetch)))
			return err_set(err, EINVAL,
				       "%s has another %s (%" PRIu64
				       " bytes) than in the plan (%" PRIu64
				       " bytes): make a plan for this device",
				       fn->name, plan_pci_bar_name(i), b->size, a->size);
	}
	return 0;
}

/* How the command line names a device: "--vfio 0000:41:00.0", "--disk" for disk0, "--rng". */
static const char *option_of(enum device_kind kind, const char *name,
			     char option[HOST_PCI_NAME + 8])
{
	if (kind == DEVICE_PASSED_THROUGH)
		snprintf(option, HOST_PCI_NAME + 8, "--vfio %s", name);
	else
		snprintf(option, HOST_PCI_NAME + 8, "--%s", device_kind_name(kind));
	return option;
}

static int check_devices(const struct plan *p, const struct host_facts *host, struct err *err)
{
	unsigned most = p->nr_pci > host->nr_pci ? p->nr_pci : host->nr_pci;

	for (unsigned i = 0; i < most; i++) {
		char option[HOST_PCI_NAME + 8];
		const char *want = i < p->nr_pci ? p->pci[i].name : "";
		const char *have = i < host->nr_pci ? host->pci[i].name : "";
		int ret;

		if (!*have)
			return err_set(err, EINVAL, "the plan has %s; add %s", want,
				       option_of(p->pci[i].kind, want, option));
		if (!*want)
			return err_set(
				err, EINVAL,
				"%s is not in the plan: leave it out, or make a plan with it",
				option_of(host->pci[i].kind, have, option));
		if (p->pci[i].kind != host->pci[i].kind || p->pci[i].index != host->pci[i].index ||
		    strcmp(want, have) != 0)
			return err_set(
				err, EINVAL,
				"device %u of the plan is %s, but the command line says %s: name "
				"the plan's devices and no others, and --vfio in its order",
				i, want, have);
		ret = check_shape(&p->pci[i], &host->pci[i], err);
		if (ret < 0)
			return ret;
	}
	return 0;
}

static int plan_check_files(const struct plan *p, const struct host_facts *host, struct err *err)
{
	for (unsigned i = 0; i < host->nr_pmem; i++) {
		uint64_t size = span_size(plan_pmem(p, i));

		if (size != host->pmem[i])
			return err_set(err, EINVAL,
				       "pmem%u has %" PRIu64 " bytes in the plan, but its file has "
				       "%" PRIu64 ": make a plan for this file",
				       i, size, host->pmem[i]);
	}
	return 0;
}

/*
 * Whether devices may reach a part of `at`. RAM may lie over a forbidden range in the BIOS area,
 * because plan_dma() leaves that part out.
 */
static bool reached_by_devices(const struct plan *p, struct span at)
{
	struct span dma[PLAN_LIST_MAX];
	size_t n = plan_dma(p, dma, PLAN_LIST_MAX);

	for (size_t i = 0; i < n; i++)
		if (span_overlaps(dma[i], at))
			return true;
	return false;
}

int plan_check_host(const struct plan *p, const struct host_facts *host, struct err *err)
{
	struct map_forbidden found[MAP_FORBIDDEN_MAX];
	unsigned n = plan_forbidden(found, MAP_FORBIDDEN_MAX, p->iova_policy, host, NULL, 0);
	unsigned bits = plan_host_bits(host);

	if (n > MAP_FORBIDDEN_MAX)
		return err_set(err, ERANGE,
			       "%u ranges must stay free on this host, more than a plan can hold "
			       "(%u): use devices of fewer IOMMU groups",
			       n, MAP_FORBIDDEN_MAX);
	if (p->map.bits_required > bits)
		return err_set(err, ERANGE,
			       "the plan needs %u address bits, but this host has %u: make a plan "
			       "for this host",
			       p->map.bits_required, bits);
	for (unsigned i = 0; i < n; i++) {
		for (unsigned j = 0; j < p->map.nr_regions; j++) {
			const struct map_region *r = &p->map.regions[j];

			if (!span_overlaps(r->at, found[i].at) || !map_is_reached(r->kind) ||
			    (r->kind == MAP_RAM && !reached_by_devices(p, found[i].at)))
				continue;
			return err_set(err, ERANGE,
				       "the plan has %s at [%#" PRIx64 ", %#" PRIx64
				       "), but on this host [%#" PRIx64 ", %#" PRIx64
				       ") must stay free (%s): make a plan for this host",
				       map_kind_name(r->kind), r->at.base, r->at.end,
				       found[i].at.base, found[i].at.end, found[i].why);
		}
	}
	return plan_check_files(p, host, err) < 0 ? -EINVAL : check_devices(p, host, err);
}
