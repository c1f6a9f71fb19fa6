#include "vfio/pci_config.h"

#include "vfio/pci.h"
#include "vmm/base/bytes.h"
#include "vmm/base/span.h"

#include <linux/pci_regs.h>
#include <string.h>

/* linux/pci_regs.h of Debian 12 lacks this one: PCI Express Base 6.0 section 7.8.7. */
#define EXT_VF_REBAR 0x0024

static bool cap_fits(unsigned at, unsigned size)
{
	return at >= PCI_STD_HEADER_SIZEOF && at <= PCI_LEGACY_SIZE - size;
}

static void set_class(struct vfio_config *v, unsigned at, unsigned size, enum vfio_byte class)
{
	for (unsigned i = at; i < at + size && i < PCI_CONFIG_SIZE; i++)
		v->class[i] = class;
}

/* --- capabilities --- */

/*
 * PCI Local Bus 3.0 section 6.8.1. The guest's registers start at zero, because VFIO has programmed
 * the device's own.
 */
static void take_msi(struct vfio_config *v, struct pci_config *c, const uint8_t *raw, unsigned at)
{
	uint16_t control = (uint16_t)load_le(raw + at + 2, 2);
	unsigned data;

	v->msi_wide = control & 0x0080;
	v->msi_masks = control & 0x0100;
	v->msi_vectors = 1u << (control >> 1 & 7);
	data = v->msi_wide ? 12 : 8;
	v->msi_size = v->msi_masks ? data + 12 : data + 2;
	if (!cap_fits(at, v->msi_size) || v->msi_vectors > 32)
		return;
	v->msi = at;
	set_class(v, at, v->msi_size, VFIO_BYTE_OURS);
	pci_config_set(c, at + 2, 2, control & 0x018e);
	pci_config_allow(c, at + 2, 2, 0x0071); /* enable, vectors in use */
	pci_config_allow(c, at + 4, 4, 0xfffffffc);
	if (v->msi_wide)
		pci_config_allow(c, at + 8, 4, 0xffffffff);
	pci_config_allow(c, at + data, 2, 0xffff);
	if (v->msi_masks)
		pci_config_allow(c, at + data + 4, 4, 0xffffffff);
}

/* Section 6.8.2 */
static void take_msix(struct vfio_config *v, struct pci_config *c, const uint8_t *raw, unsigned at)
{
	uint16_t control = (uint16_t)load_le(raw + at + 2, 2);
	uint32_t table = (uint32_t)load_le(raw + at + 4, 4),
		 pba = (uint32_t)load_le(raw + at + 8, 4);

	if (!cap_fits(at, 12) || (table & 7) > 5 || (pba & 7) > 5)
		return;
	v->msix = at;
	v->msix_vectors = (control & 0x7ff) + 1;
	v->table_bar = table & 7;
	v->table_offset = table & ~7u;
	v->pba_bar = pba & 7;
	v->pba_offset = pba & ~7u;
	set_class(v, at, 12, VFIO_BYTE_OURS);
	pci_config_set(c, at + 2, 2, control & 0x07ff);
	pci_config_set(c, at + 4, 4, table);
	pci_config_set(c, at + 8, 4, pba);
	pci_config_allow(c, at + 2, 2, 0xc000); /* enable, function mask */
}

/* PCI Express Base 5.0 section 7.5.3.2: device/port type in bits 7:4. */
static void take_pcie(struct vfio_config *v, struct pci_config *c, const uint8_t *raw, unsigned at,
		      bool root_bus)
{
	uint16_t flags = (uint16_t)load_le(raw + at + 2, 2);
	unsigned type = flags >> 4 & 0xf;

	if (!cap_fits(at, 8))
		return;
	v->pcie = at;
	if (type == 0 || type == 9) /* endpoint, integrated endpoint */
		flags = (uint16_t)((flags & ~0xf0u) | (root_bus ? 9u << 4 : 0));
	pci_config_set(c, at + 2, 2, flags);
	set_class(v, at + 2, 2, VFIO_BYTE_OURS);
}

static void build_caps(struct vfio_config *v, struct pci_config *c, const uint8_t *raw,
		       bool root_bus)
{
	bool seen[PCI_LEGACY_SIZE] = { false };
	unsigned link = PCI_CAPABILITY_LIST;
	unsigned at = load_le(raw + PCI_STATUS, 2) & PCI_STATUS_CAP_LIST
			      ? raw[PCI_CAPABILITY_LIST] & ~3u
			      : 0;

	for (; cap_fits(at, 2) && !seen[at]; at = raw[at + 1] & ~3u) {
		seen[at] = true;
		pci_config_set(c, link, 1, at);
		pci_config_set(c, PCI_STATUS, 1, PCI_STATUS_CAP_LIST);
		pci_config_set(c, at, 1, raw[at]);
		set_class(v, at, 2, VFIO_BYTE_OURS);
		link = at + 1;
		if (raw[at] == PCI_CAP_ID_MSI && !v->msi && cap_fits(at, 10))
			take_msi(v, c, raw, at);
		else if (raw[at] == PCI_CAP_ID_MSIX && !v->msix && cap_fits(at, 12))
			take_msix(v, c, raw, at);
		else if (raw[at] == PCI_CAP_ID_EXP && !v->pcie && cap_fits(at, 4))
			take_pcie(v, c, raw, at, root_bus);
		else if (raw[at] == PCI_CAP_ID_PM && !v->pm && cap_fits(at, 8))
			v->pm = at;
		else if (raw[at] == PCI_CAP_ID_AF && !v->af && cap_fits(at, 6))
			v->af = at;
	}
	pci_config_set(c, link, 1, 0);
}

/* --- extended capabilities --- */

struct ext_cap {
	unsigned at;
	uint16_t id;
	uint8_t version;
	unsigned hidden; /* bytes to hide; 0: shown */
};

/*
 * Capabilities are hidden whose functions are not emulated: resizing and virtual functions, which
 * would need new windows; routing by function group; address translation and page requests, which
 * the IOMMU mappings do not serve.
 */
static unsigned hidden_size(const uint8_t *raw, unsigned at, uint16_t id, unsigned show)
{
	unsigned bars = at <= PCI_CONFIG_SIZE - 12 ? raw[at + 8] >> 5 : 0;

	switch (id) {
	case PCI_EXT_CAP_ID_SRIOV:
		return show & VFIO_CAP_SRIOV ? 0 : 0x40;
	case PCI_EXT_CAP_ID_ARI:
		return show & VFIO_CAP_ARI ? 0 : 8;
	case PCI_EXT_CAP_ID_REBAR:
		return show & VFIO_CAP_REBAR ? 0 : 4 + 8 * bars;
	case EXT_VF_REBAR:
		return show & VFIO_CAP_SRIOV ? 0 : 4 + 8 * bars;
	case PCI_EXT_CAP_ID_ATS:
		return show & VFIO_CAP_ATS ? 0 : 8;
	case PCI_EXT_CAP_ID_PRI:
		return show & VFIO_CAP_PRI ? 0 : 16;
	case PCI_EXT_CAP_ID_PASID:
		return show & VFIO_CAP_PASID ? 0 : 8;
	}
	return 0;
}

/*
 * Links the capabilities that are shown. The list always begins at 0x100, so a hidden first
 * capability becomes a null capability (ID 0, PCI Express Base 5.0 section 7.9.28), which only
 * links to the next one.
 */
static void build_exts(struct vfio_config *v, struct pci_config *c, const uint8_t *raw,
		       unsigned show)
{
	bool seen[PCI_CONFIG_SIZE] = { false };
	unsigned at = PCI_CFG_SPACE_SIZE, last = PCI_CFG_SPACE_SIZE;

	set_class(v, PCI_CFG_SPACE_SIZE, 4, VFIO_BYTE_OURS);
	while (at >= PCI_CFG_SPACE_SIZE && at <= PCI_CONFIG_SIZE - 4 && !seen[at]) {
		uint32_t header = (uint32_t)load_le(raw + at, 4);
		unsigned hidden = hidden_size(raw, at, (uint16_t)header, show);

		if (!header || header == UINT32_MAX)
			break;
		seen[at] = true;
		if (hidden) {
			set_class(v, at, max_u64(hidden, 4), VFIO_BYTE_ZERO);
		} else {
			set_class(v, at, 4, VFIO_BYTE_OURS);
			pci_config_set(c, at, 4, header & 0xfffff);
			if (at != last)
				pci_config_set(c, last + 2, 2,
					       (pci_config_get(c, last + 2, 2) & 0xf) | at << 4);
			last = at;
		}
		at = header >> 20 & ~3u;
	}
	set_class(v, PCI_CFG_SPACE_SIZE, 4, VFIO_BYTE_OURS);
}

void vfio_config_build(struct vfio_config *v, struct pci_config *c, const uint8_t *raw, size_t size,
		       unsigned show, bool root_bus)
{
	memset(v, 0, sizeof(*v));
	set_class(v, 0, PCI_STD_HEADER_SIZEOF, VFIO_BYTE_OURS);
	build_caps(v, c, raw, root_bus);
	if (size >= PCI_CONFIG_SIZE)
		build_exts(v, c, raw, show);
	else
		set_class(v, PCI_LEGACY_SIZE, PCI_CONFIG_SIZE - PCI_LEGACY_SIZE, VFIO_BYTE_ZERO);
}
