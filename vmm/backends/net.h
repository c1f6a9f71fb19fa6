/*
 * What a network adapter of the guest is connected to: a tap interface of the host, or passt, which
 * gives it the user's own network without any privilege.
 *
 * Host side. Opened once, outlives guest resets; a pair is served by one thread at a time
 * (net_serve).
 */
#ifndef BACKENDS_NET_H
#define BACKENDS_NET_H

#include "vmm/backends/vhost.h"
#include "vmm/base/err.h"
#include "vmm/base/ports/net.h"
#include "vmm/host/loop.h"

/* A pair of queues of the adapter. */
struct net_pair {
	int fd;		    /* of the tap, or the socket of passt; -1: not open */
	struct vhost vhost; /* serves it; or is not open */
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

struct net {
	struct net_pair *pairs;
	unsigned nr_pairs;
	int links; /* readable when some interface of the host changes (rtnetlink); -1: not open */
};

#define NET_EMPTY           \
	{                   \
		.links = -1 \
	}

/* Who serves an adapter on a tap interface: the kernel (vhost-net) or this process. */
enum net_vhost { NET_VHOST_AUTO, NET_VHOST_ON, NET_VHOST_OFF };

/* A tap interface, which is made if it does not exist and the user may; several queues or one. */
int net_open_tap(struct net *net, const char *name, unsigned queues, enum net_vhost vhost,
		 struct err *err);
/* One that somebody else opened: a descriptor for each queue, with IFF_VNET_HDR. Takes them. */
int net_open_fds(struct net *net, const int *fds, unsigned n, enum net_vhost vhost,
		 struct err *err);
/* Starts passt, which ends with us. */
int net_open_user(struct net *net, struct err *err);
void net_close(struct net *net);
/*
 * An address for an adapter whose user gave none: the same for the same host and `name` each time,
 * and another one on another host (locally administered, from a hash of /etc/machine-id).
 */
void net_default_mac(const char *name, uint8_t mac[6]);

/* For the adapter. */
struct net_port net_port_of(struct net_pair *pair);
/* On `loop`, whose thread calls `ready` when what the adapter wants is there. */
void net_serve(struct net_pair *pair, struct loop *loop, void (*ready)(void *to, short revents),
	       void *to);
/* Whether the kernel serves the pairs (vhost-net): by these, with a struct net. */
bool net_in_kernel(const struct net *net);
extern const struct server_ops net_server_ops;
/*
 * Takes the news of net->links. Whether the interface of a net in the kernel is gone: its
 * descriptor is not waited on for that, because it would wake us for every frame.
 */
bool net_is_gone(const struct net *net);

#endif
