/*
 * A guest's sockets as Unix sockets of the host, as Firecracker and Cloud Hypervisor have them: a
 * program that connects to PATH and says "CONNECT <port>\n" is connected to that port of the guest,
 * and told "OK <port>\n", its own end, once the guest accepted; what the guest connects to on port
 * P of the host is the socket PATH_P. Streams only.
 *
 * Host side. Listens from the beginning to the end, outlives guest resets; served by one thread at
 * a time (vsock_serve). The loop watches one descriptor, an epoll set of all others.
 */
#ifndef BACKENDS_VSOCK_H
#define BACKENDS_VSOCK_H

#include "vmm/base/err.h"
#include "vmm/base/ports/stream.h"
#include "vmm/host/loop.h"

/* Programs that have not said yet what they want. If there are more the oldest must go. */
#define VSOCK_CALLERS 256

struct vsock {
	const char *path; /* NULL: not open; borrowed */
	int listener;
	int set;						    /* epoll(7); -1: not open */
	int callers[VSOCK_CALLERS], connections[VSOCK_CONNECTIONS]; /* descriptors; -1: none */
	unsigned next; /* caller: filled longest ago, if all are */
	struct vsock_user user;
};

#define VSOCK_EMPTY                       \
	{                                 \
		.listener = -1, .set = -1 \
	}

/* `path` outlives it. -EADDRINUSE: somebody serves it; others: the host refuses. */
int vsock_open(struct vsock *v, const char *path, struct err *err);
/* Safe on VSOCK_EMPTY. Removes the socket. */
void vsock_close(struct vsock *v);

/* What the device speaks to. */
struct vsock_port vsock_port_of(struct vsock *v);
/* Who is told what the host's programs do. Before vsock_ready. */
void vsock_serve(struct vsock *v, const struct vsock_user *user);
/* v->set is readable: serves what is ready. For the loop; `to` is the struct. */
void vsock_ready(void *to, short revents);

#endif
