#include "vmm/plan/devices.h"

#include "vmm/base/platform.h"

#include <errno.h>
#include <stdio.h>

static unsigned count(const struct config *c, enum virtio_kind kind)
{
	switch (kind) {
	case VIRTIO_DISK:
		return c->nr_disks;
	case VIRTIO_NET:
		return c->nr_nets;
	case VIRTIO_FS:
		return c->nr_fs;
	case VIRTIO_PMEM:
		return c->nr_pmem;
	case VIRTIO_CONSOLE:
		return c->console.kind != SERIAL_NONE;
	case VIRTIO_RNG:
		return c->rng;
	case VIRTIO_BALLOON:
		return c->has_balloon;
	case VIRTIO_VSOCK:
		return c->vsock_cid != 0;
	case VIRTIO_KINDS:
		break;
	}
	return 0;
}

unsigned plan_nr_virtio(const struct config *c)
{
	unsigned n = 0;

	for (unsigned kind = 0; kind < VIRTIO_KINDS; kind++)
		n += count(c, kind);
	return n;
}

struct plan_virtio plan_virtio_at(const struct config *c, unsigned i)
{
	unsigned kind = 0;

	while (i >= count(c, kind))
		i -= count(c, kind++);
	return (struct plan_virtio){ kind, i };
}

/* What there can be several of has a number. */
static const struct {
	const char *name;
	bool numbered;
} kinds[VIRTIO_KINDS] = {
	[VIRTIO_DISK] = { "disk", true },
	[VIRTIO_NET] = { "net", true },
	[VIRTIO_FS] = { "fs", true },
	[VIRTIO_PMEM] = { "pmem", true },
	[VIRTIO_CONSOLE] = { "console", false },
	[VIRTIO_RNG] = { "rng", false },
	[VIRTIO_BALLOON] = { "balloon", false },
	[VIRTIO_VSOCK] = { "vsock", false },
};

static void add(struct host_facts *facts, struct plan_virtio v)
{
	struct host_pci *d = &facts->pci[facts->nr_pci++];

	*d = (struct host_pci){
		.node = -1,
		.bars = { { .size = VIRTIO_BAR_SIZE, .wide = true } },
	};
	if (kinds[v.kind].numbered)
		snprintf(d->name, sizeof(d->name), "%s%u", kinds[v.kind].name, v.index);
	else
		snprintf(d->name, sizeof(d->name), "%s", kinds[v.kind].name);
}

static void add_watchdog(struct host_facts *facts)
{
	struct host_pci *d = &facts->pci[facts->nr_pci++];

	*d = (struct host_pci){ .node = -1, .bars = { { .size = WATCHDOG_BAR } } };
	snprintf(d->name, sizeof(d->name), PLAN_WATCHDOG);
}

int plan_add_virtio(struct host_facts *facts, const struct config *c, struct err *err)
{
	unsigned n = plan_nr_virtio(c);

	if (facts->nr_pci + n + c->watchdog > PCI_DEVICES_MAX)
		return err_set(
			err, ERANGE,
			"%u emulated and %u passed-through devices are more than bus 0 has slots "
			"for: %u",
			n + c->watchdog, facts->nr_pci, PCI_DEVICES_MAX);
	for (unsigned i = 0; i < n; i++)
		add(facts, plan_virtio_at(c, i));
	if (c->watchdog)
		add_watchdog(facts);
	return 0;
}
