#include "devices/vsock_connection.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_PORT  (UINT32_C(1) << 30) /* above the ports that programs choose */
#define TELL_CREDIT (VSOCK_BUFFER / 4)	/* forwarded bytes after which credit is sent */

/* --- the table --- */

struct vsock_connection *vsock_find(struct vsock_table *t, uint32_t guest_port, uint32_t host_port)
{
	for (unsigned i = 0; i < VSOCK_CONNECTIONS; i++) {
		struct vsock_connection *c = &t->list[i];
		const struct vsock_connection_state *st = &c->state;

		if (st->guest_port == guest_port && st->host_port == host_port &&
		    st->phase != VSOCK_FREE && st->phase != VSOCK_DRAINING)
			return c;
	}
	return NULL;
}

struct vsock_connection *vsock_add(struct vsock_table *t, enum vsock_phase phase,
				   uint32_t guest_port, uint32_t host_port)
{
	for (unsigned i = 0; i < VSOCK_CONNECTIONS; i++) {
		struct vsock_connection *c = &t->list[i];

		if (c->state.phase != VSOCK_FREE)
			continue;
		*c = (struct vsock_connection){
			.state = {
				.phase = phase,
				.guest_port = guest_port,
				.host_port = host_port,
			},
		};
		return c;
	}
	return NULL;
}

uint32_t vsock_host_port(struct vsock_table *t, uint32_t guest_port)
{
	struct vsock_table_state *st = &t->state;

	do {
		if (st->next_port < FIRST_PORT || st->next_port == UINT32_MAX) /* VMADDR_PORT_ANY */
			st->next_port = FIRST_PORT;
		st->next_port++;
	} while (vsock_find(t, guest_port, st->next_port));
	return st->next_port;
}

static void detach(struct vsock_table *t, struct vsock_connection *c)
{
	struct vsock_connection_state *st = &c->state;

	if (c->attached)
		t->port.ops->close(t->port.to, vsock_id(t, c));
	c->attached = false;
	c->readable = false;
	st->ended = true;
	free(c->buffer);
	c->buffer = NULL;
	st->forwarded += st->waiting;
	st->waiting = 0;
}

void vsock_free(struct vsock_table *t, struct vsock_connection *c)
{
	detach(t, c);
	c->state.phase = VSOCK_FREE;
	c->state.owes = 0;
}

void vsock_end(struct vsock_table *t, struct vsock_connection *c)
{
	detach(t, c);
	c->state.phase = VSOCK_ENDING;
	c->state.owes = 1u << VSOCK_RST;
}

void vsock_free_all(struct vsock_table *t)
{
	for (unsigned i = 0; i < VSOCK_CONNECTIONS; i++)
		vsock_free(t, &t->list[i]);
}

/* --- credit: 5.10.6.3 --- */

/*
 * Accepts a fwd_cnt that is older than the last one, because a thread of the guest may overtake
 * another between reading the count and sending the packet.
 */
bool vsock_take_credit(struct vsock_connection *c, uint32_t alloc, uint32_t forward)
{
	struct vsock_connection_state *st = &c->state;
	uint32_t outstanding = st->sent - st->peer_forward, more = forward - st->peer_forward;

	st->peer_alloc = alloc;
	if (more <= outstanding)
		st->peer_forward = forward;
	else if (more <= INT32_MAX)
		return false;
	if (vsock_credit(c))
		st->asked = false;
	return true;
}

uint32_t vsock_credit(const struct vsock_connection *c)
{
	const struct vsock_connection_state *st = &c->state;
	uint32_t outstanding = st->sent - st->peer_forward;

	return st->peer_alloc > outstanding ? st->peer_alloc - outstanding : 0;
}

static void forwarded(struct vsock_connection *c, uint32_t len)
{
	struct vsock_connection_state *st = &c->state;

	st->forwarded += len;
	if (st->phase == VSOCK_OPEN && st->forwarded - st->told >= TELL_CREDIT)
		st->owes |= 1u << VSOCK_CREDIT_UPDATE;
}

/* --- the host's side --- */

/*
 * Sends SHUTDOWN with `flags` to the guest. When the host neither sends nor receives any more, its
 * socket is closed.
 */
static void host_shuts(struct vsock_table *t, struct vsock_connection *c, uint32_t flags)
{
	struct vsock_connection_state *st = &c->state;

	if (st->phase == VSOCK_OPEN && (st->host_shut | flags) != st->host_shut)
		st->owes |= 1u << VSOCK_SHUTDOWN;
	st->host_shut |= flags;
	if (st->host_shut != VSOCK_NOTHING)
		return;
	if (st->phase == VSOCK_DRAINING)
		vsock_free(t, c);
	else if (st->guest_shut == VSOCK_NOTHING)
		vsock_end(t, c);
	else
		detach(t, c);
}

static bool hung_up(const struct vsock_table *t, const struct vsock_connection *c)
{
	return t->port.ops->hung_up(t->port.to, vsock_id(t, c));
}

void vsock_host_ends(struct vsock_table *t, struct vsock_connection *c)
{
	c->state.ended = true;
	c->readable = false;
	host_shuts(t, c, hung_up(t, c) ? VSOCK_NOTHING : VSOCK_NO_SEND);
}

/* No byte of the guest waits: ends what the guest has shut down (5.10.6.5). */
static void all_forwarded(struct vsock_table *t, struct vsock_connection *c)
{
	const struct vsock_connection_state *st = &c->state;

	if (st->phase == VSOCK_DRAINING)
		vsock_free(t, c);
	else if (st->phase == VSOCK_OPEN && st->guest_shut == VSOCK_NOTHING)
		vsock_end(t, c);
	else if ((st->guest_shut & VSOCK_NO_SEND) && c->attached)
		t->port.ops->shutdown(t->port.to, vsock_id(t, c), false, true);
}

/* Returns the number of bytes that the host took. An error means that the host takes no more. */
static uint32_t send_parts(struct vsock_table *t, struct vsock_connection *c,
			   const struct iovec *parts, unsigned n)
{
	struct vsock_connection_state *st = &c->state;
	ssize_t sent = t->port.ops->send(t->port.to, vsock_id(t, c), parts, n);

	if (sent < 0 && sent != -EAGAIN) {
		st->forwarded += st->waiting;
		st->waiting = 0;
		host_shuts(t, c, VSOCK_NO_RECEIVE);
	}
	return sent < 0 ? 0 : (uint32_t)sent;
}

static void vsock_connection_drain(struct vsock_table *t, struct vsock_connection *c)
{
	struct vsock_connection_state *st = &c->state;

	while (st->waiting) {
		uint32_t to_end = VSOCK_BUFFER - st->first;
		struct iovec parts[] = {
			{ c->buffer + st->first, min_u64(st->waiting, to_end) },
			{ c->buffer, st->waiting > to_end ? st->waiting - to_end : 0 },
		};
		uint32_t sent = send_parts(t, c, parts, parts[1].iov_len ? 2 : 1);

		if (!sent)
			break;
		st->first = (st->first + sent) % VSOCK_BUFFER;
		st->waiting -= sent;
		forwarded(c, sent);
	}
	if (st->waiting)
		return;
	if (c->attached)
		t->port.ops->want_room(t->port.to, vsock_id(t, c), false);
	all_forwarded(t, c);
}

static bool keep(struct vsock_table *t, struct vsock_connection *c, const struct iovec *parts,
		 unsigned n, size_t skip, uint32_t len)
{
	struct vsock_connection_state *st = &c->state;
	uint32_t at = (st->first + st->waiting) % VSOCK_BUFFER;
	uint32_t now = (uint32_t)min_u64(len, VSOCK_BUFFER - at);

	if (!c->buffer)
		c->buffer = malloc(VSOCK_BUFFER);
	if (!c->buffer)
		return false;
	virtqueue_read(parts, n, skip, c->buffer + at, now);
	virtqueue_read(parts, n, skip + now, c->buffer, len - now);
	if (!st->waiting)
		t->port.ops->want_room(t->port.to, vsock_id(t, c), true);
	st->waiting += len;
	return true;
}

bool vsock_to_host(struct vsock_table *t, struct vsock_connection *c, const struct iovec *parts,
		   unsigned n, size_t skip, uint32_t len)
{
	const struct vsock_connection_state *st = &c->state;
	struct iovec now[VIRTQUEUE_PARTS_MAX];
	uint32_t sent = 0;

	if (len > VSOCK_BUFFER - st->waiting || (st->guest_shut & VSOCK_NO_SEND))
		return false;
	if (len && !st->waiting && !(st->host_shut & VSOCK_NO_RECEIVE))
		sent = send_parts(t, c, now, vsock_slice(parts, n, skip, len, now));
	if (st->host_shut & VSOCK_NO_RECEIVE)
		sent = len; /* dropped; the guest gets SHUTDOWN */
	forwarded(c, sent);
	return sent == len || keep(t, c, parts, n, skip + sent, len - sent);
}

/* --- packets of the guest --- */

void vsock_guest_shuts(struct vsock_table *t, struct vsock_connection *c, uint32_t flags)
{
	struct vsock_connection_state *st = &c->state;
	bool no_receive = flags & ~st->guest_shut & VSOCK_NO_RECEIVE;

	st->guest_shut |= flags & VSOCK_NOTHING;
	if (no_receive) {
		st->ended = true;
		c->readable = false;
		if (c->attached)
			t->port.ops->shutdown(t->port.to, vsock_id(t, c), true, false);
	}
	if (!st->waiting)
		all_forwarded(t, c);
}

/*
 * A guest that has shut down a connection sends RST after a timeout, even if the host's program has
 * not read everything. The program still gets the bytes that were sent before the shutdown.
 */
void vsock_guest_resets(struct vsock_table *t, struct vsock_connection *c)
{
	struct vsock_connection_state *st = &c->state;

	if (st->phase != VSOCK_OPEN || st->guest_shut != VSOCK_NOTHING || !st->waiting) {
		vsock_free(t, c);
		return;
	}
	st->phase = VSOCK_DRAINING;
	st->owes = 0;
}

/* --- events of the port --- */

void vsock_event(struct vsock_table *t, struct vsock_connection *c)
{
	const struct vsock_connection_state *st = &c->state;

	if (!c->attached)
		return;
	if (st->phase == VSOCK_ASKED) {
		c->readable = true; /* is read when the connection is open */
		if (hung_up(t, c))
			vsock_end(t, c);
		return;
	}
	if (st->waiting)
		vsock_connection_drain(t, c);
	if (!c->attached)
		return;
	if (!st->ended)
		c->readable = true;
	else if (hung_up(t, c))
		host_shuts(t, c, VSOCK_NOTHING);
}

/* --- parts --- */

unsigned vsock_slice(const struct iovec *parts, unsigned n, size_t skip, size_t len,
		     struct iovec *to)
{
	unsigned count = 0;

	for (unsigned i = 0; i < n && len; i++) {
		size_t room = parts[i].iov_len;

		if (skip >= room) {
			skip -= room;
			continue;
		}
		to[count].iov_base = (uint8_t *)parts[i].iov_base + skip;
		to[count].iov_len = min_u64(room - skip, len);
		len -= to[count++].iov_len;
		skip = 0;
	}
	return count;
}
