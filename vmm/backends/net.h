/*
 * The back end of a network adapter: a tap interface of the host, or passt, which connects the
 * guest to the network as the user, without any privilege.
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
#include "vmm/host/program.h"

/* A pair of queues of the adapter. */
struct net_pair {
	int fd;		    /* of the tap, or the socket of passt; -1: not open */
	struct vhost vhost; /* the kernel's vhost-net, if it serves the pair */
	bool stream;	    /* frames have their length before them: passt */
	/* where it is served */
	struct loop *loop;
	void (*ready)(void *to, short revents);
	void *to;
	/* stream: received bytes, and bytes that are still to be sent */
	uint8_t *in, *out;
	size_t in_at, in_end, out_at, out_end;
	int gone; /* the error that ended reception */
};

struct net {
	struct net_pair *pairs;
	unsigned nr_pairs;
	int links; /* readable when some interface of the host changes (rtnetlink); -1: not open */
	struct program passt;
};

#define NET_EMPTY           \
	{                   \
		.links = -1 \
	}

/* Whether the kernel (vhost-net) or this process serves an adapter on a tap interface. */
enum net_vhost { NET_VHOST_AUTO, NET_VHOST_ON, NET_VHOST_OFF };

/*
 * Opens a tap interface with `queues` queues. It is created if it does not exist and the user has
 * CAP_NET_ADMIN.
 */
int net_open_tap(struct net *net, const char *name, unsigned queues, enum net_vhost vhost,
		 struct err *err);
/*
 * Uses a tap interface that another program opened: a descriptor for each queue, with IFF_VNET_HDR.
 * Owns the descriptors from then on.
 */
int net_open_fds(struct net *net, const int *fds, unsigned n, enum net_vhost vhost,
		 struct err *err);
/* Starts passt, which ends when this process ends: with its signal, or as its socket is closed. */
int net_open_user(struct net *net, struct err *err);
/* If passt has ended, says how and returns true. */
bool net_tell(const struct net *net, struct err *err);
void net_close(struct net *net);
/*
 * Makes a MAC address for an adapter without mac=. It is always the same for a host and a `name`,
 * and differs between hosts (locally administered, from a hash of /etc/machine-id).
 */
void net_default_mac(const char *name, uint8_t mac[6]);

/* The port through which the adapter sends and receives. */
struct net_port net_port_of(struct net_pair *pair);
/*
 * Serves the pair on `loop`, whose thread calls `ready` when the events that the adapter waits for
 * have come.
 */
void net_serve(struct net_pair *pair, struct loop *loop, void (*ready)(void *to, short revents),
	       void *to);
/* Whether the kernel serves the pairs (vhost-net). */
bool net_in_kernel(const struct net *net);
extern const struct server_ops net_server_ops;
/*
 * Reads the messages of net->links and returns whether the interface of a net that the kernel
 * serves is gone. The tap's own descriptor is not polled for that, because it is readable at every
 * frame.
 */
bool net_is_gone(const struct net *net);

#endif
