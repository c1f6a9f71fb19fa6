/*
 * Makes listening Unix sockets, for lines, --control and --vsock.
 *
 * Host side.
 */
#ifndef HOST_UNIX_SOCKET_H
#define HOST_UNIX_SOCKET_H

#include "vmm/base/err.h"

/*
 * Makes a listening socket at `path`; the caller closes *fd and removes the file. A socket file
 * that no process serves is a leftover and is replaced; -EADDRINUSE if one serves it or another
 * file is there. `what` comes before the path in the sentence: "--serial unix:". Returns 0, or
 * -errno with *fd -1.
 */
int unix_socket_listen(const char *what, const char *path, int *fd, struct err *err);

#endif
