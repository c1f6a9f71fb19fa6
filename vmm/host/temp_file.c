#include "vmm/host/temp_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

const char *temp_file_folder(void)
{
	const char *folder = getenv("TMPDIR");

	return folder && *folder ? folder : "/var/tmp";
}

/*
 * For file systems without O_TMPFILE, such as NFS. A process that is killed between the two calls
 * leaves an empty file.
 */
static int open_and_unlink(const char *folder)
{
	char path[PATH_MAX];
	int fd, code;

	if ((size_t)snprintf(path, sizeof(path), "%s/straddle-XXXXXX", folder) >= sizeof(path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	fd = mkostemp(path, O_CLOEXEC);
	if (fd < 0 || unlink(path) == 0)
		return fd;
	code = errno;
	close(fd);
	errno = code;
	return -1;
}

int temp_file_open(const char *folder, const char *what, struct err *err)
{
	/* O_EXCL: nobody can give it a name by linkat(2). */
	int fd = open(folder, O_TMPFILE | O_EXCL | O_RDWR | O_CLOEXEC, 0600);

	if (fd < 0 && errno == EOPNOTSUPP)
		fd = open_and_unlink(folder);
	if (fd >= 0)
		return fd;
	return err_sys(
		err, errno,
		"%s: no temporary file can be made in %s (TMPDIR=FOLDER names another place)", what,
		folder);
}
