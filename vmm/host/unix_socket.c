#include "vmm/host/unix_socket.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

int unix_socket_listen(const char *what, const char *path, int *fd, struct err *err)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	struct stat st;
	bool bound;
	int probe;

	*fd = -1;
	if (strlen(path) >= sizeof(addr.sun_path))
		return err_set(err, ENAMETOOLONG, "%s%s: a socket's path has at most %zu bytes",
			       what, path, sizeof(addr.sun_path) - 1);
	strcpy(addr.sun_path, path);
	if (lstat(path, &st) == 0 && S_ISSOCK(st.st_mode)) {
		/* EAGAIN means that a program serves the socket but its backlog is full. */
		probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		if (probe >= 0 && connect(probe, (void *)&addr, sizeof(addr)) < 0 &&
		    errno == ECONNREFUSED)
			unlink(path);
		if (probe >= 0)
			close(probe);
	}
	*fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bound = *fd >= 0 && bind(*fd, (void *)&addr, sizeof(addr)) == 0;
	if (!bound || listen(*fd, 1) < 0) {
		int code = errno;

		if (bound)
			unlink(path);
		if (*fd >= 0)
			close(*fd);
		*fd = -1;
		return err_sys(err, code, "%s%s cannot be made%s", what, path,
			       code == EADDRINUSE ? " (something is there already)" : "");
	}
	return 0;
}
