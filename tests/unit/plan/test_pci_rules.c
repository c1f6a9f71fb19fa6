/*
 * Where passed-through devices go: layouts worked out by hand, random worlds against a checker that
 * knows the rules but not the way, and plan_pci_check() against broken layouts.
 */
#include "vmm/base/platform.h"
#include "vmm/plan/pci_rules.h"
#include "vmm/plan/plan.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define RANDOM_CASES 3000
#define RANDOM_SEED  UINT64_C(0x504349204c41594f)

static struct plan plan;
static struct err err;
static struct config config;
static struct host_facts host;

static const struct host_facts milan = { .vendor = HOST_AMD, .family = 0x19, .phys_bits = 48 };

/* --- asking --- */

static void ask(uint64_t memory, const struct host_facts *on)
{
	config = (struct config)CONFIG_EMPTY;
	config.memory = memory;
	config.sockets = config.cores = config.threads = 1;
	host = *on;
}

static struct host_pci *add_device(void)
{
	struct host_pci *d = &host.pci[host.nr_pci++];

	*d = (struct host_pci){ .node = -1 };
	d->index = host.nr_pci - 1;
	snprintf(d->name, sizeof(d->name), "0000:%02x:00.0", host.nr_pci);
	config.nr_vfio++;
	return d;
}

#define MEM32(size)  ((struct bar_shape){ size, false, false, false })
#define PREF32(size) ((struct bar_shape){ size, false, false, true })
#define MEM64(size)  ((struct bar_shape){ size, false, true, false })
#define PREF64(size) ((struct bar_shape){ size, false, true, true })
#define IO(size)     ((struct bar_shape){ size, true, false, false })

/* The shape of a large GPU. */
static void add_gpu(uint64_t size)
{
	struct host_pci *d = add_device();

	d->bars[0] = PREF64(16 * MIB);
	d->bars[2] = PREF64(size);
	d->bars[4] = PREF64(32 * MIB);
}

static void add_nic(void)
{
	struct host_pci *d = add_device();

	d->bars[0] = MEM32(128 * KIB);
	d->bars[1] = MEM32(128 * KIB);
	d->bars[2] = IO(32);
	d->bars[3] = MEM32(16 * KIB);
	d->rom_size = 256 * KIB;
}

/* --- the checker: every rule, one bar and one pair at a time --- */

struct piece {
	struct span at;
	bool io;
	unsigned port;
	bool window;
};

static unsigned buses[256]; /* of how many bridges and ports each is */
static struct piece pieces[PCI_DEVICES_MAX * (BARS_AND_ROM + 3)];
static unsigned nr_pieces;

static bool in_map(struct span at, enum map_kind kind, unsigned bridge)
{
	for (unsigned i = 0; i < plan.map.nr_regions; i++) {
		const struct map_region *r = &plan.map.regions[i];

		if (r->kind == kind && r->node == bridge && r->at.base <= at.base &&
		    at.end <= r->at.end)
			return true;
	}
	return false;
}

static unsigned bridge_of(unsigned bus)
{
	unsigned i = plan.nr_bridges - 1;

	while (bus < plan.bridges[i].bus)
		i--;
	return i;
}

static const char *bad_place(struct span at, bool io, bool high, unsigned bridge)
{
	if (at.base >= at.end)
		return "nothing is empty";
	if (io)
		return bridge				      ? "I/O is bridge 0's"
		       : at.base < 0x1000 || at.end > 0x10000 ? "I/O is from 0x1000 up"
							      : NULL;
	for (unsigned i = 0; i < plan.map.nr_forbidden; i++)
		if (span_overlaps(plan.map.forbidden[i].at, at))
			return "nothing is on a forbidden range";
	for (unsigned i = 0; i < host.nr_usable && config.iova_policy == IOVA_AUTO; i++)
		if (span_overlaps(host.usable[i], at) &&
		    !span_holds(host.usable[i], at.base, span_size(at)))
			return "everything can be mapped";
	if ((at.end - 1) >> plan.phys_bits)
		return "everything is below the guest's last address";
	return in_map(at, high ? MAP_PCI64 : MAP_PCI32, bridge) ? NULL
								: "everything is in its window";
}

static unsigned wanted_node(unsigned device)
{
	unsigned node = 0;

	if (config.vfio[device].has_node)
		return config.vfio[device].node;
	for (unsigned i = config.nr_nodes; i-- > 0;)
		if (config.nodes[i].bound && (int)config.nodes[i].host == host.pci[device].node)
			node = i;
	return node;
}

/* Buses follow one another, those of a bridge without gap; a bridge for each node that has some. */
static const char *check_bridges(void)
{
	unsigned bus = 0;

	memset(buses, 0, sizeof(buses));
	if (plan.bridges[0].node)
		return "the first bridge is of node 0";
	for (unsigned i = 0; i < plan.nr_bridges; i++) {
		bool used = i == 0;

		for (unsigned j = 0; j < config.nr_vfio; j++)
			used |= wanted_node(j) == plan.bridges[i].node;
		if (!used || plan.bridges[i].bus != bus || buses[bus]++)
			return "bridges have buses and nodes of their own";
		bus += plan.bridges[i].buses;
	}
	return bus == plan.nr_ports + plan.nr_bridges ? NULL : "every bus is somebody's";
}

static const char *check_ports(void)
{
	for (unsigned i = 0; i < plan.nr_ports; i++) {
		const struct plan_port *p = &plan.ports[i];
		const struct span at[] = { p->io, p->mem32, p->prefetch };

		if (p->slot < 1 || p->slot > 31 || p->function > 7 || buses[p->bus]++)
			return "ports have slots and buses of their own";
		for (unsigned k = 0; k < 3; k++) {
			const char *bad = bad_place(at[k], k == 0, k == 2, bridge_of(p->bus));

			if (!at[k].base && !at[k].end)
				continue;
			if (bad)
				return bad;
			if ((at[k].base | at[k].end) & (k == 0 ? 0xfff : MIB - 1))
				return "windows have units";
			pieces[nr_pieces++] = (struct piece){ at[k], k == 0, PLAN_NO_PORT, true };
		}
	}
	return NULL;
}

static const char *check_bar(const struct plan_pci *fn, const struct plan_bar *b)
{
	if (b->shape.io && !b->at)
		return NULL; /* check_unassigned() */

	uint64_t room = b->shape.io || b->shape.size > 4096 ? b->shape.size : 4096;
	struct span at = { b->at, b->at + room }, window;
	bool high = b->shape.wide && (b->shape.prefetch || fn->port == PLAN_NO_PORT);
	const char *bad = bad_place(at, b->shape.io, high, bridge_of(fn->bus));

	if (bad)
		return bad;
	if (b->at & (b->shape.size - 1) || (!b->shape.io && b->at & 0xfff))
		return "BARs are aligned";
	if (config.has_debug_exit && b->shape.io && at.base < config.debug_exit_port + 4u &&
	    config.debug_exit_port < at.end)
		return "no BAR is on the debug-exit port";
	if (fn->port != PLAN_NO_PORT) {
		window = b->shape.io ? plan.ports[fn->port].io
			 : high	     ? plan.ports[fn->port].prefetch
				     : plan.ports[fn->port].mem32;
		if (at.base < window.base || at.end > window.end)
			return "BARs are in their port's window";
	}
	pieces[nr_pieces++] = (struct piece){ at, b->shape.io, fn->port, false };
	return NULL;
}

/* Said again, apart from pci_layout.c: two functions of one card of the host. */
static bool one_card(unsigned i, unsigned j)
{
	const struct config_vfio *a = &config.vfio[i], *b = &config.vfio[j];

	return i == j || (!memcmp(host.pci[i].name, host.pci[j].name, strlen("0000:41:00.")) &&
			  a->root_bus == b->root_bus &&
			  (a->has_node ? a->node : 0) == (b->has_node ? b->node : 0) &&
			  !host.pci[i].is_virtual && !host.pci[j].is_virtual);
}

static unsigned slot_of(const struct plan_pci *fn)
{
	return fn->port == PLAN_NO_PORT ? fn->slot : plan.ports[fn->port].slot;
}

/*
 * Cards take slots in their order, one each if all of a node find one. Else those behind ports do
 * as eight to a slot, and any order of the slots is as good as another.
 */
static unsigned wanted_slot(unsigned i)
{
	unsigned before = 0, cards = 0, mine = i;

	while (mine && !one_card(mine, i))
		mine--;
	for (unsigned j = 0; j < i; j++)
		mine = one_card(j, i) && j < mine ? j : mine;
	for (unsigned j = 0; j < host.nr_pci; j++) {
		bool first = bridge_of(plan.pci[j].bus) == bridge_of(plan.pci[i].bus);

		for (unsigned k = 0; k < j; k++)
			first = first && !one_card(k, j);
		cards += first;
		before += first && j < mine;
	}
	return cards <= 31 ? before + 1 : slot_of(&plan.pci[i]);
}

static unsigned wanted_function(unsigned i)
{
	unsigned mine = (unsigned)(host.pci[i].name[strlen("0000:41:00.")] - '0');

	if (host.pci[i].is_virtual)
		return 0;
	for (unsigned j = 0; j < host.nr_pci; j++)
		if (one_card(j, i) && strcmp(host.pci[j].name, host.pci[i].name) < 0)
			return mine;
	return 0;
}

static const char *check_devices(void)
{
	static uint8_t taken[256][32];

	memset(taken, 0, sizeof(taken));
	if (plan.nr_pci != host.nr_pci)
		return "every device is there";
	for (unsigned i = 0; i < plan.nr_ports; i++) {
		const struct plan_port *port = &plan.ports[i];
		unsigned root = plan.bridges[bridge_of(port->bus)].bus;

		if (taken[root][port->slot] >> port->function & 1)
			return "ports have places of their own";
		taken[root][port->slot] |= (uint8_t)(1u << port->function);
	}
	for (unsigned i = 0; i < plan.nr_pci; i++) {
		const struct plan_pci *fn = &plan.pci[i];
		const struct config_vfio *v = &config.vfio[i];
		const struct plan_bridge *bridge = &plan.bridges[bridge_of(fn->bus)];
		bool on_root = v->root_bus;

		if (strcmp(fn->name, host.pci[i].name) != 0 ||
		    (fn->port == PLAN_NO_PORT) != on_root || slot_of(fn) != wanted_slot(i))
			return "slots follow the order of the devices";
		if (bridge->node != wanted_node(i))
			return "a device is at its node";
		if (fn->bus != (on_root ? bridge->bus : plan.ports[fn->port].bus) ||
		    (!on_root && fn->slot))
			return "a device is on its bus";
		if (fn->function != wanted_function(i) ||
		    (taken[fn->bus][fn->slot] >> fn->function & 1))
			return "a device has the host's function, or is function 0";
		taken[fn->bus][fn->slot] |= (uint8_t)(1u << fn->function);
		for (unsigned b = 0; b < BARS_AND_ROM; b++) {
			uint64_t size = b < 6			? host.pci[i].bars[b].size
					: config.vfio[i].no_rom ? 0
								: host.pci[i].rom_size;
			const char *bad = NULL;

			if (fn->bars[b].shape.size != size)
				return "every BAR is there, with its size";
			if (size)
				bad = check_bar(fn, &fn->bars[b]);
			if (bad)
				return bad;
		}
	}
	return NULL;
}

/* Whether `size` ports at a multiple of it are nobody's, above those of the platform. */
static bool ports_left(uint64_t size)
{
	for (uint64_t at = 0x1000; at + size <= 0x10000; at += size) {
		bool taken = config.has_debug_exit && at < config.debug_exit_port + 4u &&
			     config.debug_exit_port < at + size;

		for (unsigned i = 0; i < nr_pieces; i++)
			taken |= pieces[i].io && pieces[i].port == PLAN_NO_PORT &&
				 span_overlaps(pieces[i].at, (struct span){ at, at + size });
		if (!taken)
			return true;
	}
	return false;
}

/* A BAR of I/O ports may stay unassigned, with all of its port, where there are none left. */
static const char *check_unassigned(void)
{
	for (unsigned i = 0; i < plan.nr_pci; i++) {
		const struct plan_pci *fn = &plan.pci[i];
		bool port = fn->port != PLAN_NO_PORT;
		uint64_t sum = 0;
		unsigned at = 0, off = 0;

		if (bridge_of(fn->bus))
			continue; /* has none: bad_place() */
		for (unsigned n = 0; n < plan.nr_pci * BARS_AND_ROM; n++) {
			const struct plan_pci *other = &plan.pci[n / BARS_AND_ROM];
			const struct plan_bar *bar = &other->bars[n % BARS_AND_ROM];

			if (!bar->shape.size || !bar->shape.io ||
			    (other != fn && (!port || other->port != fn->port)))
				continue;
			sum += bar->shape.size;
			at += bar->at != 0;
			off += bar->at == 0;
			if (!bar->at && !port && ports_left(bar->shape.size))
				return "BARs on bus 0 have ports while there are any";
		}
		if (port && off && (at || (sum <= 0x1000 && ports_left(0x1000))))
			return "all BARs of a device or none have ports, while there are any";
	}
	return NULL;
}

static const char *check_all(void)
{
	const char *bad;

	nr_pieces = 0;
	bad = check_bridges();
	if (!bad)
		bad = check_ports();
	if (!bad)
		bad = check_devices();
	if (!bad)
		bad = check_unassigned();
	for (unsigned i = 0; !bad && i < nr_pieces; i++)
		for (unsigned j = 0; j < i; j++)
			if (pieces[i].io == pieces[j].io && pieces[i].port == pieces[j].port &&
			    span_overlaps(pieces[i].at, pieces[j].at))
				bad = "nothing overlaps";
	if (!bad && plan_check(&plan, &err))
		bad = err.text;
	return bad;
}

static void show(void)
{
	for (unsigned i = 0; i < plan.nr_pci; i++)
		for (unsigned b = 0; b < BARS_AND_ROM; b++)
			if (plan.pci[i].bars[b].shape.size)
				print_message("%s %u %#" PRIx64 " %#" PRIx64 "\n", plan.pci[i].name,
					      b, plan.pci[i].bars[b].at,
					      plan.pci[i].bars[b].shape.size);
}

static void fits(void)
{
	const char *bad;

	memset(&plan, 0xa5, sizeof(plan));
	if (plan_build(&plan, &config, &host, &err))
		fail_msg("%s", err.text);
	bad = check_all();
	if (bad) {
		show();
		fail_msg("broken: %s", bad);
	}
}

static void does_not_fit(const char *words)
{
	assert_int_equal(plan_build(&plan, &config, &host, &err), -ERANGE);
	if (!strstr(err.text, words) || strchr(err.text, '\n'))
		fail_msg("expected '%s' in: %s", words, err.text);
}

static void at(unsigned device, unsigned bar, uint64_t want)
{
	if (plan.pci[device].bars[bar].at != want) {
		show();
		fail_msg("device %u BAR %u is not at %#" PRIx64, device, bar, want);
	}
}

/* --- worked out by hand --- */

static void test_nothing(void **state)
{
	(void)state;
	ask(GIB, &milan);
	fits();
	assert_int_equal(plan.nr_ports, 0);
	assert_int_equal(plan_buses(&plan), 1);
	assert_int_equal(map_total(&plan.map, MAP_PCI64), 64 * GIB);
}

/* Ports and root bus: slots, buses, pins. */
static void test_slots(void **state)
{
	(void)state;
	ask(GIB, &milan);
	for (unsigned i = 0; i < 4; i++)
		add_nic();
	config.vfio[1].root_bus = true;
	fits();
	assert_int_equal(plan.nr_ports, 3);
	assert_int_equal(plan_buses(&plan), 4);
	assert_int_equal(plan.ports[0].slot, 1);
	assert_int_equal(plan.pci[1].slot, 2);
	assert_int_equal(plan.ports[1].slot, 3);
	assert_int_equal(plan.pci[2].bus, 2);
	/* On bus 0 pins turn with the slot; behind a port they are the port's. */
	assert_int_equal(plan_pci_gsi(&plan, &plan.pci[0], 0), 17);
	assert_int_equal(plan_pci_gsi(&plan, &plan.pci[0], 3), 20);
	assert_int_equal(plan_pci_gsi(&plan, &plan.pci[1], 0), 18);
	assert_int_equal(plan_pci_gsi(&plan, &plan.pci[3], 1), 21);
	/* I/O: a unit of 4 KiB for each port, the one on bus 0 in what is left. */
	assert_int_equal(plan.ports[0].io.base, 0x1000);
	assert_int_equal(plan.ports[2].io.end, 0x4000);
	at(1, 2, 0x4000);
}

/* A BAR goes where its bridge can lead. */
static void test_spaces(void **state)
{
	struct host_pci *d;

	(void)state;
	ask(GIB, &milan);
	for (unsigned i = 0; i < 2; i++) {
		d = add_device();
		d->bars[0] = MEM64(MIB);
		d->bars[2] = PREF64(MIB);
		d->bars[4] = PREF32(MIB);
	}
	config.vfio[1].root_bus = true;
	fits();
	assert_true(plan.pci[0].bars[0].at < 4 * GIB);
	assert_true(plan.pci[0].bars[2].at >= 4 * GIB);
	assert_true(plan.pci[0].bars[4].at < 4 * GIB);
	assert_true(plan.pci[1].bars[0].at >= 4 * GIB);
	assert_true(plan.pci[1].bars[2].at >= 4 * GIB);
	assert_true(plan.pci[1].bars[4].at < 4 * GIB);
	/* A ROM that is not shown takes nothing. */
	ask(GIB, &milan);
	add_nic();
	config.vfio[0].no_rom = true;
	fits();
	assert_int_equal(plan.pci[0].bars[BAR_ROM].shape.size, 0);
}

/* Eight of 128 GiB beside 1.5 TiB on AMD: neighbours share the slack, twelve units for eight. */
static void test_eight_gpus(void **state)
{
	uint64_t first = 1664 * GIB; /* RAM ends at 1549 GiB */

	(void)state;
	ask(1536 * GIB, &milan);
	for (unsigned i = 0; i < 8; i++)
		add_gpu(128 * GIB);
	fits();
	at(0, 2, first);
	at(0, 4, first + 128 * GIB);
	at(0, 0, first + 128 * GIB + 32 * MIB);
	at(1, 0, first + 256 * GIB - 48 * MIB);
	at(1, 4, first + 256 * GIB - 32 * MIB);
	at(1, 2, first + 256 * GIB);
	at(2, 2, first + 384 * GIB);
	at(7, 2, first + 11 * 128 * GIB);
	assert_int_equal(map_total(&plan.map, MAP_PCI64), 12 * 128 * GIB);
	assert_int_equal(plan.map.bits_required, 42);
}

/* The case of FACTS.md: 384 GiB and four such BARs, which reach the hole below 1 TiB. */
static void test_around_the_hole(void **state)
{
	(void)state;
	ask(384 * GIB, &milan);
	for (unsigned i = 0; i < 4; i++)
		add_gpu(128 * GIB);
	fits();
	at(0, 2, 512 * GIB);
	at(1, 2, 768 * GIB);
	at(2, 2, TIB);
}

static void test_mixed_sizes(void **state)
{
	(void)state;
	/* Large ones first, whatever the order of the options. */
	ask(GIB, &milan);
	add_gpu(256 * MIB);
	add_gpu(32 * GIB);
	fits();
	at(1, 2, 32 * GIB);
	/* The default window is kept while it is large enough. */
	assert_int_equal(map_total(&plan.map, MAP_PCI64), 64 * GIB);
	/* A smaller wish than the need is made larger. */
	config.pci64_size = GIB;
	fits();
	assert_int_equal(map_total(&plan.map, MAP_PCI64), 64 * GIB);
}

/* Low RAM gives way to 32-bit BARs, down to 1 GiB. */
static void test_low_bars(void **state)
{
	struct host_pci *d;

	(void)state;
	ask(8 * GIB, &milan);
	d = add_device();
	d->bars[0] = MEM32(GIB);
	fits();
	at(0, 0, 2 * GIB);
	d->bars[1] = MEM32(2 * GIB);
	does_not_fit("0000:01:00.0: no aligned place for BAR 1, 2 GiB (3 GiB with what else lies "
		     "behind");
	does_not_fit("that all devices share: use no --vfio 0000:01:00.0");
	d->bars[1] = MEM32(0);
	config.low_memory = 3 * GIB;
	does_not_fit("that all devices share: use --low-memory 2G or no --vfio 0000:01:00.0");
	config.low_memory = 2 * GIB;
	fits();
	/* Nine fit in 2.5 GiB and the rest above ECAM, the tenth only without what its ROM takes.
	 */
	ask(8 * GIB, &milan);
	for (unsigned i = 0; i < 10; i++) {
		d = add_device();
		d->bars[0] = MEM32(256 * MIB);
		d->rom_size = 64 * KIB;
	}
	/* One ROM less is not enough. */
	does_not_fit("use port=off for every --vfio, rom=off for every --vfio or only the "
		     "first 6 of --vfio");
	for (unsigned i = 1; i < 10; i++)
		config.vfio[i].no_rom = true;
	does_not_fit("use --vfio 0000:01:00.0,port=off, --vfio 0000:01:00.0,rom=off or "
		     "no --vfio 0000:0a:00.0");
	for (unsigned i = 0; i < 10; i++)
		config.vfio[i].no_rom = true;
	fits();
	/* What a port cannot lead to, bus 0 can. */
	ask(8 * GIB, &milan);
	add_device()->bars[0] = MEM64(16 * GIB);
	does_not_fit("use --vfio 0000:01:00.0,port=off or no --vfio");
	config.vfio[0].root_bus = true;
	fits();
}

static void test_io(void **state)
{
	(void)state;
	ask(GIB, &milan);
	for (unsigned i = 0; i < 16; i++)
		add_nic();
	fits(); /* the last has none: 15 windows of 4 KiB are all there is */
	at(14, 2, 0xf000);
	at(15, 2, 0);
	assert_true(span_empty(plan.ports[15].io));
	config.vfio[3].root_bus = config.vfio[4].root_bus = true;
	fits();
	assert_int_not_equal(plan.pci[15].bars[2].at, 0);
	config.has_debug_exit = true;
	config.debug_exit_port = 0x1000;
	fits();
	assert_int_equal(plan.ports[0].io.base, 0x2000);
}

/* Up to 31 have a slot each; one more, and all ports share slots. */
static void test_full_bus(void **state)
{
	(void)state;
	ask(GIB, &milan);
	for (unsigned i = 0; i < 31; i++)
		add_gpu(256 * MIB);
	fits();
	assert_int_equal(plan.ports[30].slot, 31);
	assert_int_equal(plan_port_number(&plan, &plan.ports[30]), 31);
	add_gpu(256 * MIB);
	config.vfio[3].root_bus = true;
	fits();
	assert_int_equal(plan.ports[30].slot, 5);
	assert_int_equal(plan.ports[30].function, 6);
	assert_int_equal(plan_port_number(&plan, &plan.ports[30]), 6 * 32 + 5);
	assert_int_equal(plan.pci[3].slot, 2); /* after the slot that the first ports share */
	assert_int_equal(plan_pci_gsi(&plan, &plan.pci[31], 0), 16 + 5);
	while (host.nr_pci < PCI_DEVICES_MAX)
		add_gpu(256 * MIB);
	fits();
	config.spare_ports = 1;
	does_not_fit("128 devices and 1 spare ports are too many");
	config.spare_ports = 0;
	for (unsigned i = 0; i < 32; i++)
		config.vfio[i].root_bus = true;
	does_not_fit("32 devices with port=off are on one bus, which has slots for 19 beside "
		     "others: leave port=off out");
	/* What is described wrongly is not placed. */
	ask(GIB, &milan);
	add_gpu(256 * MIB);
	add_gpu(256 * MIB);
	host.pci[0].bars[0].size = 3 * MIB;
	assert_int_equal(plan_build(&plan, &config, &host, &err), -EINVAL);
	assert_non_null(strstr(err.text, "0000:01:00.0: BAR 0 has 0x300000 bytes"));
	host.nr_pci = 1;
	assert_int_equal(plan_build(&plan, &config, &host, &err), -EINVAL);
}

/* Emulated devices share slots only if ports that do so do not suffice. */
static void test_shared_by_own(void **state)
{
	(void)state;
	ask(GIB, &milan);
	for (unsigned i = 0; i < 40; i++)
		add_gpu(256 * MIB);
	for (unsigned i = 0; i < 27; i++) {
		struct host_pci *d = &host.pci[host.nr_pci++];

		*d = (struct host_pci){ .kind = DEVICE_DISK, .index = i, .node = -1 };
		d->bars[0] = MEM64(32 * KIB);
		snprintf(d->name, sizeof(d->name), "disk%u", i);
	}
	host.nr_pci--;
	assert_int_equal(plan_build(&plan, &config, &host, &err), 0);
	assert_int_equal(plan_check(&plan, &err), 0);
	assert_int_equal(plan.pci[65].slot, 31);
	assert_int_equal(plan.pci[65].function, 0);
	host.nr_pci++;
	assert_int_equal(plan_build(&plan, &config, &host, &err), 0);
	assert_int_equal(plan_check(&plan, &err), 0);
	assert_int_equal(plan.pci[66].slot, 9);
	assert_int_equal(plan.pci[66].function, 2);
}

/* Functions of a card stay together, whatever the order in which they are named. */
static void test_cards(void **state)
{
	static const char *const names[] = { "0000:41:00.1", "0000:42:00.1", "0000:41:00.0",
					     "0000:42:00.3", "0000:43:10.0", "0000:43:10.1" };

	(void)state;
	ask(GIB, &milan);
	for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
		add_nic();
		memcpy(host.pci[i].name, names[i], strlen(names[i]) + 1);
		host.pci[i].is_virtual = i >= 4;
	}
	fits();
	assert_int_equal(plan.nr_ports, 4);
	assert_int_equal(plan.pci[0].port, 0);
	assert_int_equal(plan.pci[0].function, 1);
	assert_int_equal(plan.pci[2].port, 0);
	assert_int_equal(plan.pci[2].function, 0);
	/* Without the host's function 0 the lowest one is function 0. */
	assert_int_equal(plan.pci[1].port, 1);
	assert_int_equal(plan.pci[1].function, 0);
	assert_int_equal(plan.pci[3].port, 1);
	assert_int_equal(plan.pci[3].function, 3);
	/* Virtual functions are cards of their own. */
	assert_int_equal(plan.pci[4].port, 2);
	assert_int_equal(plan.pci[5].port, 3);
	assert_int_equal(plan.pci[5].function, 0);
	/* One window holds them all. */
	assert_int_equal(span_size(plan.ports[0].io), 0x1000);
	at(2, 2, plan.pci[0].bars[2].at + 32);
	config.vfio[0].root_bus = config.vfio[2].root_bus = true;
	fits();
	assert_int_equal(plan.nr_ports, 3);
	assert_int_equal(plan.pci[2].slot, 1);
	assert_int_equal(plan.pci[0].slot, 1);
	assert_int_equal(plan.pci[0].function, 1);
}

/* Without node=, a device is where the guest's RAM of the device's node of the host is. */
static void test_node_of_host(void **state)
{
	(void)state;
	ask(16 * GIB, &milan);
	config.nr_nodes = 4;
	for (unsigned i = 0; i < 4; i++) {
		config.nodes[i] =
			(struct config_node){ .size = 4 * GIB, .bound = i > 0, .host = 5 - i / 2 };
		add_gpu(GIB);
		host.pci[i].node = i < 3 ? (int)i + 3 : -1;
	}
	config.cpus = config.cores = 4;
	config.vfio[1].has_node = true; /* of node 4, which is the guest's 2 and 3 */
	config.vfio[1].node = 3;
	fits();
	assert_int_equal(plan.nr_bridges, 3);
	assert_int_equal(plan.bridges[plan_bridge_of(&plan, plan.pci[0].bus)].node, 0);
	assert_int_equal(plan.bridges[plan_bridge_of(&plan, plan.pci[1].bus)].node, 3);
	assert_int_equal(plan.bridges[plan_bridge_of(&plan, plan.pci[2].bus)].node, 1);
	assert_int_equal(plan.bridges[plan_bridge_of(&plan, plan.pci[3].bus)].node, 0);
	config.vfio[1].has_node = false;
	fits();
	assert_int_equal(plan.bridges[plan_bridge_of(&plan, plan.pci[1].bus)].node, 2);
}

/* A host bridge for each node that has devices, with buses and windows of its own. */
static void test_nodes(void **state)
{
	struct span spans[4];

	(void)state;
	ask(16 * GIB, &milan);
	config.nr_nodes = 4;
	for (unsigned i = 0; i < 4; i++) {
		config.nodes[i].size = 4 * GIB;
		add_gpu(GIB);
		config.vfio[i].has_node = i != 3;
		config.vfio[i].node = 3 - i;
	}
	config.cpus = config.cores = 4;
	add_nic();
	config.vfio[4].has_node = true;
	config.vfio[4].node = 3;
	fits();
	assert_int_equal(plan.nr_bridges, 4);
	assert_int_equal(plan_buses(&plan), 9);
	assert_int_equal(plan.pci[3].bus, 1); /* without node= */
	assert_int_equal(plan.bridges[1].bus, 2);
	assert_int_equal(plan.pci[2].bus, 3);
	assert_int_equal(plan.bridges[3].bus, 6);
	assert_int_equal(plan.bridges[3].node, 3);
	assert_int_equal(plan.bridges[3].buses, 3);
	assert_int_equal(plan.pci[0].bus, 7);
	assert_int_equal(plan.pci[4].bus, 8);
	assert_int_equal(plan_port_number(&plan, &plan.ports[3]), 256 + 7);
	at(4, 2, 0);
	assert_int_equal(plan_bridge_windows(&plan, 3, MAP_PCI64, spans, 4), 1);
	assert_int_equal(spans[0].base % GIB, 0);
	assert_true(span_holds(spans[0], plan.pci[0].bars[2].at, GIB));
	assert_int_equal(plan_bridge_windows(&plan, 1, MAP_PCI32, spans, 4), 0);
	/* Only node 3 */
	config.vfio[0].has_node = config.vfio[1].has_node = config.vfio[2].has_node = false;
	fits();
	assert_int_equal(plan.nr_bridges, 2);
	assert_int_equal(plan.bridges[1].node, 3);
	assert_int_equal(plan.bridges[1].bus, 5);
}

/* An IOMMU of 39 bits: BARs stay below 512 GiB, and what cannot is refused with the reason. */
static void test_narrow(void **state)
{
	struct host_facts narrow = { .vendor = HOST_INTEL, .family = 6, .phys_bits = 46 };

	(void)state;
	narrow.usable[0] = (struct span){ 0, 0xfee00000 };
	narrow.usable[1] = (struct span){ 0xfef00000, 512 * GIB };
	narrow.nr_usable = 2;
	ask(200 * GIB, &narrow);
	add_gpu(64 * GIB);
	add_gpu(64 * GIB);
	fits();
	at(0, 2, 256 * GIB);
	at(1, 2, 384 * GIB);
	add_gpu(64 * GIB);
	does_not_fit("addresses end at 0x8000000000");
	assert_non_null(strstr(err.text, "beyond the 39 address bits of the host's IOMMU"));
	assert_non_null(strstr(err.text, "no --vfio 0000:03:00.0"));
	/* RAM alone */
	ask(512 * GIB, &narrow);
	does_not_fit("beyond the 39 address bits of the host's IOMMU");
	/* The default window takes what is left; one that was asked for must be whole. */
	ask(500 * GIB, &narrow);
	fits();
	assert_int_equal(map_total(&plan.map, MAP_PCI64), 11 * GIB);
	config.pci64_size = 12 * GIB;
	does_not_fit("use --pci64-window 11G, --iova-policy vendor or --memory 499G");
	/* Under the other policies nobody asked. */
	ask(512 * GIB, &narrow);
	config.iova_policy = IOVA_VENDOR;
	fits();
}

/* Twice the same plan; a device more does not move the slots before it. */
static void test_stable(void **state)
{
	static struct plan before;

	(void)state;
	ask(1536 * GIB, &milan);
	for (unsigned i = 0; i < 5; i++)
		add_gpu((uint64_t)GIB << i);
	fits();
	before = plan;
	fits();
	assert_memory_equal(&before.pci, &plan.pci, sizeof(plan.pci));
	assert_memory_equal(&before.ports, &plan.ports, sizeof(plan.ports));
}

/* --- random worlds --- */

static uint64_t seed;

static uint64_t rnd(uint64_t below)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed % below;
}

static void random_device(unsigned max_shift)
{
	struct host_pci *d = add_device();

	for (unsigned b = 0; b < BARS; b++) {
		struct bar_shape *bar = &d->bars[b];

		switch (rnd(6)) {
		case 0:
			*bar = IO(UINT64_C(1) << (2 + rnd(7)));
			break;
		case 1:
			*bar = MEM32(UINT64_C(1) << (4 + rnd(22)));
			break;
		case 2:
			*bar = PREF32(UINT64_C(1) << (4 + rnd(22)));
			break;
		case 3:
		case 4:
			if (b + 1 < BARS) {
				*bar = PREF64(UINT64_C(1) << (4 + rnd(max_shift - 4)));
				if (rnd(4) == 0)
					*bar = MEM64(UINT64_C(1) << (4 + rnd(20)));
				b++;
			}
			break;
		}
	}
	if (rnd(2))
		d->rom_size = UINT64_C(1) << (11 + rnd(8));
	config.vfio[config.nr_vfio - 1].root_bus = rnd(3) == 0;
	config.vfio[config.nr_vfio - 1].no_rom = rnd(3) == 0;
	if (config.nr_nodes) {
		config.vfio[config.nr_vfio - 1].has_node = rnd(3) != 0;
		config.vfio[config.nr_vfio - 1].node = rnd(config.nr_nodes);
	}
	/* Now and then another function of the device before, of all their nodes and places. */
	if (rnd(3) == 0 && config.nr_vfio > 1 && d[-1].name[11] < '7') {
		memcpy(d->name, d[-1].name, sizeof(d->name));
		d->name[11]++;
		if (rnd(2))
			config.vfio[config.nr_vfio - 1] = config.vfio[config.nr_vfio - 2];
	}
	d->is_virtual = rnd(8) == 0;
}

static void random_world(void)
{
	struct host_facts on = milan;
	unsigned n = 1 + rnd(rnd(4) ? 6 : 50), max_shift = 20 + rnd(21);

	if (rnd(2))
		on = (struct host_facts){ .vendor = HOST_INTEL,
					  .family = 6,
					  .phys_bits = 39 + rnd(8) };
	for (unsigned i = rnd(4) * rnd(8); i; i--) {
		uint64_t base = rnd(3) ? rnd(4 * TIB) : 0xc0000000 + rnd(GIB);

		on.resv[on.nr_resv++] =
			(struct host_resv){ { base, base + (UINT64_C(1) << rnd(36)) },
					    HOST_RESV_RESERVED,
					    (unsigned)rnd(3) };
	}
	if (rnd(4) == 0) {
		uint64_t hole = rnd(TIB);

		on.usable[0] = (struct span){ 0, hole };
		on.usable[1] = (struct span){ hole + rnd(GIB), (UINT64_C(1) << (41 + rnd(5))) };
		on.nr_usable = 2;
	}
	ask((1 + rnd(2048)) * (rnd(2) ? GIB : 2 * MIB), &on);
	if (rnd(4) == 0) {
		config.has_debug_exit = true;
		config.debug_exit_port = (uint16_t)rnd(0x10000 - 4);
	}
	if (rnd(4) == 0)
		config.pci64_size = rnd(256) * GIB;
	if (rnd(8) == 0)
		config.low_memory = 2 * MIB * (1 + rnd(1536));
	if (rnd(3) == 0) {
		unsigned nodes = 1 + rnd(4);
		uint64_t each = align_up(config.memory / nodes, 2 * MIB);

		config.nr_nodes = config.cpus = config.cores = nodes;
		config.memory = each * config.nr_nodes;
		for (unsigned i = 0; i < config.nr_nodes; i++)
			config.nodes[i].size = each;
	}
	while (n--)
		random_device(max_shift);
}

static void test_random(void **state)
{
	unsigned fitting = 0;

	(void)state;
	seed = RANDOM_SEED;
	for (unsigned i = 0; i < RANDOM_CASES; i++) {
		uint64_t start = seed;
		const char *bad = NULL;
		int ret;

		random_world();
		ret = plan_build(&plan, &config, &host, &err);
		if (ret == 0)
			bad = check_all();
		if (bad || (ret && (ret != -ERANGE || !err.text[0]))) {
			show();
			fail_msg("case %u (seed %#" PRIx64 "): %s", i, start, bad ? bad : err.text);
		}
		fitting += ret == 0;
	}
	/* The worlds are not all impossible. */
	assert_in_range(fitting, RANDOM_CASES / 4, RANDOM_CASES - RANDOM_CASES / 50);
}

/* --- broken layouts --- */

static void broken(const char *words)
{
	err.text[0] = '\0';
	if (plan_pci_check(&plan, &err) != -EINVAL)
		fail_msg("accepted, not refused for '%s'", words);
	if (!strstr(err.text, words))
		fail_msg("expected '%s' in: %s", words, err.text);
}

/* Two GPUs and a NIC behind ports, a NIC on bus 0. */
static void sound(void)
{
	ask(GIB, &milan);
	add_gpu(GIB);
	add_gpu(GIB);
	add_nic();
	add_nic();
	config.vfio[3].root_bus = true;
	fits();
	assert_int_equal(plan_pci_check(&plan, &err), 0);
}

#define BREAK(statement, words) \
	do {                    \
		sound();        \
		statement;      \
		broken(words);  \
	} while (0)

static void test_broken(void **state)
{
	struct plan_bar *const bars = plan.pci[0].bars;

	(void)state;
	BREAK(plan.nr_pci = PCI_DEVICES_MAX + 1, "more than 128");
	BREAK(plan.ports[1].bus = 1, "root port 1");
	BREAK(plan.ports[1].link_speed = 4, "root port 1 has a link of half a shape");
	BREAK(plan.nr_ports = 2, "buses");
	BREAK((plan.nr_ports = 2, plan.bridges[0].buses = 3), "on bus 3, slot 0");
	BREAK(plan.pci[1].port = 0, "on bus 2, slot 0");
	BREAK(plan.pci[1].kind = DEVICE_DISK, "is behind a root port, where only");
	BREAK((plan.pci[1].port = 0, plan.pci[1].bus = 1), "outside of the window");
	BREAK(plan.ports[1].slot = 1, "function 0 of slot 1");
	BREAK(plan.ports[1].function = 1, "slot 2 of bus 0 has no function 0");
	BREAK(plan.ports[1].function = 8, "function 8");
	BREAK(plan.pci[0].function = 1, "slot 0 of bus 1 has no function 0");
	BREAK((plan.ports[1].slot = 0, plan.ports[1].function = 1), "function 1 of slot 0");
	BREAK(plan.ports[1].slot = 0, "slot 0");
	BREAK(plan.ports[1].slot = 32, "slot 32");
	BREAK(plan.pci[3].slot = 2, "slot 2");
	BREAK(plan.pci[3].bus = 1, "on bus 1");
	BREAK(plan.pci[0].slot = 1, "on bus 1, slot 1");
	BREAK(plan.ports[0].io = ((struct span){ 0, 0x1000 }), "cannot forward");
	BREAK(plan.ports[2].io.end += 0x800, "cannot forward");
	BREAK(plan.ports[2].io = ((struct span){ 0xf000, 0x11000 }), "cannot forward");
	BREAK(plan.ports[0].prefetch.end = UINT64_MAX - MIB + 1, "cannot forward");
	BREAK(plan.ports[0].prefetch.base += 0x1000, "cannot forward");
	BREAK(plan.ports[0].prefetch.base = plan.ports[0].prefetch.end, "cannot forward");
	BREAK(plan.ports[2].mem32 = ((struct span){ 0xe0000000, 0xe0100000 }), "cannot forward");
	BREAK(plan.ports[2].mem32 = ((struct span){ 0x100000, 0x200000 }), "cannot forward");
	BREAK(plan.ports[0].prefetch = plan.ports[1].prefetch, "outside of the window");
	BREAK(plan.ports[0].prefetch.end += 2 * GIB, "overlap");
	BREAK(plan.ports[0].prefetch = ((struct span){ 0, 0 }), "outside of the window");
	BREAK(bars[2].at += MIB, "not aligned");
	BREAK(bars[2].at += GIB, "outside of the window");
	BREAK(bars[0].at = bars[2].at, "overlap");
	BREAK(bars[0].at = UINT64_C(0xffffffffff000000), "not aligned");
	BREAK(bars[0].shape.size = 3, "not a power of two");
	BREAK(bars[0].shape.size = 8, "too small");
	BREAK(bars[0].shape.size = UINT64_C(1) << 63, "too large");
	BREAK(bars[1] = bars[0], "upper half");
	BREAK(bars[BAR_ROM] = bars[0], "ROM");
	BREAK(bars[0].shape.prefetch = false, "outside of the window");
	BREAK(plan.pci[2].bars[2].shape.wide = true, "I/O and memory");
	BREAK(plan.pci[3].bars[2].at = plan.ports[2].io.base, "overlap");
	BREAK(plan.pci[3].bars[2].at = 0xcf8, "not aligned");
	BREAK(plan.pci[3].bars[2].at = 0xce0, "outside of the window");
	BREAK(memcpy(plan.pci[1].name, plan.pci[0].name, HOST_PCI_NAME), "twice");
	BREAK(plan.pci[1].name[0] = 0, "no name");
	BREAK(plan.nr_bridges = 0, "0 PCI host bridges");
	BREAK(plan.nr_bridges = NODES_MAX + 1, "65 PCI host bridges");
	BREAK(plan.bridges[0].node = 1, "nodes rise from 0");
	BREAK(plan.bridges[0].bus = 1, "buses follow one another");
	BREAK((plan.nr_nodes = plan.nr_bridges = 2,
	       plan.bridges[1] = (struct plan_bridge){ 1, 4, 1 }, plan.map.regions[1].node = 2),
	      "host bridge 2 of 2");
	/* A second bridge, of no bus that there is, of no node, and with another's windows. */
	BREAK((plan.nr_nodes = plan.nr_bridges = 2,
	       plan.bridges[1] = (struct plan_bridge){ 1, 3, 1 }),
	      "host bridge 1");
	BREAK((plan.nr_bridges = 2, plan.bridges[1] = (struct plan_bridge){ 1, 4, 1 }), "node 1");
	BREAK((plan.nr_nodes = plan.nr_bridges = 2, plan.bridges[0].buses = 3,
	       plan.bridges[1] = (struct plan_bridge){ 1, 3, 2 }, plan.ports[2].bus = 4),
	      "cannot forward");
}

/* --- a plan file on this host --- */

static void test_other_devices(void **state)
{
	(void)state;
	sound();
	assert_int_equal(plan_check_host(&plan, &host, &err), 0);
	host.nr_pci = 3;
	assert_int_equal(plan_check_host(&plan, &host, &err), -EINVAL);
	assert_non_null(strstr(err.text, "the plan has 0000:04:00.0; add --vfio 0000:04:00.0"));
	host.nr_pci = 4;
	plan.nr_pci = 3;
	assert_int_equal(plan_check_host(&plan, &host, &err), -EINVAL);
	assert_non_null(strstr(err.text, "--vfio 0000:04:00.0 is not in the plan"));
	sound();
	host.pci[1] = host.pci[3];
	assert_int_equal(plan_check_host(&plan, &host, &err), -EINVAL);
	assert_non_null(strstr(err.text,
			       "device 1 of the plan is 0000:02:00.0, but the command line says"));
	sound();
	host.pci[1].bars[2].size *= 2;
	assert_int_equal(plan_check_host(&plan, &host, &err), -EINVAL);
	assert_non_null(strstr(err.text, "0000:02:00.0 has another BAR 2"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing),		cmocka_unit_test(test_slots),
		cmocka_unit_test(test_spaces),		cmocka_unit_test(test_eight_gpus),
		cmocka_unit_test(test_around_the_hole), cmocka_unit_test(test_mixed_sizes),
		cmocka_unit_test(test_low_bars),	cmocka_unit_test(test_io),
		cmocka_unit_test(test_full_bus),	cmocka_unit_test(test_narrow),
		cmocka_unit_test(test_stable),		cmocka_unit_test(test_random),
		cmocka_unit_test(test_broken),		cmocka_unit_test(test_other_devices),
		cmocka_unit_test(test_shared_by_own),	cmocka_unit_test(test_cards),
		cmocka_unit_test(test_node_of_host),	cmocka_unit_test(test_nodes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
