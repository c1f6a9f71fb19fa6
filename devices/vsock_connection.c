#include "devices/vsock_connection.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_PORT  (UINT32_C(1) << 30) /* above those that programs choose */
#define TELL_CREDIT (VSOCK_BUFFER / 4)	/* forwarded bytes that are worth a packet */

/* --- the table --- */

struct vsock_connection *vsock_find(struct vsock_table *t, uint32_t guest_port, uint32_t host_port)
{
	for (unsigned i = 0; i < VSOCK_CONNECTIONS; i++) {
		struct vsock_connection *c = &t->list[i];

		if (c->guest_port == guest_port && c->host_port == host_port &&
		    c->state != VSOCK_FREE && c->state != VSOCK_DRAINING)
			return c;
	}
	return NULL;
}

struct vsock_connection *vsock_add(struct vsock_table *t, enum vsock_state state,
				   uint32_t guest_port, uint32_t host_port)
{
	for (unsigned i = 0; i < VSOCK_CONNECTIONS; i++) {
		struct vsock_connection *c = &t->list[i];

		if (c->state != VSOCK_FREE)
			continue;
		*c = (struct vsock_connection){
			.state = state,
			.guest_port = guest_port,
			.host_port = host_port,
		};
		return c;
	}
	return NULL;
}

uint32_t vsock_host_port(struct vsock_table *t, uint32_t guest_port)
{
	do {
		if (t->next_port < FIRST_PORT || t->next_port == UINT32_MAX) /* VMADDR_PORT_ANY */
			t->next_port = FIRST_PORT;
		t->next_port++;
	} while (vsock_find(t, guest_port, t->next_port));
	return t->next_port;
}

static void detach(struct vsock_table *t, struct vsock_connection *c)
{
	if (c->attached)
		t->port.ops->close(t->port.to, vsock_id(t, c));
	c->attached = false;
	c->readable = false;
	c->ended = true;
	free(c->buffer);
	c->buffer = NULL;
	c->forwarded += c->waiting;
	c->waiting = 0;
}

void vsock_free(struct vsock_table *t, struct vsock_connection *c)
{
	detach(t, c);
	c->state = VSOCK_FREE;
	c->owes = 0;
}

void vsock_end(struct vsock_table *t, struct vsock_connection *c)
{
	detach(t, c);
	c->state = VSOCK_ENDING;
	c->owes = 1u << VSOCK_RST;
}

void vsock_free_all(struct vsock_table *t)
{
	for (unsigned i = 0; i < VSOCK_CONNECTIONS; i++)
		vsock_free(t, &t->list[i]);
}

/* --- credit: 5.10.6.3 --- */

/*
 * Two threads of a guest may overtake each other between counting and sending, so a count that is
 * older than the last is no lie.
 */
bool vsock_take_credit(struct vsock_connection *c, uint32_t alloc, uint32_t forward)
{
	uint32_t outstanding = c->sent - c->peer_forward, more = forward - c->peer_forward;

	c->peer_alloc = alloc;
	if (more <= outstanding)
		c->peer_forward = forward;
	else if (more <= INT32_MAX)
		return false;
	if (vsock_credit(c))
		c->asked = false;
	return true;
}

uint32_t vsock_credit(const struct vsock_connection *c)
{
	uint32_t outstanding = c->sent - c->peer_forward;

	return c->peer_alloc > outstanding ? c->peer_alloc - outstanding : 0;
}

static void forwarded(struct vsock_connection *c, uint32_t len)
{
	c->forwarded += len;
	if (c->state == VSOCK_OPEN && c->forwarded - c->told >= TELL_CREDIT)
		c->owes |= 1u << VSOCK_CREDIT_UPDATE;
}

/* --- the host's side --- */

/* What the guest is told. When the host does nothing any more its socket is of no use. */
static void host_shuts(struct vsock_table *t, struct vsock_connection *c, uint32_t flags)
{
	if (c->state == VSOCK_OPEN && (c->host_shut | flags) != c->host_shut)
		c->owes |= 1u << VSOCK_SHUTDOWN;
	c->host_shut |= flags;
	if (c->host_shut != VSOCK_NOTHING)
		return;
	if (c->state == VSOCK_DRAINING)
		vsock_free(t, c);
	else if (c->guest_shut == VSOCK_NOTHING)
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
	c->ended = true;
	c->readable = false;
	host_shuts(t, c, hung_up(t, c) ? VSOCK_NOTHING : VSOCK_NO_SEND);
}

/* The guest has sent its last byte, and the host has it: 5.10.6.5. */
static void all_forwarded(struct vsock_table *t, struct vsock_connection *c)
{
	if (c->state == VSOCK_DRAINING)
		vsock_free(t, c);
	else if (c->state == VSOCK_OPEN && c->guest_shut == VSOCK_NOTHING)
		vsock_end(t, c);
	else if ((c->guest_shut & VSOCK_NO_SEND) && c->attached)
		t->port.ops->shutdown(t->port.to, vsock_id(t, c), false, true);
}

/* Number of bytes that the host took; it may turn out that it takes none any more. */
static uint32_t send_parts(struct vsock_table *t, struct vsock_connection *c,
			   const struct iovec *parts, unsigned n)
{
	ssize_t sent = t->port.ops->send(t->port.to, vsock_id(t, c), parts, n);

	if (sent < 0 && sent != -EAGAIN) {
		c->forwarded += c->waiting;
		c->waiting = 0;
		host_shuts(t, c, VSOCK_NO_RECEIVE);
	}
	return sent < 0 ? 0 : (uint32_t)sent;
}

static void vsock_connection_drain(struct vsock_table *t, struct vsock_connection *c)
{
	while (c->waiting) {
		uint32_t to_end = VSOCK_BUFFER - c->first;
		struct iovec parts[] = {
			{ c->buffer + c->first, min_u64(c->waiting, to_end) },
			{ c->buffer, c->waiting > to_end ? c->waiting - to_end : 0 },
		};
		uint32_t sent = send_parts(t, c, parts, parts[1].iov_len ? 2 : 1);

		if (!sent)
			break;
		c->first = (c->first + sent) % VSOCK_BUFFER;
		c->waiting -= sent;
		forwarded(c, sent);
	}
	if (c->waiting)
		return;
	if (c->attached)
		t->port.ops->want_room(t->port.to, vsock_id(t, c), false);
	all_forwarded(t, c);
}

static bool keep(struct vsock_table *t, struct vsock_connection *c, const struct iovec *parts,
		 unsigned n, size_t skip, uint32_t len)
{
	uint32_t at = (c->first + c->waiting) % VSOCK_BUFFER;
	uint32_t now = (uint32_t)min_u64(len, VSOCK_BUFFER - at);

	if (!c->buffer)
		c->buffer = malloc(VSOCK_BUFFER);
	if (!c->buffer)
		return false;
	virtqueue_read(parts, n, skip, c->buffer + at, now);
	virtqueue_read(parts, n, skip + now, c->buffer, len - now);
	if (!c->waiting)
		t->port.ops->want_room(t->port.to, vsock_id(t, c), true);
	c->waiting += len;
	return true;
}

bool vsock_to_host(struct vsock_table *t, struct vsock_connection *c, const struct iovec *parts,
		   unsigned n, size_t skip, uint32_t len)
{
	struct iovec now[VIRTQUEUE_PARTS_MAX];
	uint32_t sent = 0;

	if (len > VSOCK_BUFFER - c->waiting || (c->guest_shut & VSOCK_NO_SEND))
		return false;
	if (len && !c->waiting && !(c->host_shut & VSOCK_NO_RECEIVE))
		sent = send_parts(t, c, now, vsock_slice(parts, n, skip, len, now));
	if (c->host_shut & VSOCK_NO_RECEIVE)
		sent = len; /* nobody wants it; the guest is told so */
	forwarded(c, sent);
	return sent == len || keep(t, c, parts, n, skip + sent, len - sent);
}

/* --- what the guest says --- */

void vsock_guest_shuts(struct vsock_table *t, struct vsock_connection *c, uint32_t flags)
{
	bool no_receive = flags & ~c->guest_shut & VSOCK_NO_RECEIVE;

	c->guest_shut |= flags & VSOCK_NOTHING;
	if (no_receive) {
		c->ended = true;
		c->readable = false;
		if (c->attached)
			t->port.ops->shutdown(t->port.to, vsock_id(t, c), true, false);
	}
	if (!c->waiting)
		all_forwarded(t, c);
}

/*
 * A guest waits only so long for the host's program to read all. What was sent before a clean end
 * gets there nevertheless.
 */
void vsock_guest_resets(struct vsock_table *t, struct vsock_connection *c)
{
	if (c->state != VSOCK_OPEN || c->guest_shut != VSOCK_NOTHING || !c->waiting) {
		vsock_free(t, c);
		return;
	}
	c->state = VSOCK_DRAINING;
	c->owes = 0;
}

/* --- what the port says --- */

void vsock_event(struct vsock_table *t, struct vsock_connection *c)
{
	if (!c->attached)
		return;
	if (c->state == VSOCK_ASKED) {
		c->readable = true; /* once it is open */
		if (hung_up(t, c))
			vsock_end(t, c);
		return;
	}
	if (c->waiting)
		vsock_connection_drain(t, c);
	if (!c->attached)
		return;
	if (!c->ended)
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
