/*
 * Small files, links and directories of sysfs and procfs: what the files of vfio/ that read them
 * share. `root` as in sysfs.h; `dir` begins with / and is below it.
 */
#ifndef VFIO_SYSFS_FILE_H
#define VFIO_SYSFS_FILE_H

#include "vfio/sysfs.h"

#include <dirent.h>
#include <sys/types.h>

/* Joins root, dir and name. -ENAMETOOLONG if the path does not fit. */
int sysfs_path(char out[VFIO_PATH_MAX], const char *root, const char *dir, const char *name);
/* Reads at most cap - 1 bytes and adds a NUL. Returns the length or a negative errno. */
ssize_t sysfs_read(const char *root, const char *dir, const char *name, char *buf, size_t cap);
/* Reads a number in any base of C's constants. -EINVAL if the file holds no number. */
int sysfs_read_number(const char *root, const char *dir, const char *name, long long *value);
/* Reads the last component of a link's target; "" if there is no such link. */
void sysfs_read_link(const char *root, const char *dir, const char *name, char *out, size_t cap);
/*
 * Opens a directory, which the caller closes by closedir(3); NULL: it cannot be opened.
 * sysfs_next() returns the next entry that does not begin with a dot; its list may be NULL.
 */
DIR *sysfs_list(const char *root, const char *dir, const char *name);
struct dirent *sysfs_next(DIR *list);

#endif
