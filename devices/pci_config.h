/*
 * The configuration space of one PCI function: bytes, and for each bit whether the guest can
 * change it.
 *
 * PURE. Used by every function (devices/pci.c, root ports, passed-through devices) to lay out its
 * registers and to take the guest's writes. PCI Local Bus 3.0 chapter 6; PCI Express Base 5.0
 * chapter 7. Offsets and sizes come from the bus: size is 1, 2 or 4, offset + size <= 4096 and an
 * access does not cross a dword.
 */
#ifndef DEVICES_PCI_CONFIG_H
#define DEVICES_PCI_CONFIG_H

#include "vmm/base/err.h"

#include <stdbool.h>
#include <stdint.h>

#define PCI_CONFIG_SIZE 4096
#define PCI_LEGACY_SIZE 256

struct pci_config_state {
	uint8_t data[PCI_CONFIG_SIZE];
};

/* Beside the bytes: what is laid out when the function is made. */
struct pci_config {
	struct pci_config_state state;
	uint8_t writable[PCI_CONFIG_SIZE]; /* bits that a write of the guest replaces */
	uint8_t clears[PCI_CONFIG_SIZE];   /* bits that writing 1 clears */
	unsigned next_cap;		   /* where pci_config_add_cap() puts the next one */
	unsigned last_cap, last_ext;	   /* whose "next" pointer that one is linked from */
	unsigned next_ext;
};

/* All zeroes, nothing writable, capabilities from 0x40 and 0x100. */
void pci_config_init(struct pci_config *c);

uint32_t pci_config_get(const struct pci_config *c, unsigned offset, unsigned size);
/* The device's own hand: changes every bit. */
void pci_config_set(struct pci_config *c, unsigned offset, unsigned size, uint32_t value);
/* The guest's write, through the masks. */
void pci_config_write(struct pci_config *c, unsigned offset, unsigned size, uint32_t value);
/* Says which bits of a register the guest can change, or clear by writing 1. */
void pci_config_allow(struct pci_config *c, unsigned offset, unsigned size, uint32_t writable);
void pci_config_allow_clear(struct pci_config *c, unsigned offset, unsigned size, uint32_t clears);

/*
 * Adds a capability of `size` bytes (its two header bytes included) and links it. Returns its
 * offset, a multiple of 4, or 0 if there is no room.
 */
unsigned pci_config_add_cap(struct pci_config *c, uint8_t id, unsigned size);
/* The same for extended capabilities (four header bytes). */
unsigned pci_config_add_ext(struct pci_config *c, uint16_t id, unsigned version, unsigned size);
/* The offset of a capability in a well or badly formed list, or 0; never loops. */
unsigned pci_config_find_cap(const struct pci_config *c, uint8_t id);
unsigned pci_config_find_ext(const struct pci_config *c, uint16_t id);

#endif
