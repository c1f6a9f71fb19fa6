/*
 * A hostile guest at a virtio disk: its registers, its configuration space, its rings. Holds at
 * every step: requests lie within the disk and in RAM and add up, and every request that was taken
 * ends.
 */
#include "devices/virtio_blk.h"
#include "devices/virtio_pci.h"
#include "vmm/bytes.h"

#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#define MEMORY	  0x8000
#define DISK_SIZE 0x10000
#define QUEUES	  2
#define RINGS	  0x0000 /* of queue 0, as set_up() places them */

static uint8_t memory[MEMORY] __attribute__((aligned(4096)));
static const struct ram_block block = { { 0, MEMORY }, memory, 0 };
static const struct guest_ram ram = { &block, 1, -1 };

static struct virtio_pci pci;
static struct virtio_blk blk;
static struct device *trap;
static unsigned submitted, doorbells, routes;

static void must(bool holds)
{
	if (!holds)
		abort();
}

/* --- the disk --- */

static void submit(void *queue, struct block_request *r)
{
	uint64_t len = 0;

	(void)queue;
	must(r->op == BLOCK_FLUSH || (r->offset <= DISK_SIZE && r->len <= DISK_SIZE - r->offset));
	for (unsigned i = 0; i < r->nr_parts; i++) {
		const uint8_t *at = r->parts[i].iov_base;

		must(at >= memory && r->parts[i].iov_len <= MEMORY &&
		     (size_t)(at - memory) <= MEMORY - r->parts[i].iov_len);
		if (r->op == BLOCK_READ)
			memset(r->parts[i].iov_base, 0x5a, r->parts[i].iov_len);
		len += r->parts[i].iov_len;
	}
	must(!r->nr_parts || len == r->len);
	submitted++;
	r->done(r, submitted % 5 ? 0 : -5);
}

static void flush(void *queue)
{
	(void)queue;
}

static const struct block_queue_ops disk_ops = { submit, flush };

/* --- the machine --- */

static int env_claim(void *to, bool io, struct span at, struct device *dev, struct err *err)
{
	(void)to;
	(void)io;
	(void)err;
	must(!trap && span_size(at) == VIRTIO_PCI_BAR_SIZE);
	trap = dev;
	return 0;
}

static void env_unclaim(void *to, bool io, struct span at)
{
	(void)to;
	(void)io;
	(void)at;
	must(trap);
	trap = NULL;
}

static int env_route(void *to, int fd, uint64_t address, uint32_t data, struct err *err)
{
	(void)to;
	(void)fd;
	(void)address;
	(void)data;
	(void)err;
	return (int)routes++;
}

static int env_route_move(void *to, int handle, uint64_t address, uint32_t data, struct err *err)
{
	(void)to;
	(void)handle;
	(void)address;
	(void)data;
	(void)err;
	return 0;
}

static void env_unroute(void *to, int handle, int fd)
{
	(void)to;
	(void)handle;
	(void)fd;
	routes--;
}

static int env_doorbell(void *to, uint64_t at, int fd, struct err *err)
{
	(void)to;
	(void)at;
	(void)fd;
	(void)err;
	doorbells++;
	return 0;
}

static void env_undoorbell(void *to, uint64_t at, int fd)
{
	(void)to;
	(void)at;
	(void)fd;
	doorbells--;
}

static void env_say(void *to, const char *sentence)
{
	(void)to;
	must(*sentence && !strchr(sentence, '\n'));
}

static const struct pci_env env = {
	.claim = env_claim,
	.unclaim = env_unclaim,
	.route = env_route,
	.route_move = env_route_move,
	.unroute = env_unroute,
	.doorbell = env_doorbell,
	.undoorbell = env_undoorbell,
	.say = env_say,
	.fail = env_say,
};

/* --- what a driver does first, so that inputs get further --- */

static void bar_write(uint64_t offset, unsigned size, uint64_t value)
{
	if (trap)
		trap->ops->write(trap, offset, size, value);
}

static void set_up(unsigned flags)
{
	uint64_t features =
		UINT64_C(1) << 32 | (uint64_t)(flags & 1) << 34 | (uint64_t)(flags >> 1 & 3) << 28;

	pci.fn.ops->write(&pci.fn, 4, 2, 6);
	bar_write(0x14, 1, 0);
	bar_write(0x14, 1, 3);
	for (unsigned half = 0; half < 2; half++) {
		bar_write(0x08, 4, half);
		bar_write(0x0c, 4, (uint32_t)(features >> 32 * half));
	}
	bar_write(0x14, 1, 11);
	bar_write(0x16, 2, 0);
	bar_write(0x18, 2, 8);
	bar_write(0x20, 8, RINGS);
	bar_write(0x28, 8, RINGS + 0x100);
	bar_write(0x30, 8, RINGS + 0x200);
	bar_write(0x1c, 2, 1);
	bar_write(0x14, 1, 15);
}

static void one_step(struct bytes_in *in)
{
	static const uint8_t sizes[] = { 1, 2, 4, 8 };
	unsigned what = (unsigned)get_le(in, 1), size = sizes[what >> 3 & 3], at, n;

	switch (what & 7) {
	case 0:
		at = (unsigned)get_le(in, 2) % VIRTIO_PCI_BAR_SIZE & ~(size - 1);
		bar_write(at, size, get_le(in, size));
		break;
	case 1:
		at = (unsigned)get_le(in, 2) % VIRTIO_PCI_BAR_SIZE & ~(size - 1);
		if (trap)
			trap->ops->read(trap, at, size);
		break;
	case 2:
		size = size == 8 ? 4 : size;
		at = (unsigned)get_le(in, 1) & ~(size - 1);
		pci.fn.ops->write(&pci.fn, at, size, (uint32_t)get_le(in, size));
		break;
	case 3:
		size = size == 8 ? 4 : size;
		pci.fn.ops->read(&pci.fn, (unsigned)get_le(in, 1) & ~(size - 1), size);
		break;
	case 4:
		at = (unsigned)get_le(in, 2) % MEMORY;
		n = (unsigned)min_u64(get_le(in, 1), MEMORY - at);
		n = (unsigned)min_u64(n, in->len - in->at);
		if (n && !in->failed)
			memcpy(memory + at, get_mem(in, n), n);
		break;
	case 5:
		virtio_kicked(&blk.dev, what >> 3 & 1);
		break;
	case 6:
		set_up(what >> 3);
		break;
	case 7:
		pci.fn.ops->reset(&pci.fn);
		break;
	}
	for (unsigned i = 0; i < QUEUES; i++)
		must(!blk.queues[i].in_flight);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static int kicks[QUEUES], vectors[QUEUES + 1];
	const struct virtio_blk_disk disk = {
		.size = DISK_SIZE,
		.block_size = 512,
		.discard = true,
		.nr_queues = QUEUES,
		.ops = &disk_ops,
	};
	struct bytes_in in = { .data = data, .len = size };
	struct err err;
	uint64_t count;

	for (unsigned i = 0; !vectors[0] && i < QUEUES; i++)
		kicks[i] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	for (unsigned i = 0; !vectors[QUEUES] && i <= QUEUES; i++)
		vectors[i] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	memset(memory, 0, sizeof(memory));
	submitted = 0;
	must(virtio_blk_init(&blk, &disk, &err) == 0);
	virtio_pci_plug(&pci, &blk.dev, &ram, &env, kicks, vectors, UINT64_C(0x100000000));
	while (!in.failed && in.at < in.len)
		one_step(&in);
	virtio_pci_unplug(&pci);
	must(!trap && !doorbells && !routes);
	virtio_blk_destroy(&blk);
	for (unsigned i = 0; i <= QUEUES; i++) {
		(void)!eventfd_read(vectors[i], &count);
		(void)!eventfd_read(kicks[i % QUEUES], &count);
	}
	return 0;
}
