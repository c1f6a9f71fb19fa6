/*
 * What a network adapter of the guest is connected to: a tap interface of the host, or passt, which
 * gives it the user's own network without any privilege.
 *
 * Host side. Opened once, outlives guest resets; served by one thread at a time (net_serve).
 */
#ifndef VMM_NET_H
#define VMM_NET_H

#include "vmm/err.h"
#include "vmm/loop.h"
#include "vmm/net_port.h"
#include "vmm/vhost.h"

struct net {
	int fd;		    /* tap, or the socket of passt; -1: not open */
	struct vhost vhost; /* serves the adapter; or is not open */
	bool stream;	    /* frames have their length before them: passt */
	/* where it is served */
	struct loop *loop;
	void (*ready)(void *to, short revents);
	void *to;
	/* stream: what came, and what is still to go */
	uint8_t *in, *out;
	size_t in_at, in_end, out_at, out_end;
	int gone; /* the error that ended what comes */
};

#define NET_EMPTY                              \
	{                                      \
		.fd = -1, .vhost = {.fd = -1 } \
	}

/* Who serves an adapter on a tap interface: the kernel (vhost-net) or this process. */
enum net_vhost { NET_VHOST_AUTO, NET_VHOST_ON, NET_VHOST_OFF };

/* A tap interface, which is made if it does not exist and the user may. */
int net_open_tap(struct net *net, const char *name, enum net_vhost vhost, struct err *err);
/* One that somebody else opened: descriptor `fd`, with IFF_VNET_HDR. Takes it. */
int net_open_fd(struct net *net, int fd, enum net_vhost vhost, struct err *err);
/* Starts passt, which ends with us. */
int net_open_user(struct net *net, struct err *err);
void net_close(struct net *net);
/*
 * An address for an adapter whose user gave none: the same for the same host and `name` each time,
 * and another one on another host (locally administered, from a hash of /etc/machine-id).
 */
void net_default_mac(const char *name, uint8_t mac[6]);

/* For the adapter; `ready` is called on the loop's thread when what it wants is there. */
void net_serve(struct net *net, struct loop *loop, void (*ready)(void *to, short revents), void *to,
	       struct net_port *port);

#endif
