/*
 * The configuration space of one PCI function: bytes, and for each bit whether a write of the guest
 * changes it.
 *
 * PURE. Used by every function (devices/pci.c, root ports, passed-through devices) to lay out its
 * registers and to apply the guest's writes. PCI Local Bus 3.0 chapter 6; PCI Express Base 5.0
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

/* The bytes, and masks and positions that are set while the function is made. */
struct pci_config {
	struct pci_config_state state;
	uint8_t writable[PCI_CONFIG_SIZE]; /* bits that a write of the guest replaces */
	uint8_t clears[PCI_CONFIG_SIZE];   /* bits that writing 1 clears */
	unsigned next_cap;		   /* offset for the next pci_config_add_cap() */
	unsigned last_cap, last_ext;	   /* capabilities that will point to the next ones */
	unsigned next_ext;		   /* offset for the next pci_config_add_ext() */
};

/* All zeroes, nothing writable, capabilities from 0x40 and 0x100. */
void pci_config_init(struct pci_config *c);

uint32_t pci_config_get(const struct pci_config *c, unsigned offset, unsigned size);
/* A write of the device itself, which changes every bit. */
void pci_config_set(struct pci_config *c, unsigned offset, unsigned size, uint32_t value);
/* A write of the guest, which changes only the bits that the masks allow. */
void pci_config_write(struct pci_config *c, unsigned offset, unsigned size, uint32_t value);
/* Sets which bits of a register a write of the guest changes, or clears by writing 1. */
void pci_config_allow(struct pci_config *c, unsigned offset, unsigned size, uint32_t writable);
void pci_config_allow_clear(struct pci_config *c, unsigned offset, unsigned size, uint32_t clears);

/*
 * Adds a capability of `size` bytes, two header bytes included, to the end of the list. Returns its
 * offset, a multiple of 4, or 0 if there is no room.
 */
unsigned pci_config_add_cap(struct pci_config *c, uint8_t id, unsigned size);
/* Adds an extended capability, whose header has four bytes, in the same way. */
unsigned pci_config_add_ext(struct pci_config *c, uint16_t id, unsigned version, unsigned size);
/*
 * Return the offset of a capability, or 0 if there is none. They end for a malformed list, too,
 * such as one with a loop.
 */
unsigned pci_config_find_cap(const struct pci_config *c, uint8_t id);
unsigned pci_config_find_ext(const struct pci_config *c, uint16_t id);

#endif
