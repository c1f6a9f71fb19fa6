/*
 * Registers with masks, and the lists of capabilities and extended capabilities. Called by every
 * PCI function and its init functions; changes only the struct.
 */
#include "devices/pci_config.h"

#include "vmm/base/bytes.h"

#include <linux/pci_regs.h>
#include <string.h>

#define FIRST_CAP 0x40
#define FIRST_EXT 0x100
#define CAPS_MOST ((PCI_LEGACY_SIZE - FIRST_CAP) / 4)
#define EXTS_MOST ((PCI_CONFIG_SIZE - FIRST_EXT) / 4)

void pci_config_init(struct pci_config *c)
{
	memset(c, 0, sizeof(*c));
	c->next_cap = FIRST_CAP;
	c->last_cap = PCI_CAPABILITY_LIST - 1; /* so that last_cap + 1 is the list's head */
	c->next_ext = FIRST_EXT;
}

uint32_t pci_config_get(const struct pci_config *c, unsigned offset, unsigned size)
{
	return (uint32_t)load_le(c->state.data + offset, size);
}

void pci_config_set(struct pci_config *c, unsigned offset, unsigned size, uint32_t value)
{
	store_le(c->state.data + offset, value, size);
}

void pci_config_write(struct pci_config *c, unsigned offset, unsigned size, uint32_t value)
{
	for (unsigned i = offset; i < offset + size; i++, value >>= 8) {
		uint8_t byte = (uint8_t)value;

		c->state.data[i] = (c->state.data[i] & ~c->writable[i]) | (byte & c->writable[i]);
		c->state.data[i] &= ~(byte & c->clears[i]);
	}
}

void pci_config_allow(struct pci_config *c, unsigned offset, unsigned size, uint32_t writable)
{
	store_le(c->writable + offset, writable, size);
}

void pci_config_allow_clear(struct pci_config *c, unsigned offset, unsigned size, uint32_t clears)
{
	store_le(c->clears + offset, clears, size);
}

unsigned pci_config_add_cap(struct pci_config *c, uint8_t id, unsigned size)
{
	unsigned at = c->next_cap;

	size = (size + 3) & ~3u;
	if (size > PCI_LEGACY_SIZE - at)
		return 0;
	c->state.data[c->last_cap + 1] = (uint8_t)at;
	c->state.data[PCI_STATUS] |= PCI_STATUS_CAP_LIST;
	c->state.data[at] = id;
	c->last_cap = at;
	c->next_cap = at + size;
	return at;
}

/* PCI Express Base 5.0 section 7.6.3: ID, 4 bits of version, 12 bits of next offset. */
unsigned pci_config_add_ext(struct pci_config *c, uint16_t id, unsigned version, unsigned size)
{
	unsigned at = c->next_ext;

	size = (size + 3) & ~3u;
	if (size > PCI_CONFIG_SIZE - at)
		return 0;
	if (c->last_ext) {
		c->state.data[c->last_ext + 2] |= (uint8_t)(at << 4);
		c->state.data[c->last_ext + 3] = (uint8_t)(at >> 4);
	}
	pci_config_set(c, at, 4, id | version << 16);
	c->last_ext = at;
	c->next_ext = at + size;
	return at;
}

unsigned pci_config_find_cap(const struct pci_config *c, uint8_t id)
{
	unsigned at = c->state.data[PCI_CAPABILITY_LIST] & ~3u;

	if (!(c->state.data[PCI_STATUS] & PCI_STATUS_CAP_LIST))
		return 0;
	for (unsigned n = 0; at >= FIRST_CAP && n < CAPS_MOST; n++) {
		if (c->state.data[at] == id)
			return at;
		at = c->state.data[at + 1] & ~3u;
	}
	return 0;
}

unsigned pci_config_find_ext(const struct pci_config *c, uint16_t id)
{
	unsigned at = FIRST_EXT;

	for (unsigned n = 0; at >= FIRST_EXT && n < EXTS_MOST; n++) {
		uint32_t header = pci_config_get(c, at, 4);

		if (!header)
			return 0;
		if ((header & 0xffff) == id)
			return at;
		at = header >> 20 & ~3u;
	}
	return 0;
}
