#include "firmware/bzimage.h"

#include "firmware/kind.h"
#include "vmm/bytes.h"
#include "vmm/span.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define SECTOR 512

static int not_a_kernel(const uint8_t *file, size_t len, struct err *err)
{
	const struct kind *kind = kind_of(file, len);

	if (kind)
		return err_set(err, ENOEXEC,
			       "not an x86-64 Linux kernel but %s; give a bzImage (vmlinuz) or an "
			       "uncompressed ELF vmlinux",
			       kind->what);
	return err_set(
		err, ENOEXEC,
		"not an x86-64 Linux kernel (%zu bytes without a kernel's signature); give a "
		"bzImage (vmlinuz) or an ELF vmlinux",
		len);
}

/* Copies the header; the jump at its start tells its end: boot.rst, "Details of Header Fields". */
static int header_copy(struct bzimage *bz, const uint8_t *file, size_t len, struct err *err)
{
	uint64_t end = SETUP_MAGIC + file[SETUP_JUMP + 1];

	if (file[SETUP_JUMP] != 0xeb || end < SETUP_2_12_END ||
	    end - SETUP_SECTS > SETUP_HEADER_MAX)
		return err_set(err, ENOEXEC,
			       "corrupt kernel: the setup header ends at %#" PRIx64 ", "
			       "not between %#x and %#x",
			       end, SETUP_2_12_END, SETUP_SECTS + SETUP_HEADER_MAX);
	if (len < end)
		return err_set(err, ENOEXEC, "truncated kernel: %zu bytes, less than its header",
			       len);
	bz->header_len = end - SETUP_SECTS;
	memcpy(bz->header, file + SETUP_SECTS, bz->header_len);
	return 0;
}

/* Whether the bytes are a kernel that has the 64-bit entry at all. */
static int kind_check(struct bzimage *bz, const uint8_t *file, size_t len, struct err *err)
{
	if (!len)
		return err_set(err, ENOEXEC, "an empty file, not a kernel");
	if (len < SETUP_VERSION + 2 ||
	    load_le(file + SETUP_BOOT_FLAG, 2) != SETUP_BOOT_FLAG_VALUE ||
	    load_le(file + SETUP_MAGIC, 4) != SETUP_MAGIC_VALUE)
		return not_a_kernel(file, len, err);

	bz->version = (unsigned)load_le(file + SETUP_VERSION, 2);
	if (bz->version < SETUP_VERSION_64)
		return err_set(err, ENOEXEC,
			       "a kernel of boot protocol %u.%02u; the 64-bit entry needs 2.12 "
			       "(Linux 3.8) or later",
			       bz->version >> 8, bz->version & 0xff);
	if (len < SETUP_2_12_END)
		return err_set(err, ENOEXEC, "truncated kernel: %zu bytes, less than its header",
			       len);
	if (!(load_le(file + SETUP_XLOADFLAGS, 2) & SETUP_XLF_KERNEL_64))
		return err_set(err, ENOEXEC,
			       "a 32-bit kernel (no 64-bit entry); give an x86-64 (amd64) one");
	if (!(file[SETUP_LOADFLAGS] & SETUP_LOADED_HIGH))
		return err_set(err, ENOEXEC, "a zImage, which loads below 1 MiB; give a bzImage");
	return 0;
}

/* Where the protected-mode code is. Anything behind it is a signature and of no use here. */
static int code_find(struct bzimage *bz, const uint8_t *file, size_t len, struct err *err)
{
	unsigned sects = file[SETUP_SECTS] ? file[SETUP_SECTS] : 4;

	bz->code_offset = (sects + UINT64_C(1)) * SECTOR;
	bz->code_size = load_le(file + SETUP_SYSSIZE, 4) * 16;
	if (bz->code_size <= BZIMAGE_ENTRY_64)
		return err_set(err, ENOEXEC,
			       "corrupt kernel: %" PRIu64
			       " bytes of code (syssize) hold no entry point",
			       bz->code_size);
	if (bz->code_offset > len || bz->code_size > len - bz->code_offset)
		return err_set(err, ENOEXEC,
			       "truncated kernel: %zu bytes, but its header promises %" PRIu64, len,
			       bz->code_offset + bz->code_size);
	return 0;
}

static int placement_parse(struct bzimage *bz, const uint8_t *file, struct err *err)
{
	uint8_t min_alignment = file[SETUP_MIN_ALIGNMENT];

	bz->init_size = load_le(file + SETUP_INIT_SIZE, 4);
	if (bz->init_size < bz->code_size)
		return err_set(err, ENOEXEC,
			       "corrupt kernel: init_size %" PRIu64 " is less than its %" PRIu64
			       " bytes of code",
			       bz->init_size, bz->code_size);
	bz->pref_address = load_le(file + SETUP_PREF_ADDRESS, 8);
	bz->relocatable = file[SETUP_RELOCATABLE_KERNEL];
	bz->alignment = load_le(file + SETUP_KERNEL_ALIGNMENT, 4);
	if (!is_power_of_two(bz->alignment) || min_alignment > 31 ||
	    UINT64_C(1) << min_alignment > bz->alignment)
		return err_set(err, ENOEXEC,
			       "corrupt kernel: kernel_alignment %#" PRIx64
			       " and min_alignment 2^%u "
			       "make no sense",
			       bz->alignment, min_alignment);
	bz->above_4g = load_le(file + SETUP_XLOADFLAGS, 2) & SETUP_XLF_ABOVE_4G;
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
	if (!ret)
		ret = code_find(bz, file, len, err);
	if (!ret)
		ret = placement_parse(bz, file, err);
	return ret;
}
