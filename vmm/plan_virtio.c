#include "vmm/plan_virtio.h"

#include "vmm/platform.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

unsigned plan_nr_virtio(const struct config *c)
{
	return c->nr_disks + c->nr_nets + c->rng + !!c->vsock_cid;
}

static void add(struct host_facts *facts, const char *kind, int number)
{
	struct host_pci *d = &facts->pci[facts->nr_pci++];

	*d = (struct host_pci){
		.node = -1,
		.bars = { { .size = VIRTIO_BAR_SIZE, .wide = true } },
	};
	if (number < 0)
		snprintf(d->name, sizeof(d->name), "%s", kind);
	else
		snprintf(d->name, sizeof(d->name), "%s%d", kind, number);
}

int plan_add_virtio(struct host_facts *facts, const struct config *c, struct err *err)
{
	if (facts->nr_pci + plan_nr_virtio(c) > HOST_PCI_MAX)
		return err_set(
			err, ERANGE,
			"%u virtio and %u passed-through devices are more than bus 0 has slots "
			"for: %u",
			plan_nr_virtio(c), facts->nr_pci, HOST_PCI_MAX);
	for (unsigned i = 0; i < c->nr_disks; i++)
		add(facts, "disk", (int)i);
	for (unsigned i = 0; i < c->nr_nets; i++)
		add(facts, "net", (int)i);
	if (c->rng)
		add(facts, "rng", -1);
	if (c->vsock_cid)
		add(facts, "vsock", -1);
	return 0;
}
