#include "vmm/test/printed.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void printed_open(struct printed *p, int fd)
{
	*p = (struct printed){ .fd = fd };
	fcntl(fd, F_SETFL, O_NONBLOCK);
}

bool printed_read(struct printed *p)
{
	char buf[16384];
	ssize_t n = read(p->fd, buf, sizeof(buf));

	/* Without memory nothing is kept, and the case goes on. */
	if (n > 0 && (p->kept.tail || ends_open(&p->kept, PRINTED_HEAD, PRINTED_TAIL) == 0)) {
		ends_put(&p->kept, buf, (size_t)n);
		p->bytes += (uint64_t)n;
	}
	return n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR));
}

void printed_drain(struct printed *p)
{
	uint64_t before;

	do
		before = p->bytes;
	while (printed_read(p) && p->bytes > before);
}

const char *printed_tail(struct printed *p)
{
	size_t n;

	free(p->shown);
	p->shown = p->bytes ? malloc(PRINTED_SHOW + 1) : NULL;
	if (!p->shown)
		return NULL;
	n = ends_copy_last(&p->kept, p->shown, PRINTED_SHOW + 1);
	for (size_t i = 0; i < n; i++)
		if (!p->shown[i])
			p->shown[i] = '?';
	return p->shown;
}

void printed_write(const struct printed *p, const char *folder)
{
	char path[PATH_MAX + 16];
	FILE *file;

	snprintf(path, sizeof(path), "%s/output.log", folder);
	file = p->bytes ? fopen(path, "we") : NULL;
	if (!file)
		return;
	ends_write(&p->kept, file, "\n[", " bytes are left out here]\n");
	fclose(file);
}

void printed_close(struct printed *p)
{
	if (p->fd >= 0)
		close(p->fd);
	ends_close(&p->kept);
	free(p->shown);
	*p = (struct printed){ .fd = -1 };
}
