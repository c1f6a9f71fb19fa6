/*
 * A device's configuration space, however malformed: what the guest gets of it is a finite list of
 * capabilities, and nothing that must be hidden shows.
 */
#include "vfio/pci_config.h"
#include "vmm/base/bytes.h"

#include <stdlib.h>
#include <string.h>

/* Byte 0: capabilities to show; 1: bit 0 root bus, bit 1 legacy size; then configuration space. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t raw[PCI_CONFIG_SIZE];
	static struct vfio_config v;
	static struct pci_config c;
	size_t len;

	if (size < 2)
		return 0;
	len = size - 2 < sizeof(raw) ? size - 2 : sizeof(raw);
	memset(raw, 0, sizeof(raw));
	memcpy(raw, data + 2, len);
	pci_config_init(&c);
	vfio_config_build(&v, &c, raw, data[1] & 2 ? PCI_LEGACY_SIZE : PCI_CONFIG_SIZE, data[0],
			  data[1] & 1);
	for (unsigned i = 0; i < 0x40; i++)
		if (v.class[i] != VFIO_BYTE_OURS)
			abort();
	/* Only what is ours is writable. */
	for (unsigned i = 0; i < PCI_CONFIG_SIZE; i++)
		if (v.class[i] != VFIO_BYTE_OURS && (c.writable[i] || c.clears[i]))
			abort();
	if (v.msi && (v.msi < 0x40 || v.msi + v.msi_size > PCI_LEGACY_SIZE || v.msi_vectors > 32))
		abort();
	if (v.msix && (v.msix_vectors > 2048 || v.table_bar > 5 || v.pba_bar > 5))
		abort();
	(void)pci_config_find_cap(&c, 0xee);
	(void)pci_config_find_ext(&c, 0xeeee);
	if (!(data[0] & 1) && !(data[1] & 2) && pci_config_find_ext(&c, 0x10))
		abort(); /* SR-IOV */
	return 0;
}
