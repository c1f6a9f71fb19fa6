#include "vmm/test/cpio.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define CPIO_HEADER 110
#define CPIO_ALIGN  4

struct entry {
	const char *path;
	uint32_t mode, links, major, minor;
	const void *data;
	size_t len;
};

static void put_aligned(struct buffer *b, const void *from, size_t n)
{
	static const uint8_t zeroes[CPIO_ALIGN];

	buffer_put(b, from, n);
	if (b->len % CPIO_ALIGN)
		buffer_put(b, zeroes, CPIO_ALIGN - b->len % CPIO_ALIGN);
}

/* Linux skips an entry whose name is longer than this, silently (init/initramfs.c, do_header()). */
#define CPIO_PATH_MAX PATH_MAX

static void entry_put(struct cpio *c, uint32_t inode, const struct entry *e)
{
	size_t name_size = strlen(e->path) + 1;
	char header[CPIO_HEADER + 1];

	if (!c->out.error && name_size > CPIO_PATH_MAX)
		c->out.error = -ENAMETOOLONG;
	if (!c->out.error && e->len > UINT32_MAX)
		c->out.error = -EFBIG;
	if (c->out.error)
		return;
	/* magic, inode, mode, uid, gid, links, time, size, device of the file, device, name, sum */
	snprintf(header, sizeof(header),
		 "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x", inode, e->mode, 0, 0,
		 e->links, 0, (uint32_t)e->len, 0, 0, e->major, e->minor, (uint32_t)name_size, 0);
	buffer_put(&c->out, header, CPIO_HEADER);
	put_aligned(&c->out, e->path, name_size);
	put_aligned(&c->out, e->data, e->len);
}

void cpio_directory(struct cpio *c, const char *path, unsigned permissions)
{
	entry_put(c, ++c->inode,
		  &(struct entry){ .path = path, .mode = S_IFDIR | permissions, .links = 2 });
}

void cpio_file(struct cpio *c, const char *path, unsigned permissions, const void *data, size_t len)
{
	entry_put(c, ++c->inode,
		  &(struct entry){ .path = path,
				   .mode = S_IFREG | permissions,
				   .links = 1,
				   .data = data,
				   .len = len });
}

void cpio_character_device(struct cpio *c, const char *path, unsigned permissions,
			   unsigned major_number, unsigned minor_number)
{
	entry_put(c, ++c->inode,
		  &(struct entry){ .path = path,
				   .mode = S_IFCHR | permissions,
				   .links = 1,
				   .major = major_number,
				   .minor = minor_number });
}

int cpio_end(struct cpio *c, struct err *err)
{
	entry_put(c, 0, &(struct entry){ .path = "TRAILER!!!", .links = 1 });
	if (!c->out.error)
		return 0;
	return err_sys(err, -c->out.error, "the initramfs of straddle's own cannot be made");
}

void cpio_free(struct cpio *c)
{
	buffer_free(&c->out);
	c->inode = 0;
}
