/*
 * Connects a guest's vsock with Unix sockets of the host, by the protocol of Firecracker and Cloud
 * Hypervisor. A program that connects to PATH and sends "CONNECT <port>\n" is connected to that
 * port of the guest; once the guest has accepted, it receives "OK <port>\n" with the port of its
 * own end. A guest that connects to port P of the host reaches the socket PATH_P. Streams only.
 *
 * Host side. Listens from the start of the process to its end, over guest resets; served by one
 * thread at a time (vsock_serve). The loop watches one descriptor, an epoll set of all others.
 */
#ifndef BACKENDS_VSOCK_H
#define BACKENDS_VSOCK_H

#include "vmm/base/err.h"
#include "vmm/base/ports/stream.h"
#include "vmm/host/loop.h"

/*
 * Programs that have connected and not sent their line yet. If there are more, the oldest is
 * disconnected.
 */
#define VSOCK_CALLERS 256

struct vsock {
	const char *path; /* NULL: no Unix sockets; borrowed */
	int listener;
	int set;	   /* epoll(7); -1: not open */
	uint32_t own_port; /* of the host, which the guest reaches at own_fd */
	int own_fd;	   /* -1: none, or the guest has it */
	int callers[VSOCK_CALLERS], connections[VSOCK_CONNECTIONS]; /* descriptors; -1: none */
	unsigned next; /* the caller that is replaced next if all places are in use */
	struct vsock_user user;
};

#define VSOCK_EMPTY                                     \
	{                                               \
		.listener = -1, .set = -1, .own_fd = -1 \
	}

/*
 * Makes the socket. `path` must outlive it. -EADDRINUSE: a process serves the path; other errors:
 * the host refuses.
 */
int vsock_open(struct vsock *v, const char *path, struct err *err);
/*
 * Gives the guest `fd`, a connected stream socket, when it connects to `port` of the host, once.
 * Takes the descriptor, also on failure. Called behind vsock_open(), or in place of it, on
 * VSOCK_EMPTY: then there are no Unix sockets.
 */
int vsock_give(struct vsock *v, uint32_t port, int fd, struct err *err);
bool vsock_is_open(const struct vsock *v);
/* Closes all connections and removes the socket. Allowed on VSOCK_EMPTY. */
void vsock_close(struct vsock *v);

/* The port through which the device makes and serves connections. */
struct vsock_port vsock_port_of(struct vsock *v);
/* Sets the callbacks for actions of the host's programs. Called before vsock_ready(). */
void vsock_serve(struct vsock *v, const struct vsock_user *user);
/*
 * Called by the loop when v->set is readable: serves the ready descriptors. `to` is the struct
 * vsock.
 */
void vsock_ready(void *to, short revents);

#endif
