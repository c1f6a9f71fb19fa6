/*
 * The connections of virtio-vsock: their states, their credit, and bytes on the way to the host.
 * Virtual I/O Device 1.2 section 5.10.6. devices/virtio_vsock.c handles rings and packets.
 *
 * The guest is not trusted: whatever it sends, there are at most VSOCK_CONNECTIONS connections,
 * each with at most VSOCK_BUFFER bytes. One thread at a time: the caller locks.
 */
#ifndef DEVICES_VSOCK_CONNECTION_H
#define DEVICES_VSOCK_CONNECTION_H

#include "devices/virtqueue.h"
#include "vmm/base/ports/stream.h"

/* Bytes of a connection that may wait for a host's program that does not read: buf_alloc. */
#define VSOCK_BUFFER (256u * 1024)

/* 5.10.6: operations. */
enum vsock_op {
	VSOCK_REQUEST = 1,
	VSOCK_RESPONSE,
	VSOCK_RST,
	VSOCK_SHUTDOWN,
	VSOCK_RW,
	VSOCK_CREDIT_UPDATE,
	VSOCK_CREDIT_REQUEST,
};
/* Flags of SHUTDOWN: what its sender will not do any more. */
#define VSOCK_NO_RECEIVE 1u
#define VSOCK_NO_SEND	 2u
#define VSOCK_NOTHING	 (VSOCK_NO_RECEIVE | VSOCK_NO_SEND)

enum vsock_phase {
	VSOCK_FREE,
	VSOCK_ASKED,	/* the guest has not answered the host yet */
	VSOCK_OPEN,	/* until one side ends the connection */
	VSOCK_ENDING,	/* ended; a RST for the guest waits for a buffer */
	VSOCK_DRAINING, /* ended for the guest; the host still gets the bytes in `buffer` */
};

struct vsock_connection_state {
	enum vsock_phase phase;
	uint32_t guest_port, host_port;
	unsigned owes;	     /* packets to send to the guest: a bit for each enum vsock_op */
	uint32_t guest_shut; /* VSOCK_NO_RECEIVE, _SEND: what the guest will not do */
	uint32_t host_shut;  /* what the host will not do */
	/* to the guest */
	bool ended;	       /* no more is read from the port */
	bool asked;	       /* CREDIT_REQUEST was sent, and no credit came since */
	uint32_t peer_alloc;   /* buf_alloc of the guest */
	uint32_t peer_forward; /* its fwd_cnt */
	uint32_t sent;	       /* bytes, modulo 2^32 like all counts of the protocol */
	/* to the host */
	uint32_t forwarded;	 /* fwd_cnt */
	uint32_t told;		 /* the last fwd_cnt that was sent to the guest */
	uint32_t first, waiting; /* bytes in `buffer`, a ring, that the host has not taken */
};

struct vsock_connection {
	struct vsock_connection_state state;
	bool attached; /* the port has this connection */
	bool readable; /* the port may have bytes, or their end, to receive */
	/*
	 * VSOCK_BUFFER bytes, allocated when a byte must wait; NULL before. No state, because
	 * without the host's socket, which cannot be saved, the bytes are of no use.
	 */
	uint8_t *buffer;
};

struct vsock_table_state {
	uint32_t next_port; /* the host's port of the last connection that the host began */
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

/* Finds a connection by its two ports; NULL: there is none. */
struct vsock_connection *vsock_find(struct vsock_table *t, uint32_t guest_port, uint32_t host_port);
/* Adds a connection; NULL: there are VSOCK_CONNECTIONS already. */
struct vsock_connection *vsock_add(struct vsock_table *t, enum vsock_phase phase,
				   uint32_t guest_port, uint32_t host_port);
/* Chooses a port of the host that no connection to `guest_port` has. */
uint32_t vsock_host_port(struct vsock_table *t, uint32_t guest_port);
/* Closes the connection at the port and frees it. Sends nothing to the guest. */
void vsock_free(struct vsock_table *t, struct vsock_connection *c);
/* Closes the connection at the port; the guest will get a RST. */
void vsock_end(struct vsock_table *t, struct vsock_connection *c);
void vsock_free_all(struct vsock_table *t);

/*
 * Takes over the credit in a packet of the guest. False: the guest claims to have forwarded more
 * bytes than were sent.
 */
bool vsock_take_credit(struct vsock_connection *c, uint32_t alloc, uint32_t forward);
/* Returns the number of bytes for which the guest has room. */
uint32_t vsock_credit(const struct vsock_connection *c);

/*
 * Sends `len` bytes of the guest, which begin `skip` bytes into the parts, to the host, or keeps
 * them in `buffer`. False: the guest may not send as many, or there is no memory.
 */
bool vsock_to_host(struct vsock_table *t, struct vsock_connection *c, const struct iovec *parts,
		   unsigned n, size_t skip, uint32_t len);
/* Handles SHUTDOWN of the guest. */
void vsock_guest_shuts(struct vsock_table *t, struct vsock_connection *c, uint32_t flags);
/* Handles RST of the guest. */
void vsock_guest_resets(struct vsock_table *t, struct vsock_connection *c);
/* Handles an event of the port: bytes, an end, or room. */
void vsock_event(struct vsock_table *t, struct vsock_connection *c);
/* The host sends no more bytes: tells the guest. */
void vsock_host_ends(struct vsock_table *t, struct vsock_connection *c);

/*
 * Copies to `to`, which has room for `n`, the parts or pieces of parts that hold `len` bytes from
 * `skip` on. Returns their number.
 */
unsigned vsock_slice(const struct iovec *parts, unsigned n, size_t skip, size_t len,
		     struct iovec *to);

#endif
