/*
 * Small files, links and directories of sysfs and procfs: what the files of vfio/ that read them
 * share. `root` as in sysfs.h; `dir` begins with / and is below it.
 */
#ifndef VFIO_SYSFS_FILE_H
#define VFIO_SYSFS_FILE_H

#include "vfio/sysfs.h"

#include <dirent.h>
#include <sys/types.h>

/* -ENAMETOOLONG if it does not fit. */
int sysfs_path(char out[VFIO_PATH_MAX], const char *root, const char *dir, const char *name);
/* At most cap - 1 bytes, and a NUL. Returns the length or a negative errno. */
ssize_t sysfs_read(const char *root, const char *dir, const char *name, char *buf, size_t cap);
/* Any base that C has. -EINVAL if it is no number. */
int sysfs_read_number(const char *root, const char *dir, const char *name, long long *value);
/* The last component of what a link points to; "" if there is no such link. */
void sysfs_read_link(const char *root, const char *dir, const char *name, char *out, size_t cap);
/* For closedir(3), or NULL; then the next entry that does not begin with a dot (list may be NULL).
 */
DIR *sysfs_list(const char *root, const char *dir, const char *name);
struct dirent *sysfs_next(DIR *list);

#endif
