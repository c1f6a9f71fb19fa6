#include "firmware/bzimage.h"

#include "firmware/kind.h"
#include "vmm/base/bytes.h"
#include "vmm/base/span.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define SECTOR	     512
#define SYSSIZE_UNIT 16

static int not_a_kernel(const uint8_t *file, size_t len, struct err *err)
{
	const struct kind *kind = kind_of(file, len);

	if (kind)
		return err_set(err, ENOEXEC,
			       "not an x86 Linux kernel but %s; give a bzImage (vmlinuz) or an "
			       "uncompressed ELF vmlinux%s",
			       kind->what, kind->unpack);
	return err_set(err, ENOEXEC,
		       "not an x86 Linux kernel (%zu bytes without a kernel's signature); give a "
		       "bzImage (vmlinuz) or an ELF vmlinux",
		       len);
}

/*
 * Copies the header. The target of the jump at its start is its end (boot.rst, "Details of Header
 * Fields"), which lies at or behind the last field of its protocol version.
 */
static int header_copy(struct bzimage *bz, const uint8_t *file, size_t len, struct err *err)
{
	unsigned least = bz->version >= SETUP_VERSION_64     ? SETUP_2_12_END
			 : bz->version >= SETUP_VERSION_INIT ? SETUP_2_10_END
							     : SETUP_2_06_END;
	uint64_t end = SETUP_MAGIC + file[SETUP_JUMP + 1];

	if (file[SETUP_JUMP] != SETUP_JUMP_SHORT)
		return err_set(err, ENOEXEC,
			       "corrupt kernel: byte %#x is %#x, not the short jump (%#x) that "
			       "ends the setup header",
			       SETUP_JUMP, file[SETUP_JUMP], SETUP_JUMP_SHORT);
	if (end < least || end - SETUP_SECTS > SETUP_HEADER_MAX)
		return err_set(err, ENOEXEC,
			       "corrupt kernel: the setup header ends at %#" PRIx64 ", "
			       "not between %#x and %#x",
			       end, least, SETUP_SECTS + SETUP_HEADER_MAX);
	if (len < end)
		return err_set(err, ENOEXEC, "truncated kernel: %zu bytes, less than its header",
			       len);
	bz->header_len = end - SETUP_SECTS;
	memcpy(bz->header, file + SETUP_SECTS, bz->header_len);
	return 0;
}

/* Checks that the file is a kernel with an entry that is supported, and finds which. */
static int kind_check(struct bzimage *bz, const uint8_t *file, size_t len, struct err *err)
{
	if (!len)
		return err_set(err, ENOEXEC, "an empty file, not a kernel");
	if (len < SETUP_VERSION + 2 ||
	    load_le(file + SETUP_BOOT_FLAG, 2) != SETUP_BOOT_FLAG_VALUE ||
	    load_le(file + SETUP_MAGIC, 4) != SETUP_MAGIC_VALUE)
		return not_a_kernel(file, len, err);

	bz->version = (unsigned)load_le(file + SETUP_VERSION, 2);
	if (bz->version < SETUP_VERSION_32)
		return err_set(err, ENOEXEC,
			       "a kernel of boot protocol %u.%02u; the 32-bit entry needs 2.06 "
			       "(Linux 2.6.22) or later",
			       bz->version >> 8, bz->version & 0xff);
	if (len < SETUP_2_12_END)
		return err_set(err, ENOEXEC, "truncated kernel: %zu bytes, less than its header",
			       len);
	if (!(file[SETUP_LOADFLAGS] & SETUP_LOADED_HIGH))
		return err_set(err, ENOEXEC, "a zImage, which loads below 1 MiB; give a bzImage");
	return 0;
}

/*
 * Finds the protected-mode code. Its size is in units of 16 bytes, the last of which may be
 * incomplete (memtest86+), and is 0 in kernels whose maker relies on boot loaders to load the rest
 * of the file. Bytes behind the code are a signature, which is ignored.
 */
static int code_find(struct bzimage *bz, const uint8_t *file, size_t len, struct err *err)
{
	unsigned sects = file[SETUP_SECTS] ? file[SETUP_SECTS] : 4;
	uint64_t promised = load_le(file + SETUP_SYSSIZE, 4) * SYSSIZE_UNIT;
	uint64_t entry = bz->entry64 ? BZIMAGE_ENTRY_64 : 0, rest;

	bz->code_offset = (sects + UINT64_C(1)) * SECTOR;
	rest = len - min_u64(len, bz->code_offset);
	if (promised >= rest + SYSSIZE_UNIT)
		return err_set(err, ENOEXEC,
			       "truncated kernel: %zu bytes, but its header promises %" PRIu64, len,
			       bz->code_offset + promised);
	bz->code_size = promised ? min_u64(promised, rest) : rest;
	if (bz->code_size <= entry)
		return err_set(err, ENOEXEC,
			       "%s kernel: %" PRIu64 " bytes of code hold no entry point",
			       promised ? "corrupt" : "truncated", bz->code_size);
	return 0;
}

/*
 * The load address of kernels before protocol 2.10, which name none, and the room they need there
 * to unpack.
 */
#define ADDRESS_BEFORE_2_10 MIB
#define ROOM_BEFORE_2_10    4 /* times code_size: gzip packs a kernel to a third */

static int placement_parse(struct bzimage *bz, const uint8_t *file, struct err *err)
{
	bool says = bz->version >= SETUP_VERSION_INIT;
	uint8_t min_alignment = says ? file[SETUP_MIN_ALIGNMENT] : 0;

	bz->init_size =
		says ? load_le(file + SETUP_INIT_SIZE, 4) : bz->code_size * ROOM_BEFORE_2_10;
	bz->init_size = max_u64(bz->init_size, bz->code_size);
	bz->pref_address = says ? load_le(file + SETUP_PREF_ADDRESS, 8) : ADDRESS_BEFORE_2_10;
	bz->relocatable = file[SETUP_RELOCATABLE_KERNEL];
	bz->alignment = bz->relocatable ? load_le(file + SETUP_KERNEL_ALIGNMENT, 4) : 1;
	if (bz->relocatable && (!is_power_of_two(bz->alignment) || min_alignment > 31 ||
				UINT64_C(1) << min_alignment > bz->alignment))
		return err_set(err, ENOEXEC,
			       "corrupt kernel: kernel_alignment %#" PRIx64
			       " and min_alignment 2^%u "
			       "make no sense",
			       bz->alignment, min_alignment);
	bz->initrd_max = load_le(file + SETUP_INITRD_ADDR_MAX, 4);
	bz->cmdline_max = load_le(file + SETUP_CMDLINE_SIZE, 4);
	return 0;
}

int bzimage_parse(struct bzimage *bz, const uint8_t *file, size_t len, struct err *err)
{
	int ret;

	*bz = (struct bzimage){ 0 };
	ret = kind_check(bz, file, len, err);
	if (!ret)
		ret = header_copy(bz, file, len, err);
	if (ret)
		return ret;
	if (bz->version >= SETUP_VERSION_64) {
		bz->entry64 = load_le(file + SETUP_XLOADFLAGS, 2) & SETUP_XLF_KERNEL_64;
		bz->above_4g =
			bz->entry64 && load_le(file + SETUP_XLOADFLAGS, 2) & SETUP_XLF_ABOVE_4G;
	}
	ret = code_find(bz, file, len, err);
	return ret ? ret : placement_parse(bz, file, err);
}
