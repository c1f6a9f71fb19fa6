#include "devices/virtio_blk.h"

#include "vmm/base/bytes.h"

#include <errno.h>
#include <linux/virtio_blk.h>
#include <stdlib.h>
#include <string.h>

#define SECTOR	   512u
#define SEG_MAX	   128u /* data parts: below VIRTQUEUE_PARTS_MAX, because RAM blocks split parts */
#define HELD_MAX   32u	/* completed requests and their 4 KiB pages before an interrupt */
#define RANGES_MAX 1u	/* of one discard */
#define RANGE_MAX  (UINT32_MAX / SECTOR) /* sectors of one range */

/* struct virtio_blk_config: offsets */
#define CONFIG_CAPACITY	     0
#define CONFIG_SEG_MAX	     12
#define CONFIG_BLK_SIZE	     20
#define CONFIG_PHYSICAL_EXP  24
#define CONFIG_FIRST	     25
#define CONFIG_MIN_IO	     26
#define CONFIG_OPT_IO	     28
#define CONFIG_DISCARD_MAX   36
#define CONFIG_DISCARD_SEG   40
#define CONFIG_DISCARD_ALIGN 44
#define CONFIG_ZERO_MAX	     48
#define CONFIG_ZERO_SEG	     52
#define CONFIG_ZERO_UNMAP    56

enum {
	T_IN = 0,
	T_OUT = 1,
	T_FLUSH = 4,
	T_GET_ID = 8,
	T_DISCARD = 11,
	T_WRITE_ZEROES = 13,
};

enum { S_OK = 0, S_IOERR = 1, S_UNSUPP = 2 };

#define HEADER 16 /* type, reserved, sector */
#define RANGE  16 /* sector, sectors, flags */
#define UNMAP  1

struct virtio_blk_request {
	struct block_request block;
	struct virtio_blk_queue *queue;
	struct virtqueue_buffer buffer;
	uint8_t *status;  /* the last writable byte */
	uint32_t written; /* bytes for the driver, without the status */
};

/* --- completing a request; queue's lock held --- */

static bool is_idle(const struct virtio_blk_queue *q)
{
	return q->nr_free == VIRTIO_BLK_QUEUE_SIZE;
}

static void virtio_blk_give_back(struct virtio_blk_request *r)
{
	struct virtio_blk_queue *q = r->queue;

	q->free[q->nr_free++] = r;
	if (is_idle(q))
		pthread_cond_broadcast(&q->idle);
}

static void virtio_blk_finish(struct virtio_blk_request *r, uint8_t status)
{
	struct virtio_blk_queue *q = r->queue;
	struct virtqueue *ring = &q->blk->dev.queues[q->index].ring;

	/* After a reset the driver may use the memory for other data, so nothing is written. */
	if (ring->state.started) {
		*r->status = status;
		virtqueue_push(ring, r->buffer.id, r->buffer.entries, r->written + 1);
		q->held += 1 + (unsigned)(r->block.len / 4096);
	}
	virtio_blk_give_back(r);
}

static void block_done(struct block_request *block, int error)
{
	struct virtio_blk_request *r = (struct virtio_blk_request *)block;

	if (block->op == BLOCK_READ && !error)
		r->written = (uint32_t)block->len;
	virtio_blk_finish(r, error == -EOPNOTSUPP ? S_UNSUPP : error ? S_IOERR : S_OK);
}

/* --- decoding a request --- */

/*
 * Removes `skip` bytes from the front of the parts and `cut` bytes from their end. The parts have
 * at least as many.
 */
static unsigned trim(struct iovec **parts, unsigned n, size_t skip, size_t cut)
{
	while (n && skip >= (*parts)->iov_len) {
		skip -= (*parts)->iov_len;
		++*parts;
		n--;
	}
	if (n) {
		(*parts)->iov_base = (uint8_t *)(*parts)->iov_base + skip;
		(*parts)->iov_len -= skip;
	}
	while (n && cut >= (*parts)[n - 1].iov_len)
		cut -= (*parts)[--n].iov_len;
	if (n)
		(*parts)[n - 1].iov_len -= cut;
	return n;
}

/* Whether the bytes are whole sectors within the disk. */
static bool in_disk(const struct virtio_blk *blk, uint64_t sector, uint64_t len)
{
	uint64_t sectors = __atomic_load_n(&blk->disk.size, __ATOMIC_RELAXED) / SECTOR;

	return len % SECTOR == 0 && sector <= sectors && len / SECTOR <= sectors - sector;
}

static uint8_t get_id(struct virtio_blk_request *r, struct iovec *parts, unsigned n)
{
	char id[VIRTIO_BLK_SERIAL] = "";

	memcpy(id, r->queue->blk->disk.serial, strnlen(r->queue->blk->disk.serial, sizeof(id)));
	r->written = (uint32_t)virtqueue_write(parts, n, 0, id, sizeof(id));
	return S_OK;
}

/* Section 5.2.6.1: a request has one range, because the configuration allows no more. */
static int take_range(struct virtio_blk_request *r, bool zero)
{
	struct virtio_blk *blk = r->queue->blk;
	uint8_t range[RANGE];
	uint64_t sector, len;
	uint32_t flags;

	if (blk->disk.readonly || r->buffer.out_len != HEADER + RANGE)
		return S_IOERR;
	virtqueue_read(r->buffer.parts, r->buffer.nr_out, HEADER, range, sizeof(range));
	sector = load_le(range, 8);
	len = load_le(range + 8, 4) * SECTOR;
	flags = (uint32_t)load_le(range + 12, 4);
	if (flags & ~(zero ? UNMAP : 0u))
		return S_UNSUPP;
	if (!in_disk(blk, sector, len))
		return S_IOERR;
	r->block.op = zero ? BLOCK_ZERO : BLOCK_DISCARD;
	r->block.may_unmap = flags & UNMAP;
	r->block.offset = sector * SECTOR;
	r->block.len = len;
	return -1;
}

/*
 * Whether the driver negotiated FLUSH. Section 5.2.6.2: otherwise a write must be stable when it is
 * completed.
 */
static bool flushes(const struct virtio_blk_request *r)
{
	return r->queue->blk->dev.state.accepted & VIRTIO_BIT(BLK_F_FLUSH);
}

static int take_data(struct virtio_blk_request *r, uint64_t sector, bool write)
{
	struct virtqueue_buffer *b = &r->buffer;
	struct virtio_blk *blk = r->queue->blk;
	uint64_t len = write ? b->out_len - HEADER : b->in_len - 1;

	if ((write && blk->disk.readonly) || !in_disk(blk, sector, len))
		return S_IOERR;
	r->block.op = write ? BLOCK_WRITE : BLOCK_READ;
	r->block.stable = write && !flushes(r);
	r->block.offset = sector * SECTOR;
	r->block.len = len;
	r->block.parts = write ? b->parts : b->parts + b->nr_out;
	r->block.nr_parts = trim(&r->block.parts, write ? b->nr_out : b->nr_in, write ? HEADER : 0,
				 write ? 0 : 1);
	return len ? -1 : S_OK;
}

/* Returns the status if the request is completed already; -1: r->block is to be submitted. */
static int take_apart(struct virtio_blk_request *r)
{
	struct virtqueue_buffer *b = &r->buffer;
	struct iovec *in = b->parts + b->nr_out;
	uint8_t header[HEADER];
	uint64_t sector;
	unsigned n;

	virtqueue_read(b->parts, b->nr_out, 0, header, sizeof(header));
	sector = load_le(header + 8, 8);
	switch (load_le(header, 4)) {
	case T_IN:
		return take_data(r, sector, false);
	case T_OUT:
		return take_data(r, sector, true);
	case T_FLUSH:
		r->block.op = BLOCK_FLUSH;
		return -1;
	case T_GET_ID:
		n = trim(&in, b->nr_in, 0, 1);
		return get_id(r, in, n);
	case T_DISCARD:
		return r->queue->blk->disk.discard_max ? take_range(r, false) : S_UNSUPP;
	case T_WRITE_ZEROES: /* only with FLUSH, because BLOCK_ZERO is not stable when completed */
		return r->queue->blk->disk.zeroes && flushes(r) ? take_range(r, true) : S_UNSUPP;
	}
	return S_UNSUPP;
}

static void virtio_blk_take(struct virtio_device *dev, unsigned i, struct virtqueue_buffer *buffer)
{
	struct virtio_blk *blk = (struct virtio_blk *)dev;
	struct virtio_blk_queue *q = &blk->queues[i];
	struct virtio_blk_request *r =
		(struct virtio_blk_request *)((char *)buffer -
					      offsetof(struct virtio_blk_request, buffer));
	const struct iovec *last;
	int status;

	q->nr_free--;
	r->queue = q;
	r->written = 0;
	r->block = (struct block_request){ .done = block_done };
	if (buffer->out_len < HEADER || !buffer->in_len) {
		virtqueue_break(&dev->queues[i].ring,
				"a request has no header or no room for its status");
		virtio_blk_give_back(r);
		return;
	}
	last = &buffer->parts[buffer->nr_out + buffer->nr_in - 1];
	r->status = (uint8_t *)last->iov_base + last->iov_len - 1;
	status = take_apart(r);
	if (status < 0)
		blk->disk.ops->submit(blk->disk.queues[i], &r->block);
	else
		virtio_blk_finish(r, (uint8_t)status);
}

static void virtio_blk_interrupt(struct virtio_blk_queue *q)
{
	q->held = 0;
	virtio_interrupt(&q->blk->dev, q->index);
}

/* Returns the buffer of the next free request, of which there must be one. */
static struct virtqueue_buffer *next_buffer(const struct virtio_blk_queue *q)
{
	return &q->free[q->nr_free - 1]->buffer;
}

static bool has_more(void *ring)
{
	return virtqueue_has_more(ring);
}

/*
 * Whether there is a request to take or one that completed. Interrupts the driver before it polls.
 * If the result is false and a request is free, kicks are on.
 */
static bool virtio_blk_look(struct virtio_blk_queue *q)
{
	const struct virtio_blk_disk *disk = &q->blk->disk;
	struct virtqueue *ring = &q->blk->dev.queues[q->index].ring;

	if (!q->nr_free)
		return false;
	if (virtqueue_has_more(ring))
		return true;
	virtio_blk_interrupt(q);
	if (disk->ops->poll(disk->queues[q->index], has_more, ring))
		return true;
	virtqueue_want_kicks(ring, true);
	if (!virtqueue_has_more(ring))
		return false;
	virtqueue_want_kicks(ring, false);
	return true;
}

/*
 * A correct driver has at most as many requests in flight as the ring has entries. Requests beyond
 * the free ones stay in the ring until others complete.
 */
static void virtio_blk_handle(struct virtio_device *dev, unsigned i)
{
	struct virtio_blk *blk = (struct virtio_blk *)dev;
	struct virtio_blk_queue *q = &blk->queues[i];
	struct virtqueue *ring = &dev->queues[i].ring;
	unsigned left = VIRTIO_BLK_QUEUE_SIZE; /* in one call, because a reset waits for the lock */

	/*
	 * Requests that come while the disk works are taken without a kick: kicks are on again only
	 * when the ring is empty. Without a free request kicks stay off, because virtio_blk_reap
	 * handles the queue again when a request completes. While the driver adds requests, one
	 * interrupt is sent for several completed ones.
	 */
	virtqueue_want_kicks(ring, false);
	do {
		for (; left && q->nr_free && virtqueue_pop(ring, next_buffer(q)); left--)
			virtio_blk_take(dev, i, next_buffer(q));
		blk->disk.ops->flush(blk->disk.queues[i]);
		if (!left) {
			virtio_again(dev, i);
			break;
		}
		if (q->held >= HELD_MAX)
			virtio_blk_interrupt(q);
	} while (virtio_blk_look(q));
	virtio_blk_interrupt(q);
}

void virtio_blk_reap(struct virtio_blk *blk, unsigned i, void (*reap)(void *queue))
{
	struct virtio_queue *q = &blk->dev.queues[i];

	pthread_mutex_lock(&q->lock);
	reap(blk->disk.queues[i]);
	virtio_handle(&blk->dev, i); /* takes buffers that waited for a free request */
	pthread_mutex_unlock(&q->lock);
}

/*
 * Waits for all requests, because reads may still write to the driver's memory. `drain` ends
 * requests that wait for anything but the disk, such as for free space.
 */
static void virtio_blk_reset(struct virtio_device *dev)
{
	struct virtio_blk *blk = (struct virtio_blk *)dev;

	for (unsigned i = 0; i < dev->nr_queues; i++) {
		pthread_mutex_lock(&dev->queues[i].lock);
		blk->disk.ops->drain(blk->disk.queues[i], true);
		while (!is_idle(&blk->queues[i]))
			pthread_cond_wait(&blk->queues[i].idle, &dev->queues[i].lock);
		blk->disk.ops->drain(blk->disk.queues[i], false);
		pthread_mutex_unlock(&dev->queues[i].lock);
	}
}

static const struct virtio_ops ops = {
	.name = "virtio-blk",
	.type = VIRTIO_ID_BLOCK,
	.class = VIRTIO_BLK_CLASS,
	.work = VIRTIO_WORK_ALL,
	.handle = virtio_blk_handle,
	.reset = virtio_blk_reset,
};

/* --- init --- */

/* Section 5.2.4: in blocks. A value that is too large for its field is left out. */
static void fill_topology(struct virtio_blk *blk)
{
	const struct virtio_blk_disk *disk = &blk->disk;
	uint32_t block = disk->block_size, min_io = disk->min_io / block;
	uint8_t exp = 0;

	while (exp < 31 && (uint64_t)block << (exp + 1) <= disk->physical)
		exp++;
	blk->dev.state.config[CONFIG_PHYSICAL_EXP] = exp;
	if (disk->first / block <= UINT8_MAX)
		blk->dev.state.config[CONFIG_FIRST] = (uint8_t)(disk->first / block);
	store_le(blk->dev.state.config + CONFIG_MIN_IO, min_io <= UINT16_MAX ? min_io : 0, 2);
	store_le(blk->dev.state.config + CONFIG_OPT_IO, disk->opt_io / block, 4);
}

/* Returns the most sectors of one range, a multiple of the discard granularity. */
static uint32_t discard_max(const struct virtio_blk_disk *disk)
{
	uint64_t max = disk->discard_max / SECTOR, piece = disk->discard_granularity / SECTOR;

	if (max > RANGE_MAX)
		max = RANGE_MAX;
	return (uint32_t)(piece && max > piece ? max - max % piece : max);
}

static void fill_config(struct virtio_blk *blk)
{
	uint8_t *config = blk->dev.state.config;

	store_le(config + CONFIG_CAPACITY, blk->disk.size / SECTOR, 8);
	store_le(config + CONFIG_SEG_MAX, SEG_MAX, 4);
	store_le(config + CONFIG_BLK_SIZE, blk->disk.block_size, 4);
	store_le(config + VIRTIO_BLK_CONFIG_QUEUES, blk->disk.nr_queues, 2);
	fill_topology(blk);
	store_le(config + CONFIG_DISCARD_MAX, discard_max(&blk->disk), 4);
	store_le(config + CONFIG_DISCARD_SEG, RANGES_MAX, 4);
	store_le(config + CONFIG_DISCARD_ALIGN,
		 (blk->disk.discard_granularity ? blk->disk.discard_granularity
						: blk->disk.block_size) /
			 SECTOR,
		 4);
	store_le(config + CONFIG_ZERO_MAX, RANGE_MAX, 4);
	store_le(config + CONFIG_ZERO_SEG, RANGES_MAX, 4);
	config[CONFIG_ZERO_UNMAP] = 1;
	blk->dev.config_size = VIRTIO_BLK_CONFIG;
}

int virtio_blk_init(struct virtio_blk *blk, const struct virtio_blk_disk *disk, struct err *err)
{
	uint16_t sizes[VIRTIO_BLK_QUEUES_MAX];
	uint64_t features = VIRTIO_BIT(BLK_F_SEG_MAX) | VIRTIO_BIT(BLK_F_BLK_SIZE) |
			    VIRTIO_BIT(BLK_F_TOPOLOGY) | VIRTIO_BIT(BLK_F_FLUSH) |
			    VIRTIO_BIT(BLK_F_MQ);

	memset(blk, 0, sizeof(*blk));
	for (unsigned i = 0; i < disk->nr_queues; i++)
		sizes[i] = VIRTIO_BLK_QUEUE_SIZE;
	if (disk->readonly)
		features |= VIRTIO_BIT(BLK_F_RO);
	else
		features |= (disk->discard_max ? VIRTIO_BIT(BLK_F_DISCARD) : 0) |
			    (disk->zeroes ? VIRTIO_BIT(BLK_F_WRITE_ZEROES) : 0);
	virtio_init(&blk->dev, &ops, features, sizes, disk->nr_queues);
	if (disk->split)
		blk->dev.features &= ~VIRTIO_BIT(F_RING_PACKED);
	blk->disk = *disk;
	fill_config(blk);
	for (unsigned i = 0; i < disk->nr_queues; i++) {
		struct virtio_blk_queue *q = &blk->queues[i];

		q->blk = blk;
		q->index = i;
		pthread_cond_init(&q->idle, NULL);
		q->requests = calloc(VIRTIO_BLK_QUEUE_SIZE, sizeof(*q->requests));
		if (!q->requests) {
			virtio_blk_destroy(blk);
			return err_sys(err, ENOMEM, "out of memory for the requests of a disk");
		}
		/*
		 * The first request is on top of the stack, so that memory of later ones is touched
		 * only when many requests are in flight.
		 */
		while (!is_idle(q)) {
			q->free[q->nr_free] = &q->requests[VIRTIO_BLK_QUEUE_SIZE - 1 - q->nr_free];
			q->nr_free++;
		}
	}
	return 0;
}

void virtio_blk_destroy(struct virtio_blk *blk)
{
	for (unsigned i = 0; i < VIRTIO_BLK_QUEUES_MAX; i++) {
		free(blk->queues[i].requests);
		blk->queues[i].requests = NULL;
	}
}

bool virtio_blk_resize(struct virtio_blk *blk, uint64_t size)
{
	uint64_t was = __atomic_exchange_n(&blk->disk.size, size, __ATOMIC_RELAXED);
	uint8_t capacity[8];

	store_le(capacity, size / SECTOR, sizeof(capacity));
	if (virtio_try_config(&blk->dev, CONFIG_CAPACITY, capacity, sizeof(capacity)))
		return true;
	__atomic_store_n(&blk->disk.size, was, __ATOMIC_RELAXED);
	return false;
}
