#include "firmware/release.h"

#include "firmware/setup_header.h"
#include "vmm/base/bytes.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

/* The first words of linux_banner (Linux, init/version-timestamp.c). */
#define BANNER	   "Linux version "
#define BANNER_LEN (sizeof(BANNER) - 1)

static bool is_digit(uint8_t c)
{
	return c >= '0' && c <= '9';
}

/* Copies the release that begins at file[at]; what ends it must lie in the file, too. */
static int release_copy(const uint8_t *file, size_t len, size_t at, char *out, size_t cap)
{
	size_t n = 0;

	if (at >= len || !is_digit(file[at]))
		return -ENOENT;
	while (n < len - at && file[at + n] > ' ' && file[at + n] < 0x7f && file[at + n] != '/')
		n++;
	if (n == len - at || (file[at + n] != ' ' && file[at + n] != 0) || n >= cap)
		return -ENOENT;
	memcpy(out, file + at, n);
	out[n] = 0;
	return 0;
}

/* The field holds the text's offset less 0x200, or 0 (boot.rst, "kernel_version"). */
static int release_of_bzimage(const uint8_t *file, size_t len, char *out, size_t cap)
{
	size_t at = (size_t)load_le(file + SETUP_KERNEL_VERSION, 2);

	return at ? release_copy(file, len, at + SETUP_JUMP, out, cap) : -ENOENT;
}

/*
 * A vmlinux has its release in the banner alone. The words may stand in other strings, too, so the
 * first that a release follows is taken.
 */
static int release_of_elf(const uint8_t *file, size_t len, char *out, size_t cap)
{
	const uint8_t *p = file, *end = file + len;

	while ((p = memchr(p, BANNER[0], (size_t)(end - p)))) {
		if ((size_t)(end - p) <= BANNER_LEN)
			break;
		if (!memcmp(p, BANNER, BANNER_LEN) &&
		    !release_copy(file, len, (size_t)(p - file) + BANNER_LEN, out, cap))
			return 0;
		p++;
	}
	return -ENOENT;
}

int boot_kernel_release(const uint8_t *file, size_t len, char *out, size_t cap)
{
	if (cap)
		*out = 0;
	if (len >= 4 && !memcmp(file, "\177ELF", 4))
		return release_of_elf(file, len, out, cap);
	if (len >= SETUP_KERNEL_VERSION + 2 &&
	    load_le(file + SETUP_BOOT_FLAG, 2) == SETUP_BOOT_FLAG_VALUE &&
	    load_le(file + SETUP_MAGIC, 4) == SETUP_MAGIC_VALUE)
		return release_of_bzimage(file, len, out, cap);
	return -ENOENT;
}
