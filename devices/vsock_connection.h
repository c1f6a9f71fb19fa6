/*
 * The connections of virtio-vsock: their states, their credit, and bytes on the way to the host.
 * Virtual I/O Device 1.2 section 5.10.6. Rings and packets are devices/virtio_vsock.c's.
 *
 * The guest is not trusted: there are VSOCK_CONNECTIONS at most, each with VSOCK_BUFFER bytes at
 * most, whatever it says. One thread at a time: the caller locks.
 */
#ifndef DEVICES_VSOCK_CONNECTION_H
#define DEVICES_VSOCK_CONNECTION_H

#include "devices/virtqueue.h"
#include "vmm/base/ports/stream.h"

/* Bytes that may be on the way to a program of the host that does not read: buf_alloc. */
#define VSOCK_BUFFER (256u * 1024)

/* 5.10.6: operations, */
enum vsock_op {
	VSOCK_REQUEST = 1,
	VSOCK_RESPONSE,
	VSOCK_RST,
	VSOCK_SHUTDOWN,
	VSOCK_RW,
	VSOCK_CREDIT_UPDATE,
	VSOCK_CREDIT_REQUEST,
};
/* and what whoever sends a SHUTDOWN will not do any more */
#define VSOCK_NO_RECEIVE 1u
#define VSOCK_NO_SEND	 2u
#define VSOCK_NOTHING	 (VSOCK_NO_RECEIVE | VSOCK_NO_SEND)

enum vsock_phase {
	VSOCK_FREE,
	VSOCK_ASKED,	/* the guest has not answered the host yet */
	VSOCK_OPEN,	/* until one side is told that it is over */
	VSOCK_ENDING,	/* it is over: the guest is owed a RST */
	VSOCK_DRAINING, /* over for the guest; the host still gets what the guest had sent */
};

struct vsock_connection_state {
	enum vsock_phase phase;
	uint32_t guest_port, host_port;
	unsigned owes;	     /* packets for the guest: a bit for each enum vsock_op */
	uint32_t guest_shut; /* VSOCK_NO_RECEIVE, _SEND: what the guest will not do */
	uint32_t host_shut;  /* what the host will not do */
	/* to the guest */
	bool ended;	       /* no more is read from the port */
	bool asked;	       /* for credit, since there was some */
	uint32_t peer_alloc;   /* buf_alloc of the guest */
	uint32_t peer_forward; /* its fwd_cnt */
	uint32_t sent;	       /* bytes, modulo 2^32, as all counts of the protocol */
	/* to the host: bytes that it does not take yet, in a ring */
	uint32_t forwarded; /* fwd_cnt */
	uint32_t told;	    /* the last one that the guest was told */
	uint32_t first, waiting;
};

struct vsock_connection {
	struct vsock_connection_state state;
	bool attached; /* the port knows it */
	bool readable; /* the port may have bytes, or an end */
	/*
	 * VSOCK_BUFFER bytes, from the first that had to wait; or NULL. No state: where the host's
	 * socket cannot go along they are lost with it.
	 */
	uint8_t *buffer;
};

struct vsock_table_state {
	uint32_t next_port; /* of the host, for connections that the host begins */
};

struct vsock_table {
	struct vsock_port port;
	struct vsock_connection list[VSOCK_CONNECTIONS];
	struct vsock_table_state state;
};

static inline unsigned vsock_id(const struct vsock_table *t, const struct vsock_connection *c)
{
	return (unsigned)(c - t->list);
}

/* A connection by its two ports, or NULL. */
struct vsock_connection *vsock_find(struct vsock_table *t, uint32_t guest_port, uint32_t host_port);
/* A new one, or NULL: too many. */
struct vsock_connection *vsock_add(struct vsock_table *t, enum vsock_phase phase,
				   uint32_t guest_port, uint32_t host_port);
/* A port of the host that no connection to `guest_port` has. */
uint32_t vsock_host_port(struct vsock_table *t, uint32_t guest_port);
/* Over at once, for both sides. */
void vsock_free(struct vsock_table *t, struct vsock_connection *c);
/* Over: the port closes it, the guest is owed a RST. */
void vsock_end(struct vsock_table *t, struct vsock_connection *c);
void vsock_free_all(struct vsock_table *t);

/* The credit of any packet of the guest. False: it says to have forwarded what it never got. */
bool vsock_take_credit(struct vsock_connection *c, uint32_t alloc, uint32_t forward);
/* Bytes that the guest has room for. */
uint32_t vsock_credit(const struct vsock_connection *c);

/*
 * `len` bytes of the guest, `skip` bytes into the parts: to the host, or to wait. False: more than
 * it was allowed, or no memory.
 */
bool vsock_to_host(struct vsock_table *t, struct vsock_connection *c, const struct iovec *parts,
		   unsigned n, size_t skip, uint32_t len);
/* The guest's SHUTDOWN. */
void vsock_guest_shuts(struct vsock_table *t, struct vsock_connection *c, uint32_t flags);
/* The guest's RST. */
void vsock_guest_resets(struct vsock_table *t, struct vsock_connection *c);
/* The port said that something happened. */
void vsock_event(struct vsock_table *t, struct vsock_connection *c);
/* The host sends no more. */
void vsock_host_ends(struct vsock_table *t, struct vsock_connection *c);

/* Those of `n` parts that hold `len` bytes from `skip` on; `to` has room for `n`. Their number. */
unsigned vsock_slice(const struct iovec *parts, unsigned n, size_t skip, size_t len,
		     struct iovec *to);

#endif
