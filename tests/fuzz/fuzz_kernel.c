/* Kernels, bzImage and ELF: any bytes parse or are refused; what parses is placed by the rules, or
 * refused. */
#include "firmware/boot.h"
#include "firmware/release.h"
#include "tests/boot_check.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* RAM across holes, near enough together for a mutated address to hit them. */
static const struct e820_entry map[] = {
	{ { 0, LOW_RAM_END }, E820_USABLE },
	{ { ACPI_BASE, ACPI_END }, E820_RESERVED },
	{ { MIB, 3 * MIB }, E820_USABLE },
	{ { 3 * MIB, 40 * MIB }, E820_USABLE },
	{ { 40 * MIB, 41 * MIB + 1 }, E820_RESERVED },
	{ { 41 * MIB + 1, 3 * GIB }, E820_USABLE },
	{ { 0xfcf0000000, 0xfd00000000 }, E820_USABLE },
	{ { TIB, TIB + GIB }, E820_USABLE },
};

/* A release is the name of a folder, and no path out of it. */
static const char *release_check(const uint8_t *data, size_t size)
{
	char release[RELEASE_SIZE];
	int ret = boot_kernel_release(data, size, release, sizeof(release));

	if (ret)
		return ret == -ENOENT && !release[0] ? NULL : "a release without a success";
	if (!memchr(release, 0, sizeof(release)) || strpbrk(release, "/ \n\t"))
		return "a release that is no name";
	return release[0] >= '0' && release[0] <= '9' ? NULL : "a release without a number";
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t scratch[BOOT_SCRATCH_SIZE];
	struct boot_kernel kernel;
	struct boot_request req = {
		.e820 = map,
		.nr_e820 = ARRAY_SIZE(map),
		.kernel = &kernel,
		.initrd_size = 64 * MIB,
		.cmdline = "console=ttyS0",
		.rsdp = ACPI_RSDP,
		.scratch = scratch,
		.scratch_size = sizeof(scratch),
	};
	struct err err = { "" };
	struct boot boot;
	const char *broken = NULL;
	int ret = boot_kernel_parse(&kernel, data, size, &err);

	if (!ret)
		ret = boot_build(&boot, &req, &err);
	if (!ret)
		broken = boot_check(&boot, &req, size);
	else if (ret > 0 || !err.text[0])
		broken = "refused without a sentence";
	if (!broken)
		broken = release_check(data, size);
	if (broken) {
		fprintf(stderr, "%s\n", broken);
		abort();
	}
	return 0;
}
