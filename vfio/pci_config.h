/*
 * Divides a device's configuration space into bytes that are emulated and bytes of the device.
 *
 * PURE: bytes in, bytes and classes out. The device's bytes are untrusted: capability lists may be
 * malformed. Called by vfio/pci.c and by a fuzzer.
 */
#ifndef VFIO_PCI_CONFIG_H
#define VFIO_PCI_CONFIG_H

#include "devices/pci_config.h"

#include <stddef.h>

enum vfio_byte {
	VFIO_BYTE_DEVICE, /* reads and writes go to VFIO, which filters them by its own rules */
	VFIO_BYTE_OURS,	  /* emulated: kept in struct pci_config */
	VFIO_BYTE_ZERO,	  /* hidden: reads 0, drops writes */
};

struct vfio_config {
	uint8_t class[PCI_CONFIG_SIZE]; /* enum vfio_byte */
	/* offsets of capabilities; 0: none */
	unsigned pm, msi, msix, pcie, af;
	unsigned msi_size;    /* bytes */
	unsigned msi_vectors; /* the most vectors that the device can use */
	bool msi_masks;	      /* has mask and pending bits */
	bool msi_wide;	      /* 64-bit address */
	unsigned msix_vectors;
	unsigned table_bar, pba_bar;
	uint32_t table_offset, pba_offset; /* bytes into those BARs */
};

/*
 * Reads the device's `size` bytes (256 or 4096) at `raw`. Fills `v`, and copies capabilities into
 * `c`, relinked without the hidden ones, with the bits that a guest may write. `show` are enum
 * vfio_caps bits. With `root_bus` an endpoint appears as integrated into the root complex; without,
 * an integrated endpoint appears as an endpoint, because Linux expects this behind a port.
 */
void vfio_config_build(struct vfio_config *v, struct pci_config *c, const uint8_t *raw, size_t size,
		       unsigned show, bool root_bus);

#endif
