#include "vfio/sysfs_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int sysfs_path(char out[VFIO_PATH_MAX], const char *root, const char *dir, const char *name)
{
	int n = snprintf(out, VFIO_PATH_MAX, "%s%s/%s", root, dir, name);

	return n < 0 || n >= VFIO_PATH_MAX ? -ENAMETOOLONG : 0;
}

ssize_t sysfs_read(const char *root, const char *dir, const char *name, char *buf, size_t cap)
{
	char path[VFIO_PATH_MAX];
	size_t len = 0;
	ssize_t n;
	int fd, ret = sysfs_path(path, root, dir, name);

	if (ret < 0)
		return ret;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	do {
		n = read(fd, buf + len, cap - 1 - len);
		if (n > 0)
			len += (size_t)n;
	} while ((n > 0 && len < cap - 1) || (n < 0 && errno == EINTR));
	ret = n < 0 ? -errno : 0;
	close(fd);
	buf[len] = '\0';
	return ret < 0 ? ret : (ssize_t)len;
}

int sysfs_read_number(const char *root, const char *dir, const char *name, long long *value)
{
	char text[32], *end;
	ssize_t n = sysfs_read(root, dir, name, text, sizeof(text));

	if (n < 0)
		return (int)n;
	errno = 0;
	*value = strtoll(text, &end, 0);
	return end == text || errno ? -EINVAL : 0;
}

void sysfs_read_link(const char *root, const char *dir, const char *name, char *out, size_t cap)
{
	char path[VFIO_PATH_MAX], target[VFIO_PATH_MAX];
	const char *slash;
	ssize_t n = -1;

	*out = '\0';
	if (sysfs_path(path, root, dir, name) == 0)
		n = readlink(path, target, sizeof(target) - 1);
	if (n <= 0)
		return;
	target[n] = '\0';
	slash = strrchr(target, '/');
	snprintf(out, cap, "%.*s", (int)cap - 1, slash ? slash + 1 : target);
}

DIR *sysfs_list(const char *root, const char *dir, const char *name)
{
	char path[VFIO_PATH_MAX];

	return sysfs_path(path, root, dir, name) < 0 ? NULL : opendir(path);
}

struct dirent *sysfs_next(DIR *list)
{
	struct dirent *e;

	do
		e = list ? readdir(list) : NULL;
	while (e && e->d_name[0] == '.');
	return e;
}
