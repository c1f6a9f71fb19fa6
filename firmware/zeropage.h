/*
 * The zero page (struct boot_params), which holds for Linux what a BIOS would report.
 *
 * PURE: fills a caller's buffers. Offsets: Linux Documentation/arch/x86/zero-page.rst and, for the
 * setup header in it, boot.rst. E820 entries past the zero page's 128 go into a SETUP_E820_EXT
 * node, which the caller puts somewhere below 4 GiB.
 */
#ifndef FIRMWARE_ZEROPAGE_H
#define FIRMWARE_ZEROPAGE_H

#include "vmm/base/bytes.h"
#include "vmm/plan/plan.h"

#include <stddef.h>
#include <stdint.h>

#define ZEROPAGE_SIZE 4096
#define ZEROPAGE_E820 128 /* entries that it holds */

struct zeropage {
	const uint8_t *header; /* setup header from SETUP_SECTS on; NULL: make a minimal one */
	size_t header_len;     /* at most SETUP_HEADER_MAX */
	uint64_t cmdline;      /* GPA of a NUL-terminated string */
	uint64_t initrd;       /* GPA */
	uint64_t initrd_size;  /* 0: none */
	uint64_t rsdp;	       /* GPA */
	const struct e820_entry *e820;
	size_t nr_e820;
	uint64_t e820_ext; /* GPA of the node below; unused if nr_e820 <= ZEROPAGE_E820 */
};

void zeropage_write(uint8_t page[ZEROPAGE_SIZE], const struct zeropage *z);

/* Bytes of the node for the entries that the zero page cannot hold; 0 if it holds all. */
size_t zeropage_ext_size(size_t nr_e820);
/* Writes the node; nothing if zeropage_ext_size() is 0. */
void zeropage_ext_write(struct bytes_out *out, const struct e820_entry *e820, size_t nr_e820);

#endif
