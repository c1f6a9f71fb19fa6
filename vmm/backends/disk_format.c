#include "vmm/backends/disk_format.h"

#include <string.h>

/* The headers are those that QEMU's block drivers look for (block/NAME.c, NAME_probe). */
static const struct magic {
	const char *format;
	size_t offset;
	const char *bytes;
	size_t len;
} magics[] = {
#define MAGIC(format, offset, bytes)                     \
	{                                                \
		format, offset, bytes, sizeof(bytes) - 1 \
	}
	MAGIC("qcow2", 0, "QFI\xfb\0\0\0\2"),
	MAGIC("qcow2", 0, "QFI\xfb\0\0\0\3"),
	MAGIC("qcow", 0, "QFI\xfb"),
	MAGIC("qed", 0, "QED\0"),
	MAGIC("vmdk", 0, "KDMV"),
	MAGIC("vmdk", 0, "COWD"),
	MAGIC("vmdk", 0, "# Disk DescriptorFile"),
	MAGIC("vdi", 64, "\x7f\x10\xda\xbe"),
	MAGIC("vhdx", 0, "vhdxfile"),
	MAGIC("vpc", 0, "conectix"),
	MAGIC("luks", 0, "LUKS\xba\xbe"),
	MAGIC("parallels", 0, "WithoutFreeSpace"),
	MAGIC("parallels", 0, "WithouFreSpacExt"),
	MAGIC("bochs", 0, "Bochs Virtual HD Image"),
	MAGIC("cloop", 0, "#!/bin/sh\n#V2.0 Format\n"),
};
/* A fixed VHD is a raw image with a footer, and so is a disk image of macOS. */
static const struct magic footers[] = {
	MAGIC("vpc", 0, "conectix"),
	MAGIC("dmg", 0, "koly"),
};

static const char *disk_format_find(const struct magic *list, size_t nr, const uint8_t *at,
				    size_t n)
{
	for (size_t i = 0; i < nr; i++) {
		const struct magic *m = &list[i];

		if (n >= m->offset + m->len && !memcmp(at + m->offset, m->bytes, m->len))
			return m->format;
	}
	return NULL;
}

const char *disk_format(const uint8_t *head, size_t n, const uint8_t *tail, size_t m)
{
	const char *format = disk_format_find(magics, sizeof(magics) / sizeof(magics[0]), head, n);

	return format ? format
		      : disk_format_find(footers, sizeof(footers) / sizeof(footers[0]), tail, m);
}
