#include "vmm/plan/advice.h"

#include "vmm/config/internal.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define WAYS_MAX 8

/*
 * A copy of the request, in which one option at a time is changed, and the text of the changes with
 * which a plan exists.
 */
struct advice {
	struct config c; /* borrows its strings */
	struct host_facts host;
	char ways[WAYS_MAX][HOST_PCI_NAME + 32];
	unsigned nr_ways;
};

static bool works(const struct advice *a)
{
	struct plan p;

	return plan_resolve(&p, &a->c, &a->host, NULL) == 0;
}

/* Adds one way out to the text; those after the first WAYS_MAX are left out. */
static void __attribute__((format(printf, 2, 3))) advice_add(struct advice *a, const char *fmt, ...)
{
	va_list ap;

	if (a->nr_ways == WAYS_MAX)
		return;
	va_start(ap, fmt);
	vsnprintf(a->ways[a->nr_ways], sizeof(a->ways[0]), fmt, ap);
	va_end(ap);
	a->nr_ways++;
}

/*
 * Returns the largest multiple of `unit` in [least, below) with which a plan exists when *value, a
 * member of `a`, is set to it; 0: there is none. Tries `least` first, then bisects.
 */
static uint64_t advice_largest(struct advice *a, uint64_t *value, uint64_t unit, uint64_t least,
			       uint64_t below)
{
	uint64_t before = *value, low = align_up(least, unit) / unit, high = (below - 1) / unit;
	bool found = false;

	if (low <= high) {
		*value = low * unit;
		found = works(a);
	}
	while (found && low < high) {
		uint64_t middle = low + (high - low + 1) / 2;

		*value = middle * unit;
		if (works(a))
			low = middle;
		else
			high = middle - 1;
	}
	*value = before;
	return found ? low * unit : 0;
}

/* --- one option each --- */

static uint64_t advice_ram_unit(const struct advice *a)
{
	return max_u64(2 * MIB, a->c.page_size);
}

static void try_phys_bits(struct advice *a)
{
	unsigned before = a->c.phys_bits, most = plan_host_bits(&a->host);

	for (unsigned bits = before + 1; before && bits <= most; bits++) {
		a->c.phys_bits = bits;
		if (works(a)) {
			advice_add(a, "--phys-bits %u", bits);
			break;
		}
	}
	a->c.phys_bits = before;
}

/* Tries a smaller value of each size that the user gave. */
static void try_sizes(struct advice *a)
{
	struct config *c = &a->c;
	const struct {
		const char *option;
		uint64_t *value, unit, least;
	} sizes[] = {
		{ "pci64-window", &c->pci64_size, GIB, GIB },
		{ "pci32-window", &c->pci32_size, MIB, MIB },
		{ "low-memory", &c->low_memory, advice_ram_unit(a), advice_ram_unit(a) },
		{ "high-memory-start", &c->high_memory_start, GIB, FOUR_GIB },
		{ "max-memory", &c->max_memory, max_u64(advice_ram_unit(a), 2 * MIB), c->memory },
	};

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		uint64_t best = *sizes[i].value ? advice_largest(a, sizes[i].value, sizes[i].unit,
								 sizes[i].least, *sizes[i].value)
						: 0;

		if (best)
			advice_add(a, "--%s %s", sizes[i].option, SHOWN_SIZE(best));
	}
}

/*
 * Tries a smaller --memory, in whole GiB if possible, because these are easier to read. Not with
 * --numa, whose sizes would have to change as well.
 */
static void try_memory(struct advice *a)
{
	struct config *c = &a->c;
	uint64_t least = max_u64(advice_ram_unit(a), c->balloon + 1), best = 0;

	if (c->nr_nodes)
		return;
	if (c->memory > GIB)
		best = advice_largest(a, &c->memory, GIB, least, c->memory);
	if (!best)
		best = advice_largest(a, &c->memory, advice_ram_unit(a), least, c->memory);
	if (best)
		advice_add(a, "--memory %s", SHOWN_SIZE(best));
}

/* As try_memory(), for the largest node. */
static void try_node(struct advice *a)
{
	struct config *c = &a->c;
	uint64_t memory = c->memory, best = 0;
	unsigned node = 0;

	for (unsigned i = 1; i < c->nr_nodes; i++)
		if (c->nodes[i].size > c->nodes[node].size)
			node = i;
	if (!c->nr_nodes)
		return;
	for (uint64_t size = c->nodes[node].size; !best && size > advice_ram_unit(a);) {
		uint64_t before = size;

		size = align_down(size / 2, advice_ram_unit(a));
		c->memory = c->memory - before + size;
		c->nodes[node].size = size;
		if (c->memory > c->balloon && works(a))
			best = size;
	}
	if (best)
		advice_add(a, "a smaller node %u, such as of %s", node, SHOWN_SIZE(best));
	c->nodes[node].size += memory - c->memory;
	c->memory = memory;
}

static void try_page_size(struct advice *a)
{
	uint64_t before = a->c.page_size;

	a->c.page_size = 2 * MIB;
	if (before > 2 * MIB && works(a))
		advice_add(a, "--page-size 2M");
	a->c.page_size = before;
}

/* Tries to leave out one of the --reserve ranges, or else all. */
static void try_reserve(struct advice *a)
{
	struct config *c = &a->c;
	unsigned n = c->nr_reserve;
	bool found = false;

	for (unsigned i = 0; i < n && !found; i++) {
		struct span gone = c->reserve[i];

		c->reserve[i] = c->reserve[n - 1];
		c->nr_reserve = n - 1;
		found = works(a);
		if (found)
			advice_add(a, "no --reserve %#" PRIx64 "-%#" PRIx64, gone.base, gone.end);
		c->reserve[i] = gone;
	}
	c->nr_reserve = 0;
	if (n > 1 && !found && works(a))
		advice_add(a, "no --reserve");
	c->nr_reserve = n;
}

/*
 * Tries, for --layout hole, more memory, because each piece of RAM has one unit at least, and the
 * other layout.
 */
static void try_layout(struct advice *a)
{
	const struct config before = a->c;
	uint64_t unit = advice_ram_unit(a), most = (2 * MAP_FORBIDDEN_MAX + 1) * unit;
	bool found = false;

	if (before.layout != LAYOUT_HOLE)
		return;
	while (!before.nr_nodes && !found && a->c.memory < most) {
		a->c.memory += unit;
		found = works(a);
	}
	if (found)
		advice_add(a, "--memory %s", SHOWN_SIZE(a->c.memory));
	a->c = before;
	a->c.layout = LAYOUT_LOWEST;
	if (works(a))
		advice_add(a, "no --layout hole");
	a->c = before;
}

/*
 * Tries other policies. With devices, only policies that keep what their IOMMU reserves, because
 * RAM over these ranges could not be mapped.
 */
static void try_policy(struct advice *a)
{
	static const enum iova_policy others[] = { IOVA_HOST, IOVA_VENDOR, IOVA_OFF };
	enum iova_policy before = a->c.iova_policy;
	size_t n = a->c.nr_vfio ? 1 : ARRAY_SIZE(others);

	for (size_t i = 0; i < n; i++) {
		a->c.iova_policy = others[i];
		if (others[i] != before && works(a)) {
			advice_add(a, "--iova-policy %s", iova_policy_name(others[i]));
			break;
		}
	}
	a->c.iova_policy = before;
}

static void put_on_bus_0(struct config_vfio *v)
{
	v->root_bus = true;
}

static void leave_out_rom(struct config_vfio *v)
{
	v->no_rom = true;
}

/* Tries one more key for one device, or else for all devices. */
static void try_place(struct advice *a, const char *word, void (*change)(struct config_vfio *v))
{
	const struct config before = a->c;
	bool found = false;

	for (unsigned i = 0; i < before.nr_vfio && !found; i++) {
		change(&a->c.vfio[i]);
		found = works(a);
		a->c = before;
		if (found)
			advice_add(a, "--vfio %s,%s", a->host.pci[i].name, word);
	}
	for (unsigned i = 0; i < before.nr_vfio; i++)
		change(&a->c.vfio[i]);
	if (!found && before.nr_vfio > 1 && works(a))
		advice_add(a, "%s for every --vfio", word);
	a->c = before;
}

/*
 * Tries port=off, because on bus 0 all 64-bit BARs lie above 4 GiB, even those that are not
 * prefetchable, and rom=off.
 */
static void try_places(struct advice *a)
{
	try_place(a, "port=off", put_on_bus_0);
	try_place(a, "rom=off", leave_out_rom);
}

static void remove_device(struct advice *a, unsigned i)
{
	struct config *c = &a->c;
	struct host_facts *h = &a->host;

	memmove(&c->vfio[i], &c->vfio[i + 1], (c->nr_vfio - i - 1) * sizeof(c->vfio[0]));
	memmove(&h->pci[i], &h->pci[i + 1], (h->nr_pci - i - 1) * sizeof(h->pci[0]));
	c->nr_vfio--;
	h->nr_pci--;
	for (unsigned j = i; j < c->nr_vfio; j++)
		h->pci[j].index = j;
}

/* Tries to leave out one device, or else all but the first few of the command line. */
static void try_fewer_devices(struct advice *a)
{
	const struct advice before = *a;
	bool found = false;

	for (unsigned i = before.c.nr_vfio; i-- > 0 && !found;) {
		remove_device(a, i);
		found = works(a);
		a->c = before.c;
		a->host = before.host;
		if (found)
			advice_add(a, "no --vfio %s", a->host.pci[i].name);
	}
	while (!found && a->c.nr_vfio) {
		remove_device(a, a->c.nr_vfio - 1);
		found = works(a);
		if (found && a->c.nr_vfio)
			advice_add(a, "only the first %u of --vfio", a->c.nr_vfio);
		else if (found)
			advice_add(a, "no --vfio");
	}
	a->c = before.c;
	a->host = before.host;
}

static void __attribute__((format(printf, 2, 3))) append(struct err *err, const char *fmt, ...)
{
	size_t len = strlen(err->text);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(err->text + len, sizeof(err->text) - len, fmt, ap);
	va_end(ap);
}

void plan_advise(const struct config *c, const struct host_facts *host, struct err *err)
{
	struct advice a = { .c = *c, .host = *host };

	try_phys_bits(&a);
	try_sizes(&a);
	try_page_size(&a);
	try_reserve(&a);
	try_policy(&a);
	try_places(&a);
	try_layout(&a);
	try_memory(&a);
	try_node(&a);
	try_fewer_devices(&a);
	if (!a.nr_ways)
		append(err,
		       ": no change of a single option makes room; ask for less of everything");
	for (unsigned i = 0; i < a.nr_ways; i++)
		append(err, "%s%s", !i ? ": use " : i + 1 == a.nr_ways ? " or " : ", ", a.ways[i]);
}
