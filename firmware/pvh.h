/*
 * The PVH start info, whose address an ELF kernel with a PVH note finds in EBX, in place of a zero
 * page.
 *
 * PURE: writes into a caller's buffer. Format: Xen's xen/include/public/arch-x86/hvm/start_info.h,
 * version 1.
 */
#ifndef FIRMWARE_PVH_H
#define FIRMWARE_PVH_H

#include "vmm/base/bytes.h"
#include "vmm/plan/plan.h"

#include <stddef.h>
#include <stdint.h>

/* Linux copies the memory map into its zero page of 128 entries without checking the length. */
#define PVH_E820_MAX 128

struct pvh_info {
	uint64_t at;	      /* GPA of the start info itself, a multiple of 8 */
	uint64_t cmdline;     /* GPA of a NUL-terminated string */
	uint64_t initrd;      /* GPA */
	uint64_t initrd_size; /* 0: none */
	uint64_t rsdp;	      /* GPA */
	const struct e820_entry *e820;
	size_t nr_e820;
};

/* Bytes of start info, module list and memory map, which follow each other. */
size_t pvh_size(size_t nr_e820);
void pvh_write(struct bytes_out *out, const struct pvh_info *info);

#endif
