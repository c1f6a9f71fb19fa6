/*
 * The header and BARs of every PCI function, and the host bridge, which finds the function that an
 * access addresses. vCPUs come through the bus, to `ecam` and `ports`; init functions and
 * unplugging call the other functions. Changes only configuration bytes and calls the ops of
 * functions.
 */
#include "devices/pci.h"

#include "vmm/base/limits.h"

#include <linux/pci_regs.h>
#include <string.h>

/* Type 0 header, PCI Local Bus 3.0 section 6.1; type 1 header, PCI-to-PCI Bridge 1.2 section 3.2 */
#define COMMAND_WRITABLE 0x0547 /* I/O, memory, bus master, parity, SERR, INTx disable */
#define STATUS_CLEARS	 0xf900

#define PORTS_END 0x10000

/* --- a function --- */

void pci_function_init(struct pci_function *fn, const struct pci_ops *ops,
		       const struct pci_identity *id)
{
	struct pci_config *c = &fn->config;

	*fn = (struct pci_function){ .ops = ops };
	pci_config_init(c);
	pci_config_set(c, PCI_VENDOR_ID, 2, id->vendor);
	pci_config_set(c, PCI_DEVICE_ID, 2, id->device);
	pci_config_set(c, PCI_REVISION_ID, 4, id->class << 8 | id->revision);
	pci_config_set(c, PCI_HEADER_TYPE, 1, id->header);
	pci_config_set(c, PCI_INTERRUPT_PIN, 1, id->pin);
	pci_config_allow(c, PCI_COMMAND, 2, COMMAND_WRITABLE);
	pci_config_allow_clear(c, PCI_STATUS, 2, STATUS_CLEARS);
	pci_config_allow(c, PCI_CACHE_LINE_SIZE, 1, 0xff);
	pci_config_allow(c, PCI_INTERRUPT_LINE, 1, 0xff);
	if (id->header == 0)
		pci_config_set(c, PCI_SUBSYSTEM_VENDOR_ID, 4,
			       id->subsystem_vendor | (uint32_t)id->subsystem << 16);
}

static unsigned bar_offset(const struct pci_function *fn, unsigned bar)
{
	if (bar != BAR_ROM)
		return PCI_BASE_ADDRESS_0 + 4 * bar;
	return fn->config.state.data[PCI_HEADER_TYPE] & 0x7f ? PCI_ROM_ADDRESS1 : PCI_ROM_ADDRESS;
}

static uint32_t bar_flags(const struct bar_shape *b, unsigned bar)
{
	if (bar == BAR_ROM)
		return 0;
	if (b->io)
		return PCI_BASE_ADDRESS_SPACE_IO;
	return (b->wide ? PCI_BASE_ADDRESS_MEM_TYPE_64 : 0) |
	       (b->prefetch ? PCI_BASE_ADDRESS_MEM_PREFETCH : 0);
}

/* Address bits below the size are read-only, because the guest sizes a BAR by writing all ones. */
void pci_function_add_bar(struct pci_function *fn, unsigned bar, const struct bar_shape *shape,
			  uint64_t at)
{
	unsigned offset = bar_offset(fn, bar);
	uint64_t writable = ~(shape->size - 1);

	fn->bars[bar] = (struct pci_bar){ .shape = *shape };
	pci_config_set(&fn->config, offset, 4, (uint32_t)at | bar_flags(shape, bar));
	pci_config_allow(&fn->config, offset, 4,
			 (uint32_t)writable | (bar == BAR_ROM ? PCI_ROM_ADDRESS_ENABLE : 0));
	if (shape->wide) {
		pci_config_set(&fn->config, offset + 4, 4, (uint32_t)(at >> 32));
		pci_config_allow(&fn->config, offset + 4, 4, (uint32_t)(writable >> 32));
	}
}

/*
 * Returns the addresses that a BAR decodes by its registers; empty if the BAR is not decoded.
 * Address 0 counts as not assigned, as in Linux.
 */
static struct span bar_decoded(const struct pci_function *fn, unsigned bar)
{
	const struct pci_bar *b = &fn->bars[bar];
	unsigned offset = bar_offset(fn, bar);
	uint32_t command = pci_config_get(&fn->config, PCI_COMMAND, 2);
	uint64_t end = b->shape.io ? PORTS_END : ADDRESS_SPACE_END;
	uint64_t at;

	if (!b->shape.size || fn->state.asleep ||
	    !(command & (b->shape.io ? PCI_COMMAND_IO : PCI_COMMAND_MEMORY)))
		return (struct span){ 0, 0 };
	at = pci_config_get(&fn->config, offset, 4);
	if (bar == BAR_ROM && !(at & PCI_ROM_ADDRESS_ENABLE))
		return (struct span){ 0, 0 };
	if (b->shape.wide)
		at |= (uint64_t)pci_config_get(&fn->config, offset + 4, 4) << 32;
	at = align_down(at, b->shape.size);
	if (!at || !span_holds((struct span){ 0, end }, at, b->shape.size))
		return (struct span){ 0, 0 };
	return (struct span){ at, at + b->shape.size };
}

static void place_bar(struct pci_function *fn, unsigned bar, struct span at)
{
	fn->bars[bar].at = at;
	if (fn->ops->bar_moved)
		fn->ops->bar_moved(fn, bar, at);
}

/* Removes BARs from their old addresses before it places any, so that two BARs can be swapped. */
static void update_bars(struct pci_function *fn)
{
	struct span want[BARS_AND_ROM];

	for (unsigned i = 0; i < BARS_AND_ROM; i++) {
		const struct span *at = &fn->bars[i].at;

		want[i] = bar_decoded(fn, i);
		if (!span_empty(*at) && (at->base != want[i].base || at->end != want[i].end))
			place_bar(fn, i, (struct span){ 0, 0 });
	}
	for (unsigned i = 0; i < BARS_AND_ROM; i++)
		if (span_empty(fn->bars[i].at) && !span_empty(want[i]))
			place_bar(fn, i, want[i]);
}

uint32_t pci_function_read(struct pci_function *fn, unsigned offset, unsigned size)
{
	return pci_config_get(&fn->config, offset, size);
}

void pci_function_write(struct pci_function *fn, unsigned offset, unsigned size, uint32_t value)
{
	pci_config_write(&fn->config, offset, size, value);
	update_bars(fn);
}

void pci_function_sleep(struct pci_function *fn, bool asleep)
{
	fn->state.asleep = asleep;
	update_bars(fn);
}

void pci_function_unmap(struct pci_function *fn)
{
	for (unsigned i = 0; i < BARS_AND_ROM; i++)
		if (!span_empty(fn->bars[i].at))
			place_bar(fn, i, (struct span){ 0, 0 });
}

void pci_function_reset(struct pci_function *fn)
{
	pci_function_unmap(fn);
	fn->state.asleep = false;
	pci_config_set(&fn->config, PCI_COMMAND, 2, 0);
	pci_config_set(&fn->config, PCI_CACHE_LINE_SIZE, 1, 0);
	pci_config_set(&fn->config, PCI_INTERRUPT_LINE, 1, 0);
	for (unsigned i = 0; i < BARS_AND_ROM; i++) {
		const struct pci_bar *b = &fn->bars[i];

		if (!b->shape.size)
			continue;
		pci_config_set(&fn->config, bar_offset(fn, i), 4, bar_flags(&b->shape, i));
		if (b->shape.wide)
			pci_config_set(&fn->config, bar_offset(fn, i) + 4, 4, 0);
	}
}

/* --- a slot's functions --- */

/* PCI Local Bus 3.0 section 6.2.1: bit 7 of the header type. */
#define HEADER_MULTI_FUNCTION 0x80

void pci_bus_add(struct pci_bus *bus, unsigned slot, unsigned number, struct pci_function *fn)
{
	struct pci_function **at = &bus->slots[slot];

	while (*at && (*at)->number < number)
		at = &(*at)->next;
	fn->number = number;
	fn->next = *at;
	*at = fn;
	fn = bus->slots[slot];
	for (bool many = fn->number || fn->next; many && fn; fn = fn->next)
		fn->config.state.data[PCI_HEADER_TYPE] |= HEADER_MULTI_FUNCTION;
}

static struct pci_function *pci_bus_find(const struct pci_bus *bus, unsigned slot, unsigned number)
{
	struct pci_function *fn = slot < PCI_SLOTS ? bus->slots[slot] : NULL;

	while (fn && fn->number < number)
		fn = fn->next;
	return fn && fn->number == number ? fn : NULL;
}

/* --- the host bridge: the function that an access addresses --- */

/*
 * The bridge of a root bus whose secondary bus has this number. Only the secondary bus has a
 * device, because a port has no bridge behind it.
 */
static const struct pci_function *bridge_to(const struct pci_bus *root, uint8_t bus)
{
	for (unsigned i = 0; i < PCI_SLOTS; i++)
		for (const struct pci_function *fn = root->slots[i]; fn; fn = fn->next)
			if (fn->behind && fn->config.state.data[PCI_SECONDARY_BUS] == bus &&
			    fn->config.state.data[PCI_SUBORDINATE_BUS] >= bus)
				return fn;
	return NULL;
}

void pci_host_add_root(struct pci_host *host, struct pci_bus *bus, uint8_t number)
{
	bus->number = number;
	bus->next = host->root.next;
	host->root.next = bus;
}

/* The numbers of root buses are wired, so they come before those that a guest gave its bridges. */
struct pci_function *pci_host_find(struct pci_host *host, uint8_t bus, uint8_t slot,
				   uint8_t function)
{
	for (const struct pci_bus *root = &host->root; root; root = root->next)
		if (root->number == bus)
			return pci_bus_find(root, slot, function);
	for (const struct pci_bus *root = &host->root; root; root = root->next) {
		const struct pci_function *bridge = bridge_to(root, bus);

		if (bridge)
			return pci_bus_find(bridge->behind, slot, function);
	}
	return NULL;
}

void pci_host_lock(struct pci_host *host)
{
	pthread_mutex_lock(&host->lock);
}

void pci_host_unlock(struct pci_host *host)
{
	pthread_mutex_unlock(&host->lock);
}

/* The target of a configuration access, by ECAM or by ports. */
struct place {
	uint8_t bus, slot, function;
	unsigned offset;
};

static uint32_t pci_host_config_read(struct pci_host *host, struct place at, unsigned size)
{
	struct pci_function *fn;
	uint32_t value = UINT32_MAX;

	pci_host_lock(host);
	fn = pci_host_find(host, at.bus, at.slot, at.function);
	if (fn)
		value = fn->ops->read ? fn->ops->read(fn, at.offset, size)
				      : pci_function_read(fn, at.offset, size);
	pci_host_unlock(host);
	return value;
}

static void pci_host_config_write(struct pci_host *host, struct place at, unsigned size,
				  uint32_t value)
{
	struct pci_function *fn;

	pci_host_lock(host);
	fn = pci_host_find(host, at.bus, at.slot, at.function);
	if (fn && fn->ops->write)
		fn->ops->write(fn, at.offset, size, value);
	else if (fn)
		pci_function_write(fn, at.offset, size, value);
	pci_host_unlock(host);
}

/* An access that crosses a dword is no configuration access. */
static bool in_dword(uint64_t offset, unsigned size)
{
	return offset % 4 + size <= 4;
}

/* --- memory: PCI Express Base 5.0 section 7.2.2 --- */

static struct place ecam_place(uint64_t offset)
{
	return (struct place){
		.bus = (uint8_t)(offset >> 20),
		.slot = offset >> 15 & 31,
		.function = offset >> 12 & 7,
		.offset = offset & (PCI_CONFIG_SIZE - 1),
	};
}

static struct pci_host *host_of_ecam(struct device *dev)
{
	return container_of(dev, struct pci_host, ecam);
}

static uint64_t ecam_read(struct device *dev, uint64_t offset, unsigned size)
{
	if (!in_dword(offset, size))
		return UINT64_MAX;
	return pci_host_config_read(host_of_ecam(dev), ecam_place(offset), size);
}

static void ecam_write(struct device *dev, uint64_t offset, unsigned size, uint64_t value)
{
	if (in_dword(offset, size))
		pci_host_config_write(host_of_ecam(dev), ecam_place(offset), size, (uint32_t)value);
}

static const struct device_ops ecam_ops = {
	.name = "PCI configuration space",
	.width = 4,
	.read = ecam_read,
	.write = ecam_write,
};

/* --- ports: PCI Local Bus 3.0 section 3.2.2.3.2, configuration mechanism #1 --- */

#define ADDRESS_ENABLE 0x80000000u
#define ADDRESS_BITS   0x80fffffcu
#define RESET_AT       1
#define DATA_AT	       4

static struct pci_host *host_of_ports(struct device *dev)
{
	return container_of(dev, struct pci_host, ports);
}

static struct place ports_place(const struct pci_host *host, uint64_t offset)
{
	return (struct place){
		.bus = (uint8_t)(host->state.address >> 16),
		.slot = host->state.address >> 11 & 31,
		.function = host->state.address >> 8 & 7,
		.offset = (host->state.address & 0xfc) + (unsigned)(offset - DATA_AT),
	};
}

static bool is_reset(const struct pci_host *host, uint64_t offset, unsigned size)
{
	return host->at_cf9 && offset == RESET_AT && size == 1;
}

static bool is_data(const struct pci_host *host, uint64_t offset, unsigned size)
{
	return offset >= DATA_AT && in_dword(offset, size) &&
	       (host->state.address & ADDRESS_ENABLE);
}

static uint64_t ports_read(struct device *dev, uint64_t offset, unsigned size)
{
	struct pci_host *host = host_of_ports(dev);
	uint64_t value = UINT64_MAX;

	if (offset == 0 && size == 4)
		return host->state.address;
	if (is_data(host, offset, size))
		return pci_host_config_read(host, ports_place(host, offset), size);
	if (is_reset(host, offset, size)) {
		pthread_mutex_lock(&host->at_cf9->lock);
		value = host->at_cf9->ops->read(host->at_cf9, 0, 1);
		pthread_mutex_unlock(&host->at_cf9->lock);
	}
	return value;
}

static void ports_write(struct device *dev, uint64_t offset, unsigned size, uint64_t value)
{
	struct pci_host *host = host_of_ports(dev);

	if (offset == 0 && size == 4) {
		host->state.address = (uint32_t)value & ADDRESS_BITS;
	} else if (is_data(host, offset, size)) {
		pci_host_config_write(host, ports_place(host, offset), size, (uint32_t)value);
	} else if (is_reset(host, offset, size)) {
		pthread_mutex_lock(&host->at_cf9->lock);
		host->at_cf9->ops->write(host->at_cf9, 0, 1, value);
		pthread_mutex_unlock(&host->at_cf9->lock);
	}
}

static const struct device_ops ports_ops = {
	.name = "PCI configuration ports",
	.width = 4,
	.read = ports_read,
	.write = ports_write,
};

/* --- init --- */

static const struct pci_ops bridge_ops = { .name = "host bridge" };

/* Red Hat's IDs for the generic PCIe host bridge of virtual machines. */
static const struct pci_identity bridge_identity = {
	.vendor = 0x1b36,
	.device = 0x0008,
	.class = 0x060000,
};

void pci_host_init(struct pci_host *host, struct device *at_cf9)
{
	*host = (struct pci_host){ .at_cf9 = at_cf9 };
	device_init(&host->ecam, &ecam_ops);
	device_init(&host->ports, &ports_ops);
	pthread_mutex_init(&host->lock, NULL);
	pci_function_init(&host->bridge, &bridge_ops, &bridge_identity);
	host->root.slots[0] = &host->bridge;
}
