#include "devices/virtio_clock.h"

#include "vmm/base/bytes.h"

#define CLASS	   0x088000 /* base system peripheral, other */
#define QUEUE_SIZE 16

/* Types of requests. A request begins with its type, 16 bits, and 48 reserved bits. */
#define READ	  0x0001
#define CFG	  0x1000
#define CLOCK_CAP 0x1001
#define CROSS_CAP 0x1002

/* All but CFG continue with the number of a clock, 16 bits, and 48 further bits. */
#define HEADER	    8
#define NUMBER	    8
#define WITH_NUMBER 16
#define CLOCKS	    1

/* CROSS_CAP has the number of a counter, 8 bits, at this offset. The specification has these. */
#define COUNTER		10
#define COUNTER_ARM_VCT 0
#define COUNTER_X86_TSC 1
#define COUNTER_INVALID 0xff

/* Status of an answer. An answer begins with its status, 8 bits, and 56 reserved bits. */
#define OK	    0
#define UNSUPPORTED 2
#define NO_CLOCK    3
#define INVALID	    4

/* The host's source of time may smear leap seconds, and nothing reports whether it does. */
#define TYPE_UTC_MAYBE_SMEARED 4

#define ANSWER 16 /* bytes of an answer with OK; any other answer is a header alone */

/* Returns the bytes of a request of this type; 0: there is no such type. */
static size_t request_len(unsigned type)
{
	switch (type) {
	case CFG:
		return HEADER;
	case READ:
	case CLOCK_CAP:
	case CROSS_CAP:
		return WITH_NUMBER;
	default:
		return 0;
	}
}

/* Returns the 8 bytes after the header of an answer with OK to `type`. */
static uint64_t answer_value(const struct virtio_clock *clock, unsigned type)
{
	switch (type) {
	case CFG:
		return CLOCKS;
	case READ:
		return clock->now();
	case CLOCK_CAP:
		return TYPE_UTC_MAYBE_SMEARED; /* the next byte, 0: smearing variant unspecified */
	default:
		return 0; /* CROSS_CAP: no flag, so no cross-timestamps */
	}
}

static bool is_counter(uint8_t id)
{
	return id == COUNTER_ARM_VCT || id == COUNTER_X86_TSC || id == COUNTER_INVALID;
}

/* Returns the status of a request of `len` bytes that has `room` bytes for the answer. */
static uint8_t request_status(const uint8_t *request, size_t len, uint64_t room)
{
	unsigned type = (unsigned)load_le(request, 2);
	size_t whole = request_len(type);

	if (len < HEADER)
		return INVALID;
	if (!whole)
		return UNSUPPORTED;
	if (len < whole || room < ANSWER)
		return INVALID;
	if (whole == WITH_NUMBER && load_le(request + NUMBER, 2) >= CLOCKS)
		return NO_CLOCK;
	if (type == CROSS_CAP && !is_counter(request[COUNTER]))
		return UNSUPPORTED;
	return OK;
}

/*
 * Answers a request; returns the number of bytes written. If the answer has no room, the status is
 * INVALID and as many bytes as fit are written, because "Device Operation" requires the status
 * wherever there is a byte for it.
 */
static size_t answer_request(const struct virtio_clock *clock, const struct virtqueue_buffer *b)
{
	uint8_t request[WITH_NUMBER] = { 0 }, answer[ANSWER] = { 0 };
	size_t len = virtqueue_read(b->parts, b->nr_out, 0, request, sizeof(request));

	answer[0] = request_status(request, len, b->in_len);
	if (answer[0] == OK)
		store_le(answer + HEADER, answer_value(clock, (unsigned)load_le(request, 2)), 8);
	return virtqueue_write(b->parts + b->nr_out, b->nr_in, 0, answer,
			       answer[0] == OK ? ANSWER : HEADER);
}

static void virtio_clock_handle(struct virtio_device *dev, unsigned i)
{
	struct virtio_clock *clock = (struct virtio_clock *)dev;
	struct virtqueue_buffer *b = &clock->buffer;

	while (virtio_take(dev, i, b)) {
		size_t n = answer_request(clock, b);

		virtqueue_push(&dev->queues[i].ring, b->id, b->entries, (uint32_t)n);
	}
	virtio_interrupt(dev, i);
}

static const struct virtio_ops ops = {
	.name = "virtio-rtc",
	.type = VIRTIO_ID_CLOCK,
	.class = CLASS,
	.handle = virtio_clock_handle,
};

void virtio_clock_init(struct virtio_clock *clock, uint64_t (*now)(void))
{
	const uint16_t size = QUEUE_SIZE;

	virtio_init(&clock->dev, &ops, 0, &size, 1);
	clock->now = now;
}
