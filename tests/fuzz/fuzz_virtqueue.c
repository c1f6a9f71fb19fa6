/*
 * A hostile driver at a virtqueue: the input is guest memory, the queue's registers, and what
 * happens next. Holds at every step: what is handed out lies in RAM, lengths add up, and a broken
 * queue gives nothing.
 */
#include "devices/virtqueue.h"
#include "vmm/base/bytes.h"

#include <stdlib.h>
#include <string.h>

#define BLOCK 4096
#define FAR   UINT64_C(0x10000000000)

static uint8_t memory[2][BLOCK] __attribute__((aligned(4096)));
static const struct ram_block blocks[] = {
	{ { 0, BLOCK }, memory[0], -1, 0 },
	{ { FAR, FAR + BLOCK }, memory[1], -1, 0 },
};
static const struct guest_ram ram = { blocks, ARRAY_SIZE(blocks) };

static void must(bool holds)
{
	if (!holds)
		abort();
}

static void check_buffer(const struct virtqueue_buffer *b)
{
	uint64_t out = 0, in = 0;

	must(b->nr_out + b->nr_in <= VIRTQUEUE_PARTS_MAX);
	for (unsigned i = 0; i < b->nr_out + b->nr_in; i++) {
		const uint8_t *at = b->parts[i].iov_base;
		size_t len = b->parts[i].iov_len;
		unsigned block = at >= memory[1] && at < memory[1] + BLOCK;

		must(len && at >= memory[block] && len <= BLOCK &&
		     (size_t)(at - memory[block]) <= BLOCK - len);
		*(i < b->nr_out ? &out : &in) += len;
	}
	must(out == b->out_len && in == b->in_len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes_in in = { .data = data, .len = size };
	struct virtqueue q = { .ram = &ram };
	static struct virtqueue_buffer b;
	unsigned flags = (unsigned)get_le(&in, 1);

	q.packed = flags & 1;
	q.event_idx = flags & 2;
	q.indirect = flags & 4;
	q.state.size = (unsigned)get_le(&in, 2);
	q.state.desc = get_le(&in, 2) + (flags & 8 ? FAR : 0);
	q.state.driver = get_le(&in, 2) + (flags & 16 ? FAR : 0);
	q.state.device = get_le(&in, 2) + (flags & 32 ? FAR : 0);
	memset(memory, 0, sizeof(memory));
	if (!virtqueue_start(&q))
		must(q.state.broken);
	while (!in.failed && in.at < in.len) {
		unsigned what = (unsigned)get_le(&in, 1), at, n;

		switch (what & 3) {
		case 0: /* the guest writes memory */
			at = (unsigned)get_le(&in, 2) % sizeof(memory);
			n = (unsigned)min_u64(what >> 2, sizeof(memory) - at);
			n = (unsigned)min_u64(n, in.len - in.at);
			if (n && !in.failed)
				memcpy((uint8_t *)memory + at, get_mem(&in, n), n);
			break;
		case 1:
			if (!virtqueue_pop(&q, &b))
				break;
			must(q.state.started && !q.state.broken);
			check_buffer(&b);
			if (what & 4)
				virtqueue_push(&q, b.id, b.entries, (uint32_t)b.in_len);
			break;
		case 2:
			must(!virtqueue_should_interrupt(&q) || q.state.started);
			break;
		case 3:
			virtqueue_want_kicks(&q, what & 4);
			break;
		}
	}
	return 0;
}
