#include "devices/virtio_clock.h"

#include "vmm/base/bytes.h"

#define CLASS	   0x088000 /* base system peripheral, other */
#define QUEUE_SIZE 16

/* Requests begin with a type of 16 bits, and 48 bits that are reserved. */
#define READ	  0x0001
#define CFG	  0x1000
#define CLOCK_CAP 0x1001
#define CROSS_CAP 0x1002

/* Most of them go on with the number of a clock, of 16 bits, and 48 bits more. */
#define HEADER	    8
#define NUMBER	    8
#define WITH_NUMBER 16
#define CLOCKS	    1

/* Answers begin with a status of 8 bits, and 56 bits that are reserved. */
#define OK	    0
#define UNSUPPORTED 2
#define NO_CLOCK    3
#define INVALID	    4

/* The host's own source of time may smear leap seconds, and nobody here knows. */
#define TYPE_UTC_MAYBE_SMEARED 4

struct answer {
	uint8_t bytes[16];
	size_t len;
};

/* The number of bytes of a request of this type; 0: there is no such type. */
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

/* What follows the header of an answer to `type` that is OK; a zero if nothing is said here. */
static uint64_t answer_value(const struct virtio_clock *clock, unsigned type)
{
	switch (type) {
	case CFG:
		return CLOCKS;
	case READ:
		return clock->now();
	case CLOCK_CAP:
		return TYPE_UTC_MAYBE_SMEARED; /* then the variant of smearing: unspecified */
	default:
		return 0; /* CROSS_CAP: no flag, so there are none */
	}
}

static struct answer answer_to(const struct virtio_clock *clock, const struct virtqueue_buffer *b)
{
	struct answer a = { .len = HEADER };
	uint8_t request[WITH_NUMBER];
	size_t got = virtqueue_read(b->parts, b->nr_out, 0, request, sizeof(request));
	unsigned type = got < HEADER ? 0 : (unsigned)load_le(request, 2);
	size_t len = request_len(type);

	if (got < HEADER)
		a.bytes[0] = INVALID;
	else if (!len)
		a.bytes[0] = UNSUPPORTED;
	else if (got < len)
		a.bytes[0] = INVALID;
	else if (len == WITH_NUMBER && load_le(request + NUMBER, 2) >= CLOCKS)
		a.bytes[0] = NO_CLOCK;
	if (a.bytes[0] != OK)
		return a;
	a.len = sizeof(a.bytes);
	store_le(a.bytes + HEADER, answer_value(clock, type), 8);
	return a;
}

static void virtio_clock_handle(struct virtio_device *dev, unsigned i)
{
	struct virtio_clock *clock = (struct virtio_clock *)dev;
	struct virtqueue_buffer *b = &clock->buffer;

	while (virtio_take(dev, i, b)) {
		struct answer a = answer_to(clock, b);
		size_t n = 0;

		/* An answer that has no room is not given in part: the driver reads 0 bytes. */
		if (b->in_len >= a.len)
			n = virtqueue_write(b->parts + b->nr_out, b->nr_in, 0, a.bytes, a.len);
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
