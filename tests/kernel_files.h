/*
 * Small kernel files made in memory, for tests: valid as they come, to be broken by the test.
 */
#ifndef TESTS_KERNEL_FILES_H
#define TESTS_KERNEL_FILES_H

#include "firmware/setup_header.h"
#include "vmm/base/bytes.h"
#include "vmm/base/span.h"

#include <stdbool.h>
#include <string.h>

/* --- bzImage: 1 KiB of setup (setup_sects 1), 4 KiB of code --- */

#define BZ_CODE 1024
#define BZ_SIZE (BZ_CODE + 4096)

static inline void bz_make(uint8_t *file)
{
	memset(file, 0, BZ_CODE);
	memset(file + BZ_CODE, 0x90, BZ_SIZE - BZ_CODE);
	file[SETUP_SECTS] = 1;
	store_le(file + SETUP_SYSSIZE, 4096 / 16, 4);
	store_le(file + SETUP_BOOT_FLAG, SETUP_BOOT_FLAG_VALUE, 2);
	store_le(file + SETUP_JUMP, 0x6aeb, 2);
	memcpy(file + SETUP_MAGIC, "HdrS", 4);
	store_le(file + SETUP_VERSION, 0x020f, 2);
	file[SETUP_LOADFLAGS] = SETUP_LOADED_HIGH;
	store_le(file + SETUP_INITRD_ADDR_MAX, 0x7fffffff, 4);
	store_le(file + SETUP_KERNEL_ALIGNMENT, 2 * MIB, 4);
	file[SETUP_RELOCATABLE_KERNEL] = 1;
	file[SETUP_MIN_ALIGNMENT] = 21;
	store_le(file + SETUP_XLOADFLAGS, SETUP_XLF_KERNEL_64 | SETUP_XLF_ABOVE_4G, 2);
	store_le(file + SETUP_CMDLINE_SIZE, 2047, 4);
	store_le(file + SETUP_PREF_ADDRESS, 16 * MIB, 8);
	store_le(file + SETUP_INIT_SIZE, 8 * MIB, 4);
}

/*
 * --- ELF: file header, room for 8 program headers, one 256-byte segment at 1 MiB ---
 *
 * ELF64 by elf_make(), or ELF32, whose offsets are others, by elf32_make().
 */

#define ELF_PHDR(i)   (64 + (i)*56)
#define ELF32_PHDR(i) (52 + (i)*32)
#define ELF_CONTENTS  512
#define ELF_SIZE      1024

struct elf_phdr {
	uint32_t type;
	uint64_t offset, vaddr, paddr, file_size, mem_size, align;
};

static inline void elf_put_phdr(uint8_t *file, unsigned i, struct elf_phdr ph)
{
	bool wide = file[4] != 1;
	uint8_t *p = file + (wide ? ELF_PHDR(i) : ELF32_PHDR(i));
	uint8_t *phnum = file + (wide ? 56 : 44);

	if (*phnum <= i)
		*phnum = (uint8_t)(i + 1);
	store_le(p, ph.type, 4);
	if (!wide) {
		store_le(p + 4, ph.offset, 4);
		store_le(p + 8, ph.vaddr, 4);
		store_le(p + 12, ph.paddr, 4);
		store_le(p + 16, ph.file_size, 4);
		store_le(p + 20, ph.mem_size, 4);
		store_le(p + 28, ph.align, 4);
		return;
	}
	store_le(p + 8, ph.offset, 8);
	store_le(p + 16, ph.vaddr, 8);
	store_le(p + 24, ph.paddr, 8);
	store_le(p + 32, ph.file_size, 8);
	store_le(p + 40, ph.mem_size, 8);
	store_le(p + 48, ph.align, 8);
}

static inline void elf_make(uint8_t *file)
{
	memset(file, 0, ELF_SIZE);
	memcpy(file, "\177ELF\2\1\1", 7);
	store_le(file + 16, 2, 2);	  /* ET_EXEC */
	store_le(file + 18, 62, 2);	  /* x86-64 */
	store_le(file + 24, MIB + 16, 8); /* entry */
	store_le(file + 32, ELF_PHDR(0), 8);
	store_le(file + 54, 56, 2);
	elf_put_phdr(file, 0, (struct elf_phdr){ 1, ELF_CONTENTS, MIB, MIB, 256, 4096, 4096 });
}

static inline void elf32_make(uint8_t *file)
{
	memset(file, 0, ELF_SIZE);
	memcpy(file, "\177ELF\1\1\1", 7);
	store_le(file + 16, 2, 2);	  /* ET_EXEC */
	store_le(file + 18, 3, 2);	  /* i386 */
	store_le(file + 24, MIB + 16, 4); /* entry */
	store_le(file + 28, ELF32_PHDR(0), 4);
	store_le(file + 42, 32, 2);
	elf_put_phdr(file, 0, (struct elf_phdr){ 1, ELF_CONTENTS, MIB, MIB, 256, 4096, 4096 });
}

/* Adds a note that Linux has, as program header `i`. */
static inline void elf_put_linux_note(uint8_t *file, unsigned i)
{
	uint8_t *note = file + ELF_SIZE - 128;

	store_le(note, 6, 4);
	store_le(note + 4, 1, 4);
	store_le(note + 8, 257, 4);
	memcpy(note + 12, "Linux", 6);
	elf_put_phdr(file, i,
		     (struct elf_phdr){ .type = 4,
					.offset = ELF_SIZE - 128,
					.file_size = 24,
					.mem_size = 24,
					.align = 4 });
}

/* Adds the note that asks for the PVH protocol, as program header `i`; desc_size is 4 or 8. */
static inline void elf_put_pvh_note(uint8_t *file, unsigned i, uint32_t entry, unsigned desc_size)
{
	uint8_t *note = file + ELF_SIZE - 64;

	store_le(note, 4, 4);
	store_le(note + 4, desc_size, 4);
	store_le(note + 8, 18, 4);
	memcpy(note + 12, "Xen", 4);
	store_le(note + 16, entry, desc_size);
	elf_put_phdr(file, i,
		     (struct elf_phdr){ .type = 4,
					.offset = ELF_SIZE - 64,
					.file_size = 16 + desc_size,
					.mem_size = 16 + desc_size,
					.align = 4 });
}

#endif
