/*
 * Linux bzImage files.
 *
 * PURE: parses untrusted bytes; boot.c decides the addresses. The protocol is Linux
 * Documentation/arch/x86/boot.rst. Kernels are entered by its 64-bit entry (version 2.12, Linux
 * 3.8, and later) where they have it, or else by its 32-bit entry (version 2.06, Linux 2.6.22, and
 * later), as i386 kernels and old ones are.
 */
#ifndef FIRMWARE_BZIMAGE_H
#define FIRMWARE_BZIMAGE_H

#include "firmware/setup_header.h"
#include "vmm/base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* "64-bit BOOT PROTOCOL": the entry point's offset into the loaded code. */
#define BZIMAGE_ENTRY_64 0x200

struct bzimage {
	unsigned version;     /* 0x020f is 2.15 */
	bool entry64;	      /* has the 64-bit entry; else the 32-bit one, the code's first byte */
	uint64_t code_offset; /* the protected-mode code: bytes of the file */
	uint64_t code_size;
	uint64_t init_size;    /* RAM needed from the load address on; at least code_size */
	uint64_t pref_address; /* the preferred load address, or the only one if not relocatable */
	uint64_t alignment;    /* of the load address, a power of two; 1 if not relocatable */
	bool relocatable;
	bool above_4g;			  /* kernel, initrd and boot data may lie above 4 GiB */
	uint64_t initrd_max;		  /* the highest address of the initrd's last byte */
	uint64_t cmdline_max;		  /* bytes without the NUL */
	uint8_t header[SETUP_HEADER_MAX]; /* for the zero page: the file from SETUP_SECTS on */
	size_t header_len;
};

/*
 * Parses the `len` bytes at `file`; keeps no pointer to them. Returns 0, or -ENOEXEC and a sentence
 * that reads well after "FILE: ".
 */
int bzimage_parse(struct bzimage *bz, const uint8_t *file, size_t len, struct err *err);

#endif
