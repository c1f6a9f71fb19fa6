/*
 * What every result of boot_build must keep, whatever the kernel: shared by unit tests and fuzz
 * targets. Written from firmware/boot.h, not from its code.
 */
#ifndef TESTS_BOOT_CHECK_H
#define TESTS_BOOT_CHECK_H

#include "firmware/boot.h"
#include "vmm/base/platform.h"

#include <string.h>

/* Whether E820 calls each of the bytes usable. */
static inline bool boot_check_usable(const struct boot_request *req, uint64_t at, uint64_t len)
{
	for (size_t i = 0; len && i < req->nr_e820; i++) {
		const struct e820_entry *e = &req->e820[i];

		if (e->type == E820_USABLE && at >= e->at.base && at < e->at.end) {
			uint64_t here = min_u64(len, e->at.end - at);

			at += here;
			len -= here;
		}
	}
	return !len;
}

/* The page-table walk of the CPU: 4 levels, 2 MiB pages. Returns UINT64_MAX if not mapped. */
static inline uint64_t boot_check_walk(const uint8_t *tables, uint64_t gpa, uint64_t addr)
{
	const uint8_t *table = tables;
	uint64_t entry = 0;

	for (unsigned shift = 39; shift >= 21; shift -= 9) {
		entry = load_le(table + (addr >> shift & 511) * 8, 8);
		/* present and writable; the last level, and only that, maps a page */
		if ((entry & 3) != 3 || !(entry & 0x80) != (shift > 21))
			return UINT64_MAX;
		if (shift > 21)
			table = tables + ((entry & 0xffffffffff000) - gpa);
	}
	return (entry & 0xfffffffe00000) + (addr & 0x1fffff);
}

/* Without paging: what the kernel is told of lies where 32 bits reach it. NULL, or what is wrong.
 */
static inline const char *boot_check_low(const struct boot *b)
{
	uint64_t told = b->cpu.rbx | b->cpu.rsi;
	bool found = false;

	for (unsigned i = 0; i < b->nr_places; i++) {
		const struct boot_place *p = &b->places[i];

		if (p->from != BOOT_FROM_KERNEL && p->gpa + p->len > 4 * GIB)
			return "a 32-bit entry is given something above 4 GiB";
		found |= p->from == BOOT_FROM_DATA && p->gpa == told;
	}
	return found && b->cpu.rip < 4 * GIB ? NULL : "a 32-bit entry is told of nothing";
}

/* NULL, or which rule is broken. */
static inline const char *boot_check(const struct boot *b, const struct boot_request *req,
				     size_t kernel_len)
{
	const uint64_t sizes[] = { kernel_len, req->initrd_size, req->scratch_size };
	const uint8_t *tables = NULL;
	bool entry_found = false;

	for (unsigned i = 0; i < b->nr_places; i++) {
		const struct boot_place *p = &b->places[i];
		uint64_t size = sizes[p->from];

		if (p->offset > size || p->len > size - p->offset)
			return "a place reads beyond its source";
		if (!boot_check_usable(req, p->gpa, p->len))
			return "a place is not in usable RAM";
		if (p->from == BOOT_FROM_DATA &&
		    (p->gpa < 64 * KIB || p->gpa + p->len > LOW_RAM_END || p->gpa % 4096))
			return "generated data is not in low memory, or not page aligned";
		if (p->from == BOOT_FROM_INITRD && (p->gpa % 4096 || p->len != req->initrd_size))
			return "the initrd is not page aligned, or not all of it";
		for (unsigned k = 0; k < i; k++) {
			const struct boot_place *q = &b->places[k];

			if (p->gpa < q->gpa + q->len && q->gpa < p->gpa + p->len)
				return "two places overlap";
		}
		if (p->from == BOOT_FROM_KERNEL && b->cpu.rip - p->gpa < p->len)
			entry_found = true;
		if (p->from == BOOT_FROM_DATA && p->gpa == b->cpu.cr3)
			tables = req->scratch + p->offset;
	}
	if (!entry_found)
		return "the entry is not in the kernel";
	if (!(b->cpu.cr0 >> 31))
		return boot_check_low(b);
	if (!tables)
		return "CR3 points to no tables";
	if (boot_check_walk(tables, b->cpu.cr3, b->cpu.rip) != b->cpu.rip ||
	    boot_check_walk(tables, b->cpu.cr3, b->cpu.rsi) != b->cpu.rsi ||
	    boot_check_walk(tables, b->cpu.cr3, b->cpu.gdt) != b->cpu.gdt)
		return "entry, zero page or GDT are not mapped to themselves";
	return NULL;
}

#endif
