#include "vmm/plan/plan.h"

#include "vmm/base/platform.h"
#include "vmm/plan/advice.h"
#include "vmm/plan/devices.h"
#include "vmm/plan/pci_layout.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* AMD I/O Virtualization Technology specification (48882), 2.1.2, table 3: HyperTransport. */
#define AMD_HT_BASE UINT64_C(0xFD00000000)
#define AMD_HT_END  UINT64_C(0x10000000000)
/*
 * The CPU itself cannot use 12 GiB as guest-physical addresses. From family 17h on these are the
 * last ones of its address space (less the bits that memory encryption takes), before that the
 * IOMMU's; Linux, tools/testing/selftests/kvm, vm_compute_max_gfn().
 */
#define AMD_TOP_FAMILY 0x17
#define AMD_TOP_SIZE   (12 * GIB)
#define AMD_HOLE_BITS  40 /* the CPU has the hole if it has at least this many address bits */

/* --- forbidden ranges --- */

struct forbidden_list {
	struct map_forbidden *out;
	unsigned cap, n;
};

static void __attribute__((format(printf, 3, 4)))
forbid(struct forbidden_list *list, struct span at, const char *why, ...)
{
	va_list ap;

	if (list->n < list->cap) {
		struct map_forbidden *f = &list->out[list->n];

		f->at = at;
		f->last = false;
		va_start(ap, why);
		vsnprintf(f->why, sizeof(f->why), why, ap);
		va_end(ap);
	}
	list->n++;
}

/* Says of all entries from number `from` on that the host's usable addresses end before them. */
static void mark_last(struct forbidden_list *list, unsigned from)
{
	for (unsigned i = from; i < list->n && i < list->cap; i++)
		list->out[i].last = true;
}

static struct span amd_cpu_hole(const struct host_facts *host)
{
	unsigned bits = host->phys_bits - host->mem_encrypt_bits;
	uint64_t end = host->family >= AMD_TOP_FAMILY ? UINT64_C(1) << bits : AMD_HT_END;

	if (bits < AMD_HOLE_BITS || bits > ADDRESS_BITS_MAX)
		return (struct span){ 0, 0 };
	return (struct span){ end - AMD_TOP_SIZE, end };
}

/*
 * Forbids the IOMMU's range if the policy says so, and the CPU's with any policy. They may be the
 * same.
 */
static void forbid_amd(struct forbidden_list *list, const struct host_facts *host,
		       enum iova_policy policy)
{
	const struct span ht = { AMD_HT_BASE, AMD_HT_END }, own = amd_cpu_hole(host);
	bool rule = policy == IOVA_AUTO || policy == IOVA_VENDOR;

	if (rule)
		forbid(list, ht, "AMD HyperTransport: the IOMMU cannot translate it");
	if (span_empty(own) || (rule && own.base == ht.base))
		return;
	if (host->family >= AMD_TOP_FAMILY) {
		forbid(list, own, "AMD CPU: top 12 GiB of %u address bits",
		       host->phys_bits - host->mem_encrypt_bits);
		mark_last(list, list->n - 1);
	} else {
		forbid(list, own, "AMD CPU: HyperTransport");
	}
}

/* Whether an earlier group has the same range: most groups of a host do, and the first is named. */
static bool resv_seen(const struct host_facts *host, unsigned i)
{
	const struct host_resv *r = &host->resv[i];

	for (unsigned j = 0; j < i; j++) {
		const struct host_resv *o = &host->resv[j];

		if (o->type == r->type && o->at.base == r->at.base && o->at.end == r->at.end)
			return true;
	}
	return false;
}

static void forbid_resv(struct forbidden_list *list, const struct host_facts *host)
{
	for (unsigned i = 0; i < host->nr_resv; i++) {
		const struct host_resv *r = &host->resv[i];

		if (r->type != HOST_RESV_DIRECT_RELAXABLE && !resv_seen(host, i))
			forbid(list, r->at, "IOMMU group %u: %s", r->group,
			       host_resv_name(r->type));
	}
}

/* Forbids the parts of `at` that the first `n` entries of the list do not cover. */
static void forbid_rest_of(struct forbidden_list *list, unsigned n, struct span at, const char *why)
{
	while (!span_empty(at)) {
		uint64_t next = at.end, past = at.base;

		for (unsigned i = 0; i < n; i++) {
			struct span said = list->out[i].at;

			if (said.base <= at.base && said.end > at.base)
				past = max_u64(past, said.end);
			else if (said.base > at.base && !span_empty(said))
				next = min_u64(next, said.base);
		}
		if (past == at.base) {
			forbid(list, (struct span){ at.base, next }, "%s", why);
			past = next;
		}
		at.base = past;
	}
}

/*
 * Forbids the gaps between the usable ranges and all addresses behind the last one, where the
 * IOMMU's width ends. Most gaps are reserved regions, whose entries name a better reason, so only
 * the rest of a gap gets an entry here.
 */
static void forbid_unusable(struct forbidden_list *list, const struct host_facts *host)
{
	unsigned n = list->n < list->cap ? list->n : list->cap;
	char beyond[MAP_WHY_MAX];
	uint64_t from = 0;
	unsigned first;

	if (!host->nr_usable)
		return;
	for (unsigned i = 0; i < host->nr_usable; i++) {
		forbid_rest_of(list, n, (struct span){ from, host->usable[i].base },
			       "outside of what the host's IOMMU can map");
		from = host->usable[i].end;
	}
	if (is_power_of_two(from))
		snprintf(beyond, sizeof(beyond), "beyond the %u address bits of the host's IOMMU",
			 (unsigned)__builtin_ctzll(from));
	else
		snprintf(beyond, sizeof(beyond), "beyond what the host's IOMMU can map");
	first = list->n;
	forbid_rest_of(list, n, (struct span){ from, max_u64(from, ADDRESS_SPACE_END) }, beyond);
	mark_last(list, first);
}

unsigned plan_forbidden(struct map_forbidden *out, unsigned cap, enum iova_policy policy,
			const struct host_facts *host, const struct span *reserve,
			unsigned nr_reserve)
{
	struct forbidden_list list = { out, cap, 0 };
	bool amd = host_vendor_is_amd(host->vendor);

	if (amd)
		forbid_amd(&list, host, policy);
	if (policy == IOVA_AUTO || policy == IOVA_HOST)
		forbid_resv(&list, host);
	for (unsigned i = 0; i < nr_reserve; i++)
		forbid(&list, reserve[i], "--reserve");
	if (policy == IOVA_AUTO || policy == IOVA_HOST)
		forbid_unusable(&list, host);
	return list.n;
}

/*
 * What --layout hole forbids beyond that: AMD's range on hosts of others, because a map of an AMD
 * host is what it tests, unless the policy leaves the rule out.
 */
static void forbid_as_on_amd(struct map_request *req, const struct config *c,
			     const struct host_facts *host)
{
	struct forbidden_list list = { req->forbidden, MAP_FORBIDDEN_MAX, req->nr_forbidden };

	if (host_vendor_is_amd(host->vendor) || c->layout != LAYOUT_HOLE ||
	    (c->iova_policy != IOVA_AUTO && c->iova_policy != IOVA_VENDOR))
		return;
	forbid(&list, (struct span){ AMD_HT_BASE, AMD_HT_END },
	       "AMD HyperTransport, for --layout hole");
	req->nr_forbidden = list.n;
}

/* --- plan_build --- */

unsigned plan_host_bits(const struct host_facts *host)
{
	if (host->guest_phys_bits && host->guest_phys_bits < host->phys_bits)
		return host->guest_phys_bits;
	return host->phys_bits;
}

static void plan_nodes(struct plan *p, const struct config *c)
{
	p->numa = c->nr_nodes || c->max_memory > c->memory;
	p->nr_nodes = c->nr_nodes ? c->nr_nodes : 1;
	p->nodes[0].size = c->memory;
	for (unsigned i = 0; i < c->nr_nodes; i++)
		p->nodes[i] =
			(struct plan_node){ c->nodes[i].size, c->nodes[i].bound, c->nodes[i].host };
	for (unsigned cpu = 0; cpu < c->cpus; cpu++)
		p->cpu_node[cpu] = (uint8_t)config_cpu_node(c, cpu);
	for (unsigned i = 0; i < p->nr_nodes; i++)
		for (unsigned j = 0; j < p->nr_nodes; j++)
			p->distances[i][j] =
				c->distances[i][j] ? c->distances[i][j] : c->distances[j][i];
}

/* Only the ports of --debug-exit matter to the plan; the device itself is not planned. */
static struct span busy_ports(const struct config *c)
{
	if (!c->has_debug_exit)
		return (struct span){ 0, 0 };
	return (struct span){ c->debug_exit_port, c->debug_exit_port + DEBUG_EXIT_PORTS };
}

/*
 * The guest's node of a device: that of `node=`, else the first one whose RAM comes from the host's
 * node of the device, else none, which is 0, as firmware says of a machine with one host bridge.
 */
static unsigned device_node(const struct config *c, const struct host_pci *d)
{
	if (d->kind != DEVICE_PASSED_THROUGH)
		return 0;
	if (c->vfio[d->index].has_node)
		return c->vfio[d->index].node;
	for (unsigned i = 0; i < c->nr_nodes; i++)
		if (c->nodes[i].bound && (int)c->nodes[i].host == d->node)
			return i;
	return 0;
}

static int build_devices(struct plan *p, const struct config *c, const struct host_facts *host,
			 struct map_request *req, struct err *err)
{
	struct pci_layout_device devices[PCI_DEVICES_MAX];
	unsigned nr_passed = 0;

	for (unsigned i = 0; i < host->nr_pci; i++) {
		const struct host_pci *d = &host->pci[i];
		bool passed = d->kind == DEVICE_PASSED_THROUGH;

		devices[i] = (struct pci_layout_device){
			.host = d,
			.root_bus = !passed || c->vfio[d->index].root_bus,
			.rom = passed && !c->vfio[d->index].no_rom,
			.node = device_node(c, d),
		};
		nr_passed += passed;
	}
	if (nr_passed != c->nr_vfio)
		return err_set(
			err, EINVAL,
			"--vfio names %u device%s, and the number of those found is %u; correct or "
			"leave out the others",
			c->nr_vfio, c->nr_vfio == 1 ? "" : "s", nr_passed);
	if (host->nr_pmem != c->nr_pmem)
		return err_set(
			err, EINVAL,
			"--pmem names %u file%s, and the number of known sizes is %u; correct or "
			"leave out the others",
			c->nr_pmem, c->nr_pmem == 1 ? "" : "s", host->nr_pmem);
	return pci_layout_build(p, req, devices, host->nr_pci, c->spare_ports, busy_ports(c), err);
}

int plan_resolve(struct plan *p, const struct config *c, const struct host_facts *host,
		 struct err *err)
{
	struct map_request req = {
		.ram_size = c->memory,
		.max_memory = c->max_memory,
		.low_memory = c->low_memory,
		.high_memory_start = c->high_memory_start,
		.both_sides = c->layout == LAYOUT_HOLE,
		.pci32_size = c->pci32_size,
		.pci64_size = c->pci64_size,
		.align = max_u64(2 * MIB, c->page_size),
		.guest_bits = c->phys_bits ? c->phys_bits : plan_host_bits(host),
		.host_bits = plan_host_bits(host),
		.nr_nodes = c->nr_nodes,
	};

	memset(p, 0, offsetof(struct plan, map)); /* map_build() does the rest */
	p->ram_size = c->memory;
	p->max_memory = max_u64(c->memory, c->max_memory);
	p->page_size = c->page_size;
	p->phys_bits = req.guest_bits;
	p->iova_policy = c->iova_policy;
	p->cpus = c->cpus;
	p->sockets = c->sockets;
	p->cores = c->cores;
	p->threads = c->threads;
	p->dies = c->dies;
	if (p->cpus > CPUS_MAX || p->cpus != p->sockets * p->cores * p->threads)
		return err_set(err, EINVAL, "%u CPUs are not %u sockets x %u cores x %u threads",
			       p->cpus, p->sockets, p->cores, p->threads);
	plan_nodes(p, c);
	for (unsigned i = 0; i < c->nr_nodes; i++)
		req.node_sizes[i] = c->nodes[i].size;
	req.nr_pmem = host->nr_pmem;
	memcpy(req.pmem, host->pmem, sizeof(req.pmem));
	req.nr_forbidden = plan_forbidden(req.forbidden, MAP_FORBIDDEN_MAX, c->iova_policy, host,
					  c->reserve, c->nr_reserve);
	forbid_as_on_amd(&req, c, host);
	if (req.nr_forbidden > MAP_FORBIDDEN_MAX)
		return err_set(err, ERANGE, "%u ranges must stay free, but the map holds %u",
			       req.nr_forbidden, MAP_FORBIDDEN_MAX);
	return build_devices(p, c, host, &req, err);
}

int plan_build(struct plan *p, const struct config *c, const struct host_facts *host,
	       struct err *err)
{
	int ret = plan_resolve(p, c, host, err);

	if (ret == -ERANGE && err)
		plan_advise(c, host, err);
	return ret;
}

/* --- folds --- */

/*
 * `last` is the newest entry even when it is past the end of `out`, so that the count does not
 * depend on `cap`.
 */
struct e820_list {
	struct e820_entry *out;
	size_t cap, n;
	struct e820_entry last;
};

static void emit_e820(struct e820_list *list, struct span at, enum e820_type type)
{
	if (span_empty(at))
		return;
	if (list->n && list->last.at.end == at.base && list->last.type == type) {
		list->last.at.end = at.end;
	} else {
		list->last = (struct e820_entry){ at, type };
		list->n++;
	}
	if (list->n <= list->cap)
		list->out[list->n - 1] = list->last;
}

/*
 * E820 has no entry for PCI windows, hotplug space, files and gaps. The first MiB, which is RAM in
 * the map, is split as a BIOS splits it.
 */
size_t plan_e820(const struct plan *p, struct e820_entry *out, size_t cap)
{
	struct e820_list list = { .out = out, .cap = cap };

	emit_e820(&list, (struct span){ 0, LOW_RAM_END }, E820_USABLE);
	emit_e820(&list, (struct span){ LOW_RAM_END, ACPI_BASE }, E820_RESERVED);
	emit_e820(&list, (struct span){ ACPI_BASE, ACPI_END }, E820_ACPI);
	for (unsigned i = 0; i < p->map.nr_regions; i++) {
		struct map_region r = p->map.regions[i];

		r.at.base = max_u64(r.at.base, MIB);
		switch (r.kind) {
		case MAP_RAM:
			emit_e820(&list, r.at, E820_USABLE);
			break;
		case MAP_RESERVED:
		case MAP_ECAM:
		case MAP_APIC:
		case MAP_ROM:
			emit_e820(&list, r.at, E820_RESERVED);
			break;
		case MAP_HOTPLUG:
		case MAP_PMEM:
		case MAP_PCI32:
		case MAP_PCI64:
			break;
		}
	}
	return list.n;
}

size_t plan_srat(const struct plan *p, struct plan_memory *out, size_t cap)
{
	size_t n = 0;

	for (unsigned i = 0; i < p->map.nr_regions; i++) {
		const struct map_region *r = &p->map.regions[i];

		if (r->kind != MAP_RAM && r->kind != MAP_HOTPLUG)
			continue;
		if (n < cap)
			out[n] = (struct plan_memory){ r->at, r->node, r->kind == MAP_HOTPLUG };
		n++;
	}
	return n;
}

/* As struct e820_list. */
struct span_list {
	struct span *out;
	size_t cap, n;
	struct span last;
};

static void emit_span(struct span_list *list, struct span at)
{
	if (list->n && list->last.end == at.base) {
		list->last.end = at.end;
	} else {
		list->last = at;
		list->n++;
	}
	if (list->n <= list->cap)
		list->out[list->n - 1] = list->last;
}

size_t plan_windows(const struct plan *p, enum map_kind kind, struct span *out, size_t cap)
{
	struct span_list list = { .out = out, .cap = cap };

	for (unsigned i = 0; i < p->map.nr_regions; i++)
		if (p->map.regions[i].kind == kind)
			emit_span(&list, p->map.regions[i].at);
	return list.n;
}

size_t plan_bridge_windows(const struct plan *p, unsigned bridge, enum map_kind kind,
			   struct span *out, size_t cap)
{
	struct span_list list = { .out = out, .cap = cap };

	for (unsigned i = 0; i < p->map.nr_regions; i++)
		if (p->map.regions[i].kind == kind && p->map.regions[i].node == bridge)
			emit_span(&list, p->map.regions[i].at);
	return list.n;
}

size_t plan_ram(const struct plan *p, struct span *out, size_t cap)
{
	return plan_windows(p, MAP_RAM, out, cap);
}

/*
 * Forbidden ranges over which RAM lies are all in the BIOS area, and are left out in whole pages,
 * because an IOMMU maps whole pages.
 */
size_t plan_dma(const struct plan *p, struct span *out, size_t cap)
{
	struct span_list list = { .out = out, .cap = cap };
	unsigned f = 0;

	for (unsigned i = 0; i < p->map.nr_regions; i++) {
		struct span at = p->map.regions[i].at;

		if (p->map.regions[i].kind != MAP_RAM)
			continue;
		for (; f < p->map.nr_forbidden && p->map.forbidden[f].at.base < at.end; f++) {
			struct span busy = p->map.forbidden[f].at;

			if (!map_in_bios_area(busy))
				continue;
			busy = (struct span){ align_down(busy.base, 4 * KIB),
					      align_up(busy.end, 4 * KIB) };
			if (at.base < busy.base)
				emit_span(&list, (struct span){ at.base, busy.base });
			at.base = max_u64(at.base, busy.end);
		}
		emit_span(&list, at);
	}
	return list.n;
}

size_t plan_reserved(const struct plan *p, struct span *out, size_t cap)
{
	struct span_list list = { .out = out, .cap = cap };

	for (unsigned i = 0; i < p->map.nr_regions; i++) {
		const struct map_region *r = &p->map.regions[i];

		if (r->kind == MAP_RESERVED || r->kind == MAP_ECAM || r->kind == MAP_ROM)
			emit_span(&list, r->at);
	}
	return list.n;
}

struct span plan_pmem(const struct plan *p, unsigned i)
{
	for (unsigned j = 0; j < p->map.nr_regions; j++)
		if (p->map.regions[j].kind == MAP_PMEM && p->map.regions[j].node == i)
			return p->map.regions[j].at;
	return (struct span){ 0, 0 };
}

struct span plan_ecam(const struct plan *p)
{
	for (unsigned i = 0; i < p->map.nr_regions; i++)
		if (p->map.regions[i].kind == MAP_ECAM)
			return p->map.regions[i].at;
	return (struct span){ 0, 0 };
}

size_t plan_bound_ram(const struct plan *p, struct plan_bound *out, size_t cap)
{
	size_t n = 0;

	for (unsigned i = 0; i < p->map.nr_regions; i++) {
		const struct map_region *r = &p->map.regions[i];

		if (r->kind != MAP_RAM || !p->nodes[r->node].bound)
			continue;
		if (n < cap)
			out[n] = (struct plan_bound){ r->at, p->nodes[r->node].host };
		n++;
	}
	return n;
}

unsigned plan_cpu_node(const struct plan *p, unsigned cpu)
{
	return p->cpu_node[cpu];
}

bool plan_node_cpus(const struct plan *p, unsigned node, unsigned from, unsigned *first,
		    unsigned *end)
{
	while (from < p->cpus && p->cpu_node[from] != node)
		from++;
	*first = from;
	while (from < p->cpus && p->cpu_node[from] == node)
		from++;
	*end = from;
	return *first < *end;
}

void plan_cpu_list(const struct plan *p, unsigned node, char *out, size_t cap)
{
	unsigned first, end = 0;
	size_t len = 0;

	*out = '\0';
	while (len < cap && plan_node_cpus(p, node, end, &first, &end)) {
		len += (size_t)snprintf(out + len, cap - len, "%s%u", len ? "," : "", first);
		if (end > first + 1 && len < cap)
			len += (size_t)snprintf(out + len, cap - len, "-%u", end - 1);
	}
}

unsigned plan_distance(const struct plan *p, unsigned from, unsigned to)
{
	if (from == to)
		return 10;
	return p->distances[from][to] ? p->distances[from][to] : 20;
}

/* Bytes of RAM without a gap from `from` on, up to `end` at most. */
static uint64_t contiguous(const struct plan *p, uint64_t from, uint64_t end)
{
	uint64_t at = from;

	for (unsigned i = 0; i < p->map.nr_regions; i++) {
		const struct map_region *r = &p->map.regions[i];

		if (r->kind == MAP_RAM && r->at.base <= at && at < r->at.end)
			at = min_u64(r->at.end, end);
	}
	return at - from;
}

/*
 * Both numbers count RAM up to the first hole only, because firmware takes each for one block. The
 * registers have 16 bits below 4 GiB and 24 bits above it (1 TiB); a larger count becomes the
 * largest one, because it must not wrap to a small one.
 */
struct plan_cmos plan_cmos(const struct plan *p)
{
	uint64_t below = contiguous(p, 16 * MIB, FOUR_GIB) / (64 * KIB);
	uint64_t above = contiguous(p, FOUR_GIB, UINT64_MAX) / (64 * KIB);

	return (struct plan_cmos){
		.above_16m_64k = (uint32_t)min_u64(below, 0xffff),
		.above_4g_64k = (uint32_t)min_u64(above, 0xffffff),
	};
}
