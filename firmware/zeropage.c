#include "firmware/zeropage.h"

#include "firmware/setup_header.h"

#include <string.h>

/* zero-page.rst */
#define ACPI_RSDP_ADDR	  0x070
#define EXT_RAMDISK_IMAGE 0x0c0
#define EXT_RAMDISK_SIZE  0x0c4
#define EXT_CMD_LINE_PTR  0x0c8
#define E820_ENTRIES	  0x1e8
#define E820_TABLE	  0x2d0

#define E820_ENTRY_SIZE 20 /* struct boot_e820_entry: address, size, type */

/* boot.rst, "setup_data": next, type, length; then the data */
#define SETUP_DATA_SIZE 16
#define SETUP_E820_EXT	1

/* boot.rst, "type_of_loader": no number assigned */
#define LOADER_UNDEFINED 0xff

static void e820_write(struct bytes_out *out, const struct e820_entry *e820, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		put_le(out, e820[i].at.base, 8);
		put_le(out, span_size(e820[i].at), 8);
		put_le(out, e820[i].type, 4);
	}
}

/* Writes the header fields of a bzImage that a vmlinux reads. */
static void header_make(uint8_t *page)
{
	store_le(page + SETUP_BOOT_FLAG, SETUP_BOOT_FLAG_VALUE, 2);
	store_le(page + SETUP_MAGIC, SETUP_MAGIC_VALUE, 4);
	store_le(page + SETUP_VERSION, SETUP_VERSION_64, 2);
	store_le(page + SETUP_LOADFLAGS, SETUP_LOADED_HIGH, 1);
	store_le(page + SETUP_INITRD_ADDR_MAX, SETUP_DEFAULT_INITRD_ADDR_MAX, 4);
	store_le(page + SETUP_XLOADFLAGS, SETUP_XLF_KERNEL_64, 2);
	store_le(page + SETUP_CMDLINE_SIZE, SETUP_DEFAULT_CMDLINE_SIZE, 4);
}

/* Stores a 64-bit value in two fields of 32 bits each. */
static void store_split(uint8_t *page, unsigned low, unsigned high, uint64_t value)
{
	store_le(page + low, value, 4);
	store_le(page + high, value >> 32, 4);
}

void zeropage_write(uint8_t page[ZEROPAGE_SIZE], const struct zeropage *z)
{
	size_t held = z->nr_e820 < ZEROPAGE_E820 ? z->nr_e820 : ZEROPAGE_E820;
	struct bytes_out table = { .data = page + E820_TABLE, .cap = held * E820_ENTRY_SIZE };

	/*
	 * All other bytes are zero. A sentinel of 0 at 0x1ef means that boot_params was initialised
	 * properly.
	 */
	memset(page, 0, ZEROPAGE_SIZE);
	if (z->header)
		memcpy(page + SETUP_SECTS, z->header, z->header_len);
	else
		header_make(page);

	/* The other flags describe a real-mode heap or are the kernel's own. */
	page[SETUP_LOADFLAGS] &= SETUP_LOADED_HIGH;
	page[SETUP_TYPE_OF_LOADER] = LOADER_UNDEFINED;
	store_split(page, SETUP_CMD_LINE_PTR, EXT_CMD_LINE_PTR, z->cmdline);
	store_split(page, SETUP_RAMDISK_IMAGE, EXT_RAMDISK_IMAGE, z->initrd_size ? z->initrd : 0);
	store_split(page, SETUP_RAMDISK_SIZE, EXT_RAMDISK_SIZE, z->initrd_size);
	store_le(page + ACPI_RSDP_ADDR, z->rsdp, 8);
	store_le(page + SETUP_DATA, z->nr_e820 > held ? z->e820_ext : 0, 8);
	page[E820_ENTRIES] = (uint8_t)held;
	e820_write(&table, z->e820, held);
}

size_t zeropage_ext_size(size_t nr_e820)
{
	if (nr_e820 <= ZEROPAGE_E820)
		return 0;
	return SETUP_DATA_SIZE + (nr_e820 - ZEROPAGE_E820) * E820_ENTRY_SIZE;
}

void zeropage_ext_write(struct bytes_out *out, const struct e820_entry *e820, size_t nr_e820)
{
	size_t size = zeropage_ext_size(nr_e820);

	if (!size)
		return;
	put_le(out, 0, 8); /* the last node */
	put_le(out, SETUP_E820_EXT, 4);
	put_le(out, size - SETUP_DATA_SIZE, 4);
	e820_write(out, e820 + ZEROPAGE_E820, nr_e820 - ZEROPAGE_E820);
}
