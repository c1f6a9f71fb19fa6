/*
 * disk_format: what is no raw image is named, and what is one is not.
 */
#include "vmm/backends/disk_format.h"

#include <string.h>

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

static const struct {
	const char *format;
	size_t offset;
	const char *bytes;
	size_t len;
	int at_end;
} images[] = {
#define IMAGE(format, offset, bytes, at_end)                     \
	{                                                        \
		format, offset, bytes, sizeof(bytes) - 1, at_end \
	}
	IMAGE("qcow2", 0, "QFI\xfb\0\0\0\2", 0),
	IMAGE("qcow2", 0, "QFI\xfb\0\0\0\3", 0),
	IMAGE("qcow", 0, "QFI\xfb\0\0\0\1", 0),
	IMAGE("qed", 0, "QED\0", 0),
	IMAGE("vmdk", 0, "KDMV\1\0\0\0", 0),
	IMAGE("vmdk", 0, "COWD", 0),
	IMAGE("vmdk", 0, "# Disk DescriptorFile\nversion=1\n", 0),
	IMAGE("vdi", 0x40, "\x7f\x10\xda\xbe", 0),
	IMAGE("vhdx", 0, "vhdxfile", 0),
	IMAGE("vpc", 0, "conectix", 0),
	IMAGE("vpc", 0, "conectix", 1),
	IMAGE("luks", 0, "LUKS\xba\xbe\0\2", 0),
	IMAGE("parallels", 0, "WithoutFreeSpace", 0),
	IMAGE("bochs", 0, "Bochs Virtual HD Image", 0),
	IMAGE("dmg", 0, "koly", 1),
	/* raw ones: nothing, a boot sector, GPT's second sector and ISO 9660 begin elsewhere */
	IMAGE(NULL, 0, "", 0),
	IMAGE(NULL, 0, "\xeb\x63\x90", 0),
	IMAGE(NULL, 0, "QFI\xfa\0\0\0\2", 0),
	IMAGE(NULL, 1, "QFI\xfb\0\0\0\2", 0),
	IMAGE(NULL, 0, "QFI\xfb\0\0\0\2", 1),
	IMAGE(NULL, 0, "koly", 0),
};

static void test_formats(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(images) / sizeof(images[0]); i++) {
		uint8_t head[DISK_FORMAT_HEAD] = { 0 }, tail[DISK_FORMAT_TAIL] = { 0 };
		const char *got;

		memcpy((images[i].at_end ? tail : head) + images[i].offset, images[i].bytes,
		       images[i].len);
		got = disk_format(head, sizeof(head), tail, sizeof(tail));
		if (got != images[i].format &&
		    (!got || !images[i].format || strcmp(got, images[i].format) != 0))
			fail_msg("image %zu is %s", i, got ? got : "raw");
	}
}

/* No byte beyond what was read is looked at: each is in a block of its own size. */
static void test_short(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(images) / sizeof(images[0]); i++) {
		size_t whole = images[i].offset + images[i].len;

		for (size_t n = 0; n < whole && !images[i].at_end; n++) {
			uint8_t *head = test_malloc(n + 1), *at = head + 1; /* odd, too */
			size_t from = n < images[i].offset ? n : images[i].offset;

			memset(at, 0, n);
			memcpy(at + from, images[i].bytes, n - from);
			if (n < 4)
				assert_null(disk_format(at, n, at, 0));
			else
				(void)disk_format(at, n, at, 0);
			test_free(head);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_formats),
		cmocka_unit_test(test_short),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
