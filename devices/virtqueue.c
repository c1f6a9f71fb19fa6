#include "devices/virtqueue.h"

#include "vmm/base/bytes.h"

#include <string.h>

#define ENTRY 16 /* bytes of a descriptor, in both layouts */

#define FLAG_NEXT     0x0001
#define FLAG_WRITE    0x0002
#define FLAG_INDIRECT 0x0004
#define FLAG_AVAIL    0x0080 /* packed */
#define FLAG_USED     0x8000

/* split: driver area and device area begin with flags and an index (2.7.6, 2.7.8) */
#define RING_FLAGS   0
#define RING_INDEX   2
#define RING_ENTRIES 4
#define SUPPRESS     0x0001

/* packed: event suppression (2.8.14) */
#define EVENT_PLACE   0 /* offset and wrap counter */
#define EVENT_FLAGS   2
#define EVENT_ENABLE  0
#define EVENT_DISABLE 1
#define EVENT_AT      2 /* at EVENT_PLACE */

enum area { DESC, DRIVER, DEVICE };

struct descriptor {
	uint64_t gpa;
	uint32_t len;
	uint16_t flags;
	uint16_t next; /* split: index of the next descriptor; packed: id of the buffer */
};

/* --- memory that the guest may change at any moment --- */

static uint16_t load16(const uint8_t *at)
{
	return __atomic_load_n((const uint16_t *)(const void *)at, __ATOMIC_ACQUIRE);
}

static void store16(uint8_t *at, uint16_t value)
{
	__atomic_store_n((uint16_t *)(void *)at, value, __ATOMIC_RELEASE);
}

/*
 * Orders a write of ours (an index, or event suppression) before a read of what the driver wrote.
 * Otherwise both sides could miss the other's write, and a kick or an interrupt would be lost.
 */
static void full_barrier(void)
{
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

static struct descriptor load_descriptor(const uint8_t *at)
{
	uint8_t copy[ENTRY];
	struct descriptor d;

	memcpy(copy, at, sizeof(copy));
	d.gpa = load_le(copy, 8);
	d.len = (uint32_t)load_le(copy + 8, 4);
	d.flags = (uint16_t)load_le(copy + 12, 2);
	d.next = (uint16_t)load_le(copy + 14, 2);
	return d;
}

/* In the packed layout id and flags are in reverse order. */
static struct descriptor load_packed(const uint8_t *at)
{
	struct descriptor d = load_descriptor(at);
	uint16_t id = d.flags;

	d.flags = d.next;
	d.next = id;
	return d;
}

/* --- start, stop --- */

bool virtqueue_break(struct virtqueue *q, const char *why)
{
	q->state.broken = true;
	q->why = why;
	return false;
}

static bool find_area(struct virtqueue *q, enum area area, uint64_t gpa, uint64_t len,
		      uint64_t align)
{
	if (gpa % align)
		return virtqueue_break(q, "an area of the queue is not aligned");
	q->areas[area] = guest_ram_at(q->ram, gpa, len);
	return q->areas[area] || virtqueue_break(q, "an area of the queue is not in RAM");
}

bool virtqueue_start(struct virtqueue *q)
{
	struct virtqueue_state *st = &q->state;
	unsigned n = st->size;

	virtqueue_stop(q);
	if (!n || n > VIRTQUEUE_SIZE_MAX || (!q->packed && !is_power_of_two(n)))
		return virtqueue_break(q, "the queue has an impossible size");
	if (!find_area(q, DESC, st->desc, ENTRY * n, 16) ||
	    !find_area(q, DRIVER, st->driver, q->packed ? 4 : RING_ENTRIES + 2 * n + 2,
		       q->packed ? 4 : 2) ||
	    !find_area(q, DEVICE, st->device, q->packed ? 4 : RING_ENTRIES + 8 * n + 2, 4))
		return false;
	st->avail_wrap = st->used_wrap = true;
	st->started = true;
	return true;
}

void virtqueue_stop(struct virtqueue *q)
{
	struct virtqueue_state *st = &q->state;

	st->started = st->broken = false;
	q->why = NULL;
	st->next_avail = st->next_used = st->unsignalled = 0;
}

/* --- a buffer's parts --- */

static bool add_part(struct virtqueue *q, struct virtqueue_buffer *b, const struct descriptor *d)
{
	uint64_t gpa = d->gpa, left = d->len;
	bool in = d->flags & FLAG_WRITE;

	if (!left)
		return virtqueue_break(q, "a part of a buffer is empty");
	if (!in && b->nr_in)
		return virtqueue_break(q, "a part to be read follows one to be written");
	/* A part that is contiguous for the guest may be in several blocks of host memory. */
	while (left) {
		uint64_t len = left;
		uint8_t *at = guest_ram_part(q->ram, gpa, &len);

		if (!at)
			return virtqueue_break(q, "a buffer is not in RAM");
		if (b->nr_out + b->nr_in == VIRTQUEUE_PARTS_MAX)
			return virtqueue_break(q, "a buffer has too many parts");
		b->parts[b->nr_out + b->nr_in] = (struct iovec){ at, len };
		*(in ? &b->nr_in : &b->nr_out) += 1;
		*(in ? &b->in_len : &b->out_len) += len;
		gpa += len;
		left -= len;
	}
	return true;
}

/*
 * Adds the parts of an indirect table of descriptors (2.7.5.3, 2.8.8). In the split layout its
 * entries are chained by `next`, in the packed layout the order is that of the table.
 */
static bool add_indirect(struct virtqueue *q, struct virtqueue_buffer *b,
			 const struct descriptor *table)
{
	unsigned n = table->len / ENTRY, i = 0;
	const uint8_t *at;

	if (!q->indirect || table->len % ENTRY || !n)
		return virtqueue_break(q, "an indirect table is not allowed or has an odd size");
	at = guest_ram_at(q->ram, table->gpa, table->len);
	if (!at)
		return virtqueue_break(q, "an indirect table is not in RAM");
	for (unsigned seen = 0; seen < n; seen++) {
		struct descriptor d =
			q->packed ? load_packed(at + ENTRY * i) : load_descriptor(at + ENTRY * i);

		if (d.flags & FLAG_INDIRECT)
			return virtqueue_break(q, "an indirect table leads to another");
		if (!add_part(q, b, &d))
			return false;
		if (!q->packed && !(d.flags & FLAG_NEXT))
			return true;
		i = q->packed ? i + 1 : d.next;
		if (i >= n)
			return q->packed || virtqueue_break(q, "a chain leaves its table");
	}
	return q->packed || virtqueue_break(q, "a chain is a loop");
}

/* --- split --- */

static bool pop_split(struct virtqueue *q, struct virtqueue_buffer *b)
{
	struct virtqueue_state *st = &q->state;
	const uint8_t *avail = q->areas[DRIVER];
	uint16_t offered = (uint16_t)(load16(avail + RING_INDEX) - st->next_avail);
	unsigned i;

	if (!offered)
		return false;
	if (offered > st->size)
		return virtqueue_break(q, "more buffers are offered than the queue holds");
	i = load16(avail + RING_ENTRIES + 2 * (st->next_avail & (st->size - 1)));
	b->id = (uint16_t)i;
	b->entries = 1;
	for (unsigned seen = 0; seen < st->size; seen++) {
		struct descriptor d;

		if (i >= st->size)
			return virtqueue_break(q, "a chain leaves the queue");
		d = load_descriptor(q->areas[DESC] + ENTRY * i);
		if (d.flags & FLAG_INDIRECT) {
			if (d.flags & FLAG_NEXT)
				return virtqueue_break(q,
						       "a chain goes on after an indirect table");
			if (!add_indirect(q, b, &d))
				return false;
		} else if (!add_part(q, b, &d)) {
			return false;
		}
		if (!(d.flags & FLAG_NEXT)) {
			st->next_avail++;
			return true;
		}
		i = d.next;
	}
	return virtqueue_break(q, "a chain is a loop");
}

static void push_split(struct virtqueue *q, uint16_t id, uint32_t written)
{
	struct virtqueue_state *st = &q->state;
	uint8_t *used = q->areas[DEVICE];
	uint8_t *entry = used + RING_ENTRIES + 8 * (st->next_used & (st->size - 1));

	store_le(entry, id, 4);
	store_le(entry + 4, written, 4);
	st->next_used++;
	store16(used + RING_INDEX, st->next_used);
}

static bool interrupt_split(struct virtqueue *q)
{
	const struct virtqueue_state *st = &q->state;
	const uint8_t *avail = q->areas[DRIVER];
	uint16_t event;

	if (!q->event_idx)
		return !(load16(avail + RING_FLAGS) & SUPPRESS);
	/* 2.7.7.2: if one of the entries since the last call is the one at the event's index */
	event = load16(avail + RING_ENTRIES + 2 * st->size);
	return (uint16_t)(st->next_used - event - 1) < st->unsignalled;
}

static void want_split(struct virtqueue *q, bool want)
{
	uint8_t *used = q->areas[DEVICE];

	if (!q->event_idx)
		store16(used + RING_FLAGS, want ? 0 : SUPPRESS);
	else if (want)
		store16(used + RING_ENTRIES + 8 * q->state.size, q->state.next_avail);
}

/* --- packed --- */

/* Advances a position by `n` entries, and flips the wrap counter at the end of the ring. */
static void step(const struct virtqueue *q, uint16_t *at, bool *wrap, unsigned n)
{
	unsigned next = *at + n;

	if (next >= q->state.size) {
		next -= q->state.size;
		*wrap = !*wrap;
	}
	*at = (uint16_t)next;
}

static bool is_offered(uint16_t flags, bool wrap)
{
	return !!(flags & FLAG_AVAIL) == wrap && !!(flags & FLAG_USED) != wrap;
}

static bool pop_packed(struct virtqueue *q, struct virtqueue_buffer *b)
{
	struct virtqueue_state *st = &q->state;
	uint16_t at = st->next_avail;
	bool wrap = st->avail_wrap;

	if (!is_offered(load16(q->areas[DESC] + ENTRY * at + 14), wrap))
		return false;
	for (b->entries = 1; b->entries <= st->size; b->entries++) {
		struct descriptor d = load_packed(q->areas[DESC] + ENTRY * at);

		if (d.flags & FLAG_INDIRECT) {
			if (d.flags & FLAG_NEXT || b->entries > 1)
				return virtqueue_break(q, "an indirect table is part of a chain");
			if (!add_indirect(q, b, &d))
				return false;
		} else if (!add_part(q, b, &d)) {
			return false;
		}
		step(q, &at, &wrap, 1);
		if (d.flags & FLAG_NEXT)
			continue;
		b->id = d.next;
		st->next_avail = at;
		st->avail_wrap = wrap;
		return true;
	}
	return virtqueue_break(q, "a chain is a loop");
}

static void push_packed(struct virtqueue *q, uint16_t id, uint16_t entries, uint32_t written)
{
	struct virtqueue_state *st = &q->state;
	uint8_t *entry = q->areas[DESC] + ENTRY * st->next_used;
	uint16_t flags = st->used_wrap ? FLAG_AVAIL | FLAG_USED : 0;

	store_le(entry + 8, written, 4);
	store_le(entry + 12, id, 2);
	store16(entry + 14, written ? flags | FLAG_WRITE : flags);
	step(q, &st->next_used, &st->used_wrap, entries);
}

/* 2.8.10: whether the event's position is one of the last `unsignalled` entries. */
static bool interrupt_packed(struct virtqueue *q)
{
	const struct virtqueue_state *st = &q->state;
	uint16_t flags = load16(q->areas[DRIVER] + EVENT_FLAGS) & 3;
	uint16_t place = load16(q->areas[DRIVER] + EVENT_PLACE);
	unsigned event = place & 0x7fff;

	if (flags != EVENT_AT || !q->event_idx)
		return flags != EVENT_DISABLE;
	if (!!(place & 0x8000) != st->used_wrap)
		event -= st->size;
	return (uint16_t)(st->next_used - event - 1) < st->unsignalled;
}

static void want_packed(struct virtqueue *q, bool want)
{
	const struct virtqueue_state *st = &q->state;
	uint8_t *ours = q->areas[DEVICE];

	if (want && q->event_idx)
		store16(ours + EVENT_PLACE,
			(uint16_t)(st->next_avail | (st->avail_wrap ? 0x8000 : 0)));
	store16(ours + EVENT_FLAGS, !want ? EVENT_DISABLE : q->event_idx ? EVENT_AT : EVENT_ENABLE);
}

/* --- both layouts --- */

bool virtqueue_pop(struct virtqueue *q, struct virtqueue_buffer *b)
{
	if (!q->state.started || q->state.broken)
		return false;
	b->nr_out = b->nr_in = 0;
	b->out_len = b->in_len = 0;
	return q->packed ? pop_packed(q, b) : pop_split(q, b);
}

bool virtqueue_has_more(const struct virtqueue *q)
{
	const struct virtqueue_state *st = &q->state;

	if (!st->started || st->broken)
		return false;
	if (q->packed)
		return is_offered(load16(q->areas[DESC] + ENTRY * st->next_avail + 14),
				  st->avail_wrap);
	return load16(q->areas[DRIVER] + RING_INDEX) != st->next_avail;
}

void virtqueue_push(struct virtqueue *q, uint16_t id, uint16_t entries, uint32_t written)
{
	struct virtqueue_state *st = &q->state;

	if (!st->started)
		return;
	if (q->packed)
		push_packed(q, id, entries, written);
	else
		push_split(q, id, written);
	/* Limited to the ring, because no more entries can be outstanding. */
	st->unsignalled = (uint16_t)min_u64(st->unsignalled + (uint64_t)entries, st->size);
}

/*
 * The index of the used ring is in guest memory, where vhost and vhost-user programs write it as
 * well (2.7.8). They serve no packed rings (virtio.c), of which only we have the position.
 */
uint16_t virtqueue_returned(const struct virtqueue *q)
{
	const struct virtqueue_state *st = &q->state;

	if (!st->started)
		return 0;
	if (q->packed)
		return (uint16_t)(st->next_used | (st->used_wrap ? 0x8000 : 0));
	return load16(q->areas[DEVICE] + RING_INDEX);
}

bool virtqueue_should_interrupt(struct virtqueue *q)
{
	struct virtqueue_state *st = &q->state;
	bool interrupt;

	if (!st->started || !st->unsignalled)
		return false;
	full_barrier();
	interrupt = q->packed ? interrupt_packed(q) : interrupt_split(q);
	st->unsignalled = 0;
	return interrupt;
}

void virtqueue_want_kicks(struct virtqueue *q, bool want)
{
	if (!q->state.started)
		return;
	if (q->packed)
		want_packed(q, want);
	else
		want_split(q, want);
	if (want)
		full_barrier();
}

bool virtqueue_take(struct virtqueue *q, struct virtqueue_buffer *b)
{
	if (virtqueue_pop(q, b))
		return true;
	virtqueue_want_kicks(q, true);
	if (!virtqueue_pop(q, b))
		return false;
	virtqueue_want_kicks(q, false);
	return true;
}

/* --- parts --- */

static size_t copy(const struct iovec *parts, unsigned n, size_t skip, uint8_t *bytes, size_t len,
		   bool to_parts)
{
	size_t done = 0;

	for (unsigned i = 0; i < n && done < len; i++) {
		size_t room = parts[i].iov_len, now;
		uint8_t *at = parts[i].iov_base;

		if (skip >= room) {
			skip -= room;
			continue;
		}
		now = min_u64(room - skip, len - done);
		if (to_parts)
			memcpy(at + skip, bytes + done, now);
		else
			memcpy(bytes + done, at + skip, now);
		done += now;
		skip = 0;
	}
	return done;
}

size_t virtqueue_read(const struct iovec *parts, unsigned n, size_t skip, void *to, size_t len)
{
	return copy(parts, n, skip, to, len, false);
}

size_t virtqueue_write(const struct iovec *parts, unsigned n, size_t skip, const void *from,
		       size_t len)
{
	return copy(parts, n, skip, (uint8_t *)(uintptr_t)from, len, true);
}
