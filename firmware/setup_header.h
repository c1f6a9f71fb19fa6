/*
 * Offsets and flags of the x86 setup header.
 *
 * Linux Documentation/arch/x86/boot.rst, "Details of Header Fields". The header has the same
 * offsets in a bzImage file (where bzimage.c reads it) and in the zero page (where zeropage.c
 * writes it).
 */
#ifndef FIRMWARE_SETUP_HEADER_H
#define FIRMWARE_SETUP_HEADER_H

#define SETUP_SECTS		 0x1f1 /* 1 byte; 0 means 4 */
#define SETUP_SYSSIZE		 0x1f4 /* 4; protected-mode code in 16-byte units */
#define SETUP_BOOT_FLAG		 0x1fe /* 2 */
#define SETUP_JUMP		 0x200 /* 2; a short jump, whose target is the header's end */
#define SETUP_MAGIC		 0x202 /* 4 */
#define SETUP_VERSION		 0x206 /* 2 */
#define SETUP_KERNEL_VERSION	 0x20e /* 2; of its text, less 0x200; 0: none */
#define SETUP_TYPE_OF_LOADER	 0x210 /* 1 */
#define SETUP_LOADFLAGS		 0x211 /* 1 */
#define SETUP_RAMDISK_IMAGE	 0x218 /* 4 */
#define SETUP_RAMDISK_SIZE	 0x21c /* 4 */
#define SETUP_CMD_LINE_PTR	 0x228 /* 4 */
#define SETUP_INITRD_ADDR_MAX	 0x22c /* 4; of the last byte */
#define SETUP_KERNEL_ALIGNMENT	 0x230 /* 4 */
#define SETUP_RELOCATABLE_KERNEL 0x234 /* 1 */
#define SETUP_MIN_ALIGNMENT	 0x235 /* 1; as a power of two */
#define SETUP_XLOADFLAGS	 0x236 /* 2 */
#define SETUP_CMDLINE_SIZE	 0x238 /* 4; without the final NUL */
#define SETUP_DATA		 0x250 /* 8; list of struct setup_data */
#define SETUP_PREF_ADDRESS	 0x258 /* 8 */
#define SETUP_INIT_SIZE		 0x260 /* 4 */
/* The end of the last field that the protocol of a version has. */
#define SETUP_2_06_END 0x23c
#define SETUP_2_10_END 0x264
#define SETUP_2_12_END 0x268

/* "setup_header is permanently limited to 144 bytes" by the reach of the jump. */
#define SETUP_HEADER_MAX 144

#define SETUP_BOOT_FLAG_VALUE 0xaa55
#define SETUP_JUMP_SHORT      0xeb	 /* JMP rel8 */
#define SETUP_MAGIC_VALUE     0x53726448 /* "HdrS" */
#define SETUP_VERSION_32      0x0206	 /* 2.06 brought cmdline_size */
#define SETUP_VERSION_INIT    0x020a	 /* 2.10 brought pref_address and init_size */
#define SETUP_VERSION_64      0x020c	 /* 2.12 brought xloadflags and the 64-bit entry */

/* loadflags */
#define SETUP_LOADED_HIGH 0x01

/* xloadflags */
#define SETUP_XLF_KERNEL_64 0x01
#define SETUP_XLF_ABOVE_4G  0x02

/* Values for a vmlinux, which has no header: Linux' own. */
#define SETUP_DEFAULT_CMDLINE_SIZE    2047
#define SETUP_DEFAULT_INITRD_ADDR_MAX 0x7fffffff

#endif
