/*
 * Listening Unix sockets, of which straddle makes one for each console, control and vsock that
 * wants one.
 *
 * Host side.
 */
#ifndef HOST_UNIX_SOCKET_H
#define HOST_UNIX_SOCKET_H

#include "vmm/base/err.h"

/*
 * Makes a listening socket at `path`; *fd is the caller's to close, the file his to remove. A
 * socket file that nobody serves is a leftover and is replaced, one that is served is not. `what`
 * comes before the path in the sentence:
 * "--serial unix:". Returns 0 or -errno; *fd is -1 then.
 */
int unix_socket_listen(const char *what, const char *path, int *fd, struct err *err);

#endif
