/*
 * ELF kernels: an uncompressed Linux vmlinux, another kernel with a PVH note (FreeBSD, unikernels),
 * or one of straddle's own test guests. ELF64, or ELF32 as i386 kernels are.
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
	uint64_t offset; /* bytes of the file that are loaded */
	uint64_t file_size;
	uint64_t gpa;	   /* the load address (p_paddr) */
	uint64_t mem_size; /* at least file_size; the rest is zero */
};

struct elf {
	struct elf_segment segments[ELF_SEGMENTS_MAX]; /* as in the file; disjoint, none empty */
	unsigned nr_segments;
	bool wide;	/* an ELF64 file; else ELF32 */
	uint64_t entry; /* GPA, within the file's bytes of a segment */
	bool pvh;	/* `entry` is for PVH; else for Linux' boot protocol, of 64 bits if wide */
	/* The entry for Linux' boot protocol of a Linux that has a PVH note; 0: none. */
	uint64_t linux_entry;
};

/* True if the file starts with the ELF magic. */
bool elf_is(const uint8_t *file, size_t len);

/*
 * Parses the `len` bytes at `file`; keeps no pointer to them. With a PVH note the protocol is PVH.
 * Returns 0, or -ENOEXEC and a sentence that reads well after "FILE: ".
 */
int elf_parse(struct elf *elf, const uint8_t *file, size_t len, struct err *err);

#endif
