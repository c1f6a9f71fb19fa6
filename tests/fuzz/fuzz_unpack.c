/*
 * A file of a kernel module, behind a byte that says by its value modulo 4 how it is packed.
 * Whatever is in it: what comes out is an ELF file of a bounded size, or a sentence.
 */
#include "vmm/test/unpack.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const paths[] = { "m.ko", "m.ko.xz", "m.ko.zst", "m.ko.gz" };
	struct buffer to = BUFFER_EMPTY;
	struct err err = { "" };
	const char *path;
	int ret;

	if (!size)
		return 0;
	path = paths[data[0] % ARRAY_SIZE(paths)];
	ret = unpack(path, data + 1, size - 1, &to, &err);
	if (ret == 0 ? to.len < 4 || to.len > UNPACK_MAX || memcmp(to.data, "\177ELF", 4) != 0
		     : (ret != -EINVAL && ret != -EFBIG && ret != -ENOMEM) || !err.text[0])
		abort();
	buffer_free(&to);
	return 0;
}
