/*
 * ELF kernels: an uncompressed Linux vmlinux, another kernel with a PVH note (FreeBSD, unikernels),
 * or a small guest of our own. ELF64, or ELF32 as i386 kernels are.
 *
 * PURE: parses untrusted bytes; boot.c checks the addresses against the guest's RAM. Formats:
 * System V ABI, "Object Files" and its x86-64 supplement; the PVH note is Xen's
 * xen/include/public/elfnote.h.
 */
#ifndef FIRMWARE_ELF_H
#define FIRMWARE_ELF_H

#include "vmm/base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ELF_SEGMENTS_MAX 64

struct elf_segment {
	uint64_t offset; /* bytes of the file ... */
	uint64_t file_size;
	uint64_t gpa;	   /* ... and where they go (p_paddr) */
	uint64_t mem_size; /* at least file_size; the rest is zero */
};

struct elf {
	struct elf_segment segments[ELF_SEGMENTS_MAX]; /* as in the file; disjoint, none empty */
	unsigned nr_segments;
	bool wide;	/* an ELF64 file; else ELF32 */
	uint64_t entry; /* GPA, within the file's bytes of a segment */
	bool pvh;	/* entry is for the PVH protocol; else for Linux', of 64 bits if wide */
	/* A kernel with a PVH note that is a Linux has this entry, too; 0: none. */
	uint64_t linux_entry;
};

/* True if the file starts as any ELF file does. */
bool elf_is(const uint8_t *file, size_t len);

/*
 * Parses the `len` bytes at `file`; keeps no pointer to them. A PVH note decides for that protocol.
 * Returns 0, or -ENOEXEC and a sentence that reads well after "FILE: ".
 */
int elf_parse(struct elf *elf, const uint8_t *file, size_t len, struct err *err);

#endif
