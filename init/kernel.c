#include "init/kernel.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* --- files --- */

static bool read_text(char *text, size_t size, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t len = 0;
	ssize_t n = 0;

	while (fd >= 0 && len < size - 1 && (n = read(fd, text + len, size - 1 - len)) > 0)
		len += (size_t)n;
	while (len && strchr(" \n\t", text[len - 1]))
		len--;
	text[len] = '\0';
	if (fd >= 0)
		close(fd);
	return fd >= 0 && n >= 0;
}

bool kernel_read(char *text, size_t size, const char *path, ...)
{
	char name[512];
	va_list ap;

	va_start(ap, path);
	vsnprintf(name, sizeof(name), path, ap);
	va_end(ap);
	return read_text(text, size, name);
}

bool kernel_number(uint64_t *number, const char *path, ...)
{
	char name[512], text[64], *end;
	va_list ap;

	va_start(ap, path);
	vsnprintf(name, sizeof(name), path, ap);
	va_end(ap);
	if (!read_text(text, sizeof(text), name))
		return false;
	*number = strtoull(text, &end, 0);
	return end > text;
}

int kernel_write(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), ret = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) < 0)
		ret = -errno;
	close(fd);
	return ret;
}

/* --- lines --- */

bool kernel_iomem(struct iomem *io, char *line)
{
	char *p = line, *end;

	while (*p == ' ')
		p++;
	io->depth = (unsigned)(p - line) / 2; /* r_show() of kernel/resource.c */
	io->start = strtoull(p, &end, 16);
	if (end == p || *end != '-')
		return false;
	p = end + 1;
	io->end = strtoull(p, &end, 16) + 1;
	if (end == p || strncmp(end, " : ", 3) != 0)
		return false;
	io->name = end + 3;
	end[3 + strcspn(end + 3, "\n")] = '\0';
	return true;
}

unsigned kernel_list_count(const char *list)
{
	unsigned count = 0;

	while (*list >= '0' && *list <= '9') {
		char *end;
		unsigned long first = strtoul(list, &end, 10), last = first;

		if (*end == '-')
			last = strtoul(end + 1, &end, 10);
		if (last < first)
			return 0;
		count += (unsigned)(last - first) + 1;
		if (*end != ',')
			break;
		list = end + 1;
	}
	return count;
}

bool kernel_field(const char *text, const char *name, uint64_t *number)
{
	const char *at = strstr(text, name);
	char *end;

	if (!at)
		return false;
	at += strlen(name);
	*number = strtoull(at, &end, 10);
	return end > at;
}
