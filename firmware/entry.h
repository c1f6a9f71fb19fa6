/*
 * The boot CPU's registers at the entry of the kernel, as plain values.
 *
 * PURE, and without KVM's types: the machine copies them over. Linux boot.rst, "64-bit BOOT
 * PROTOCOL" and "32-bit BOOT PROTOCOL"; Xen docs/misc/pvh.pandoc, "PVH entry point". Bit names:
 * Intel SDM volume 3, sections 2.5 (control registers), 3.4.5 (descriptors) and 4.5 (page tables).
 */
#ifndef FIRMWARE_ENTRY_H
#define FIRMWARE_ENTRY_H

#include "vmm/base/err.h"
#include "vmm/base/span.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The fields of KVM's struct kvm_segment; present, privilege level 0. */
struct entry_segment {
	uint64_t base;
	uint32_t limit;	   /* last byte */
	uint16_t selector; /* multiple of 8: its place in the GDT */
	uint8_t type;
	bool system; /* S bit clear */
	bool db, l, g;
};

struct entry_cpu {
	uint64_t rip, rflags;
	uint64_t rbx; /* PVH: start info */
	uint64_t rsi; /* Linux: zero page. The other registers are zero */
	uint64_t cr0, cr3, cr4, efer;
	uint64_t gdt;		   /* GPA; ENTRY_GDT_SIZE bytes */
	struct entry_segment code; /* CS */
	struct entry_segment data; /* DS ES FS GS SS */
	struct entry_segment task; /* TR */
};

#define ENTRY_GDT_SIZE 48 /* null, unused, code at 0x10, data at 0x18, task at 0x20 (16 bytes) */

/* Long mode, paging on; `tables` is the GPA of what entry_tables() wrote. */
void entry_linux64(struct entry_cpu *cpu, uint64_t entry, uint64_t zeropage, uint64_t gdt,
		   uint64_t tables);
/* 32-bit protected mode, flat, paging off. All addresses must be below 4 GiB. */
void entry_linux32(struct entry_cpu *cpu, uint64_t entry, uint64_t zeropage, uint64_t gdt);
void entry_pvh(struct entry_cpu *cpu, uint64_t entry, uint64_t start_info, uint64_t gdt);

/* Writes the GDT of the segments of `cpu`. */
void entry_gdt(const struct entry_cpu *cpu, uint8_t gdt[ENTRY_GDT_SIZE]);

#define ENTRY_PAGE	  4096
#define ENTRY_TABLES_MAX  (16 * ENTRY_PAGE)   /* enough for one kernel anywhere */
#define ENTRY_ADDRESS_MAX (UINT64_C(1) << 47) /* the end of the lower half of 4 levels */

/*
 * Writes page tables that map the first 4 GiB and `extra` (n spans, in whole GiB) to themselves by
 * 2 MiB pages. They are for address `gpa` (page aligned) and are written to the `cap` bytes at
 * `buf`, of which *used are used. -ERANGE and a sentence if `extra` is beyond ENTRY_ADDRESS_MAX or
 * too scattered for `cap`.
 */
int entry_tables(uint8_t *buf, size_t cap, uint64_t gpa, const struct span *extra, size_t n,
		 size_t *used, struct err *err);

#endif
