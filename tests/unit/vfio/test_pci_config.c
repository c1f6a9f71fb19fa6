/*
 * Configuration space of passed-through functions: what a guest sees of hand-made devices.
 */
#include "vfio/pci.h"
#include "vfio/pci_config.h"
#include "vmm/base/bytes.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

static uint8_t raw[PCI_CONFIG_SIZE];
static struct vfio_config v;
static struct pci_config c;

static void cap(unsigned at, uint8_t id, uint8_t next)
{
	raw[at] = id;
	raw[at + 1] = next;
}

static void ext(unsigned at, uint16_t id, unsigned next)
{
	store_le(raw + at, id | 1u << 16 | (uint32_t)next << 20, 4);
}

static void begin(uint8_t first)
{
	memset(raw, 0, sizeof(raw));
	raw[6] = 0x10;
	raw[0x34] = first;
}

static void build(unsigned show, bool root_bus)
{
	pci_config_init(&c);
	vfio_config_build(&v, &c, raw, sizeof(raw), show, root_bus);
}

/* The extended capabilities as a guest finds them, in order; stops at 16. */
static unsigned guest_exts(uint16_t ids[16])
{
	unsigned at = 0x100, n = 0;

	while (at && n < 16) {
		uint32_t header = 0;

		for (unsigned i = 0; i < 4; i++) {
			uint32_t byte = v.class[at + i] == VFIO_BYTE_OURS     ? c.state.data[at + i]
					: v.class[at + i] == VFIO_BYTE_DEVICE ? raw[at + i]
									      : 0;

			header |= byte << 8 * i;
		}
		if (!header)
			break;
		ids[n++] = (uint16_t)header;
		at = header >> 20;
	}
	return n;
}

/* An NVMe drive: MSI-X, PCI Express, power management. */
static void test_nvme(void **state)
{
	(void)state;
	begin(0x40);
	cap(0x40, 0x11, 0x80);
	store_le(raw + 0x42, 64, 2);	     /* 65 vectors */
	store_le(raw + 0x44, 4 | 0x0000, 4); /* table in BAR 4 */
	store_le(raw + 0x48, 4 | 0x0800, 4);
	cap(0x80, 0x10, 0x60);
	store_le(raw + 0x82, 2, 2); /* version 2, endpoint */
	cap(0x60, 0x01, 0);
	build(0, false);
	assert_int_equal(v.msix, 0x40);
	assert_int_equal(v.msix_vectors, 65);
	assert_int_equal(v.table_bar, 4);
	assert_int_equal(v.table_offset, 0);
	assert_int_equal(v.pba_offset, 0x800);
	assert_int_equal(v.msi, 0);
	assert_int_equal(v.pm, 0x60);
	assert_int_equal(v.pcie, 0x80);
	assert_int_equal(pci_config_find_cap(&c, 0x11), 0x40);
	assert_int_equal(pci_config_find_cap(&c, 0x01), 0x60);
	/* The guest enables it in our copy; size and place stay. */
	pci_config_write(&c, 0x42, 2, 0xffff);
	assert_int_equal(pci_config_get(&c, 0x42, 2), 0xc040);
	pci_config_write(&c, 0x44, 4, 0);
	assert_int_equal(pci_config_get(&c, 0x44, 4), 4);
	assert_int_equal(v.class[0x84], VFIO_BYTE_DEVICE); /* device capabilities */
	assert_int_equal(v.class[0x64], VFIO_BYTE_DEVICE); /* power state */
	/* An endpoint on bus 0 is one of the root complex, and the other way round. */
	build(0, true);
	assert_int_equal(pci_config_get(&c, 0x82, 2), 0x92);
	store_le(raw + 0x82, 0x92, 2);
	build(0, false);
	assert_int_equal(pci_config_get(&c, 0x82, 2), 0x02);
}

static void test_msi(void **state)
{
	(void)state;
	begin(0x50);
	cap(0x50, 0x05, 0);
	store_le(raw + 0x52, 0x0080 | 0x0100 | 3 << 1 | 1, 2); /* wide, masks, 8 vectors, enabled */
	store_le(raw + 0x54, 0xfee01000, 4);
	build(0, false);
	assert_int_equal(v.msi, 0x50);
	assert_int_equal(v.msi_vectors, 8);
	assert_true(v.msi_wide && v.msi_masks);
	assert_int_equal(v.msi_size, 24);
	/* What the host's kernel put there is not the guest's to see. */
	assert_int_equal(pci_config_get(&c, 0x52, 2), 0x0186);
	assert_int_equal(pci_config_get(&c, 0x54, 4), 0);
	pci_config_write(&c, 0x54, 4, 0xfee02003);
	assert_int_equal(pci_config_get(&c, 0x54, 4), 0xfee02000);
	for (unsigned i = 0x50; i < 0x50 + v.msi_size; i++)
		assert_int_equal(v.class[i], VFIO_BYTE_OURS);
	assert_int_equal(v.class[0x50 + v.msi_size], VFIO_BYTE_DEVICE);
}

static const uint16_t hidden[] = { 0x10, 0x0e, 0x15, 0x0f, 0x13, 0x1b, 0x24 };

static void put_hidden(void)
{
	begin(0);
	raw[6] = 0;
	for (unsigned i = 0; i < ARRAY_SIZE(hidden); i++)
		ext(0x100 + 0x80 * i, hidden[i], 0x100 + 0x80 * (i + 1));
	ext(0x100 + 0x80 * ARRAY_SIZE(hidden), 0x01, 0); /* AER */
	raw[0x200 + 8] = 2 << 5;			 /* two resizable BARs */
}

static void test_hidden(void **state)
{
	uint16_t ids[16];

	(void)state;
	put_hidden();
	build(0, false);
	/* The list begins with a null capability and goes on with what is shown. */
	assert_int_equal(guest_exts(ids), 2);
	assert_int_equal(ids[0], 0);
	assert_int_equal(ids[1], 0x01);
	assert_int_equal(v.class[0x104], VFIO_BYTE_ZERO);
	assert_int_equal(v.class[0x100 + 0x3f], VFIO_BYTE_ZERO); /* the end of SR-IOV */
	assert_int_equal(v.class[0x200 + 4 + 15], VFIO_BYTE_ZERO);
	assert_int_equal(v.class[0x200 + 4 + 16], VFIO_BYTE_DEVICE);
}

static void test_shown(void **state)
{
	uint16_t ids[16];

	(void)state;
	put_hidden();
	build(VFIO_CAP_SRIOV | VFIO_CAP_ARI | VFIO_CAP_REBAR | VFIO_CAP_ATS | VFIO_CAP_PRI |
		      VFIO_CAP_PASID,
	      false);
	assert_int_equal(guest_exts(ids), 8);
	for (unsigned i = 0; i < ARRAY_SIZE(hidden); i++)
		assert_int_equal(ids[i], hidden[i]);
	build(VFIO_CAP_ATS, false);
	assert_int_equal(guest_exts(ids), 3);
	assert_int_equal(ids[1], 0x0f);
}

/* Lists that loop, point into the header, or past the end. */
static void test_malformed(void **state)
{
	(void)state;
	begin(0x40);
	cap(0x40, 0x09, 0x50);
	cap(0x50, 0x09, 0x40);
	ext(0x100, 0x0b, 0x140);
	ext(0x140, 0x0b, 0x100);
	build(0, false);
	assert_int_equal(pci_config_find_cap(&c, 0x55), 0);
	assert_int_equal(pci_config_find_ext(&c, 0x55), 0);
	begin(0x10); /* in the header */
	build(0, false);
	assert_int_equal(c.state.data[0x34], 0);
	begin(0xfc);
	cap(0xfc, 0x05, 0); /* MSI without room for its registers */
	build(0, false);
	assert_int_equal(v.msi, 0);
	memset(raw, 0xff, sizeof(raw)); /* a device that is gone */
	build(0, false);
	assert_int_equal(v.msi, 0);
	assert_int_equal(v.msix, 0);
}

static void test_legacy(void **state)
{
	(void)state;
	begin(0);
	pci_config_init(&c);
	vfio_config_build(&v, &c, raw, PCI_LEGACY_SIZE, 0, false);
	assert_int_equal(v.class[0xff], VFIO_BYTE_DEVICE);
	assert_int_equal(v.class[0x100], VFIO_BYTE_ZERO);
	assert_int_equal(v.class[0xfff], VFIO_BYTE_ZERO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nvme),	  cmocka_unit_test(test_msi),
		cmocka_unit_test(test_hidden),	  cmocka_unit_test(test_shown),
		cmocka_unit_test(test_malformed), cmocka_unit_test(test_legacy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
