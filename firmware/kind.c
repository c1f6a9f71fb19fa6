#include "firmware/kind.h"

#include "vmm/base/span.h"

#include <string.h>

/*
 * How to unpack vmlinux, which distributions and kernel builds may pack by any of these programs.
 */
#define UNPACK(command) " (" command " FILE > vmlinux unpacks it, if it is in there)"

#define UNIFIED " (objcopy -O binary -j .linux FILE vmlinuz takes it out of a unified kernel image)"

struct magic {
	struct kind kind;
	uint16_t at;
	uint8_t len;
	char bytes[9];
};

/* The first match wins, because a Linux kernel that is an EFI program also starts with "MZ". */
static const struct magic magics[] = {
	{ { "an x86 Linux kernel (bzImage)", KIND_KERNEL, "" }, 0x202, 4, "HdrS" },
	{ { "an ARM64 kernel Image", KIND_KERNEL, "" }, 0x38, 4, "ARM\x64" },
	{ { "a RISC-V kernel Image", KIND_KERNEL, "" }, 0x38, 4, "RSC\x05" },
	{ { "an ELF file", KIND_KERNEL, "" }, 0, 4, "\177ELF" },
	{ { "a U-Boot image", KIND_KERNEL, "" }, 0, 4, "\x27\x05\x19\x56" },
	{ { "an EFI program", KIND_OTHER, UNIFIED }, 0, 2, "MZ" },
	{ { "a flattened device tree", KIND_OTHER, "" }, 0, 4, "\xd0\x0d\xfe\xed" },
	{ { "a qcow2 disk image", KIND_OTHER, "" }, 0, 4, "QFI\xfb" },
	{ { "a Debian package or static library", KIND_OTHER, "" }, 0, 8, "!<arch>\n" },
	{ { "a script", KIND_OTHER, "" }, 0, 2, "#!" },
	{ { "a gzip archive", KIND_ARCHIVE, UNPACK("gzip -dc") }, 0, 2, "\x1f\x8b" },
	{ { "a bzip2 archive", KIND_ARCHIVE, UNPACK("bzip2 -dc") }, 0, 3, "BZh" },
	{ { "an xz archive", KIND_ARCHIVE, UNPACK("xz -dc") }, 0, 6, "\3757zXZ" },
	{ { "an LZMA archive", KIND_ARCHIVE, UNPACK("xz -dc") }, 0, 3, "\x5d\0\0" },
	{ { "an LZO archive", KIND_ARCHIVE, UNPACK("lzop -dc") }, 0, 4, "\x89LZO" },
	{ { "an LZ4 archive", KIND_ARCHIVE, UNPACK("lz4 -dc") }, 0, 4, "\x02\x21\x4c\x18" },
	{ { "an LZ4 archive", KIND_ARCHIVE, UNPACK("lz4 -dc") }, 0, 4, "\x04\x22\x4d\x18" },
	{ { "a zstd archive", KIND_ARCHIVE, UNPACK("zstd -dc") }, 0, 4, "\x28\xb5\x2f\xfd" },
	{ { "a cpio archive (an initrd?)", KIND_ARCHIVE, "" }, 0, 5, "07070" },
	{ { "a squashfs image", KIND_ARCHIVE, "" }, 0, 4, "hsqs" },
	{ { "a boot sector or disk image", KIND_OTHER, "" }, 0x1fe, 2, "\x55\xaa" },
};

const struct kind *kind_of(const uint8_t *file, size_t len)
{
	for (size_t i = 0; i < ARRAY_SIZE(magics); i++) {
		const struct magic *m = &magics[i];

		if (len >= (size_t)m->at + m->len && !memcmp(file + m->at, m->bytes, m->len))
			return &m->kind;
	}
	return NULL;
}
