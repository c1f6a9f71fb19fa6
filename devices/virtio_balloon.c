#include "devices/virtio_balloon.h"

#include "vmm/base/bytes.h"

#include <linux/virtio_balloon.h>
#include <string.h>

#define CLASS	   0x00ff00 /* unclassified */
#define QUEUE_SIZE 128
#define PAGE	   4096u /* section 5.5.6: of the device, whatever the guest's page size */
#define BATCH	   256u	 /* page numbers read at a time */
/* Limits of one call of `handle`; the buffer or part that reaches a limit is the last. */
#define TURN	   4096u		 /* pages of the balloon */
#define TURN_BYTES (UINT64_C(256) << 20) /* free pages: Linux reports some MiB in each part */

#define NUMBERS_MAX 65536u /* bytes of page numbers in one buffer; Linux has 1024 */

/* struct virtio_balloon_config */
#define CONFIG_WANTED 0 /* pages */
#define CONFIG_ACTUAL 4
#define CONFIG_POISON 12 /* the driver's pattern for free pages; offset 8 is for hints */
#define CONFIG_SIZE   16

#define STAT 10 /* bytes: tag, number */

/*
 * Queues that were not negotiated have no number, as in Linux and QEMU: there is no queue for
 * hints, and without one for statistics, reports have the number STATS.
 */
enum { INFLATE, DEFLATE, STATS, REPORTS, QUEUES };

const char *const virtio_balloon_stats[VIRTIO_BALLOON_STATS] = {
	"swap_in_bytes",       "swap_out_bytes",   "major_faults",    "minor_faults",
	"free_bytes",	       "total_bytes",	   "available_bytes", "cache_bytes",
	"hugetlb_allocations", "hugetlb_failures",
};

/* --- the balloon --- */

/* Discards `len` bytes at guest address `at`, in one or several blocks; stops where RAM ends. */
static void discard_run(struct virtio_balloon *b, const struct guest_ram *ram, uint64_t at,
			uint64_t len)
{
	while (len) {
		uint64_t part = len;
		uint8_t *host = guest_ram_part(ram, at, &part);

		if (!host)
			return;
		b->host.discard(b->host.to, host, part);
		at += part;
		len -= part;
	}
}

/* Discards pages. Numbers that follow each other, up or down, are discarded in one call. */
static void discard_pages(struct virtio_balloon *b, const struct guest_ram *ram,
			  const uint8_t *numbers, unsigned n)
{
	uint64_t start = 0, end = 0; /* guest addresses */

	for (unsigned i = 0; i <= n; i++) {
		uint64_t at = i < n ? load_le(numbers + 4 * i, 4) * PAGE : UINT64_MAX;

		if (start < end && at == end) {
			end += PAGE;
		} else if (start < end && at + PAGE == start) {
			start = at;
		} else {
			discard_run(b, ram, start, end - start);
			start = at;
			end = at + PAGE;
		}
	}
}

static void inflate(struct virtio_balloon *b)
{
	struct virtqueue *ring = &b->dev.queues[INFLATE].ring;
	uint8_t numbers[4 * BATCH];
	unsigned done = 0;

	while (done < TURN && virtio_take(&b->dev, INFLATE, &b->buffer)) {
		const struct virtqueue_buffer *buf = &b->buffer;

		if (buf->out_len > NUMBERS_MAX) {
			virtqueue_break(ring, "a buffer has more page numbers than a driver sends");
			return;
		}
		for (size_t at = 0; at + 4 <= buf->out_len; at += sizeof(numbers)) {
			size_t n = virtqueue_read(buf->parts, buf->nr_out, at, numbers,
						  sizeof(numbers));

			discard_pages(b, ring->ram, numbers, (unsigned)(n / 4));
			done += (unsigned)(n / 4);
		}
		virtqueue_push(ring, buf->id, buf->entries, 0);
	}
	if (done >= TURN)
		virtio_again(&b->dev, INFLATE);
}

/* Returns the buffers. The kernel allocates a discarded page when the guest touches it. */
static void deflate(struct virtio_balloon *b)
{
	struct virtqueue *ring = &b->dev.queues[DEFLATE].ring;

	while (virtio_take(&b->dev, DEFLATE, &b->buffer))
		virtqueue_push(ring, b->buffer.id, b->buffer.entries, 0);
}

/*
 * Section 5.5.6.7: with PAGE_POISON a reported page must keep the driver's pattern. A discarded
 * page reads as zeroes, so pages are discarded only if the pattern is zero.
 */
static bool may_discard(const struct virtio_balloon *b)
{
	return !(b->dev.state.accepted & VIRTIO_BIT(BALLOON_F_PAGE_POISON)) ||
	       !__atomic_load_n(&b->poison, __ATOMIC_RELAXED);
}

/*
 * Discards parts of the current report until `*turn` bytes are used up. Returns whether parts are
 * left.
 */
static bool report_parts(struct virtio_balloon *b, uint64_t *turn)
{
	struct virtio_balloon_state *st = &b->state;
	const struct virtqueue_buffer *buf = &b->report;

	for (; st->reported < buf->nr_in && *turn; st->reported++) {
		const struct iovec *part = &buf->parts[buf->nr_out + st->reported];

		if (may_discard(b))
			b->host.discard(b->host.to, part->iov_base, part->iov_len);
		*turn -= min_u64(*turn, part->iov_len);
	}
	return st->reported < buf->nr_in;
}

/*
 * The parts of a buffer are the free pages themselves, which the driver does not use until the
 * buffer is returned.
 */
static void take_reports(struct virtio_balloon *b, unsigned queue)
{
	struct virtio_balloon_state *st = &b->state;
	struct virtqueue *ring = &b->dev.queues[queue].ring;
	uint64_t turn = TURN_BYTES;

	while (turn && (st->has_report || virtio_take(&b->dev, queue, &b->report))) {
		if (!st->has_report)
			st->reported = 0;
		st->has_report = report_parts(b, &turn);
		if (!st->has_report)
			virtqueue_push(ring, b->report.id, b->report.entries, 0);
	}
	if (!turn)
		virtio_again(&b->dev, queue);
}

/* --- statistics --- */

static void tell_stats(struct virtio_balloon *b)
{
	uint64_t numbers[VIRTIO_BALLOON_STATS];
	uint8_t stat[STAT];

	memset(numbers, 0xff, sizeof(numbers));
	for (size_t at = 0; at < 4 * STAT * VIRTIO_BALLOON_STATS; at += STAT) {
		unsigned tag;

		if (virtqueue_read(b->stats.parts, b->stats.nr_out, at, stat, STAT) < STAT)
			break;
		tag = (unsigned)load_le(stat, 2);
		if (tag < VIRTIO_BALLOON_STATS)
			numbers[tag] = load_le(stat + 2, 8);
	}
	b->state.asked = false;
	b->host.stats(b->host.to, numbers);
}

/*
 * The driver adds one buffer, which the device keeps. Returning it asks for statistics: the driver
 * fills the buffer and adds it again (section 5.5.6.3).
 */
static void take_stats(struct virtio_balloon *b)
{
	struct virtio_balloon_state *st = &b->state;

	if (st->has_stats || !virtqueue_take(&b->dev.queues[STATS].ring, &b->stats))
		return;
	st->has_stats = true;
	virtqueue_want_kicks(&b->dev.queues[STATS].ring, true); /* for the next statistics */
	if (st->asked)
		tell_stats(b);
}

bool virtio_balloon_ask(struct virtio_balloon *b)
{
	struct virtio_balloon_state *st = &b->state;
	struct virtio_queue *q = &b->dev.queues[STATS];
	bool can;

	pthread_mutex_lock(&q->lock);
	can = (st->has_stats || st->asked) &&
	      (b->dev.state.accepted & VIRTIO_BIT(BALLOON_F_STATS_VQ)) && q->ring.state.started &&
	      !q->ring.state.broken;
	if (can && st->has_stats) {
		st->has_stats = false;
		st->asked = true;
		virtqueue_push(&q->ring, b->stats.id, b->stats.entries, 0);
		virtio_interrupt(&b->dev, STATS);
	}
	pthread_mutex_unlock(&q->lock);
	return can;
}

/* --- the device --- */

static void virtio_balloon_handle(struct virtio_device *dev, unsigned i)
{
	struct virtio_balloon *b = (struct virtio_balloon *)dev;
	bool has_stats = dev->state.accepted & VIRTIO_BIT(BALLOON_F_STATS_VQ);

	if (i == INFLATE)
		inflate(b);
	else if (i == DEFLATE)
		deflate(b);
	else if (i == STATS && has_stats)
		take_stats(b);
	else if (dev->state.accepted & VIRTIO_BIT(BALLOON_F_REPORTING))
		take_reports(b, i);
	virtio_interrupt(dev, i);
}

static void config_written(struct virtio_device *dev)
{
	struct virtio_balloon *b = (struct virtio_balloon *)dev;

	__atomic_store_n(&b->actual, load_le(dev->state.config + CONFIG_ACTUAL, 4),
			 __ATOMIC_RELAXED);
	__atomic_store_n(&b->poison, load_le(dev->state.config + CONFIG_POISON, 4),
			 __ATOMIC_RELAXED);
}

static void virtio_balloon_reset(struct virtio_device *dev)
{
	struct virtio_balloon *b = (struct virtio_balloon *)dev;

	pthread_mutex_lock(&dev->queues[STATS].lock);
	b->state.has_stats = false; /* `asked` stays: the next driver's buffer is the answer */
	pthread_mutex_unlock(&dev->queues[STATS].lock);
	b->state.has_report = false; /* without a lock, because all queues are stopped */
	store_le(dev->state.config + CONFIG_POISON, 0, 4);
	config_written(dev);
}

static const struct virtio_ops ops = {
	.name = "virtio-balloon",
	.type = VIRTIO_ID_BALLOON,
	.class = CLASS,
	.config_written = config_written,
	.handle = virtio_balloon_handle,
	.reset = virtio_balloon_reset,
};

static uint32_t pages(uint64_t size)
{
	return (uint32_t)min_u64(size / PAGE, UINT32_MAX);
}

void virtio_balloon_init(struct virtio_balloon *b, const struct balloon_host *host, uint64_t size)
{
	const uint16_t sizes[QUEUES] = { QUEUE_SIZE, QUEUE_SIZE, QUEUE_SIZE, QUEUE_SIZE };

	virtio_init(&b->dev, &ops,
		    VIRTIO_BIT(BALLOON_F_STATS_VQ) | VIRTIO_BIT(BALLOON_F_DEFLATE_ON_OOM) |
			    VIRTIO_BIT(BALLOON_F_PAGE_POISON) | VIRTIO_BIT(BALLOON_F_REPORTING),
		    sizes, QUEUES);
	b->host = *host;
	b->state.has_stats = b->state.asked = b->state.has_report = false;
	b->actual = b->poison = 0;
	store_le(b->dev.state.config + CONFIG_WANTED, pages(size), 4);
	b->dev.config_size = CONFIG_SIZE;
}

void virtio_balloon_set(struct virtio_balloon *b, uint64_t size)
{
	uint8_t wanted[4];

	store_le(wanted, pages(size), sizeof(wanted));
	virtio_set_config(&b->dev, CONFIG_WANTED, wanted, sizeof(wanted));
}

uint64_t virtio_balloon_actual(const struct virtio_balloon *b)
{
	return (uint64_t)__atomic_load_n(&b->actual, __ATOMIC_RELAXED) * PAGE;
}
