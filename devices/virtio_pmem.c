#include "devices/virtio_pmem.h"

#include "vmm/base/bytes.h"

#define CLASS	   0x058000 /* memory controller, other */
#define QUEUE_SIZE 64

/* struct virtio_pmem_config */
#define CONFIG_START 0
#define CONFIG_SIZE  8
#define CONFIG_END   16

/* A request has four bytes, and so has the answer. */
#define FLUSH  0
#define DONE   0
#define FAILED 1

static uint32_t virtio_pmem_execute(const struct virtio_pmem *pmem,
				    const struct virtqueue_buffer *b)
{
	uint8_t request[4];

	if (virtqueue_read(b->parts, b->nr_out, 0, request, sizeof(request)) < sizeof(request) ||
	    load_le(request, 4) != FLUSH)
		return FAILED;
	return pmem->host.flush(pmem->host.to) ? DONE : FAILED;
}

static void virtio_pmem_handle(struct virtio_device *dev, unsigned i)
{
	struct virtio_pmem *pmem = (struct virtio_pmem *)dev;
	struct virtqueue_buffer *b = &pmem->buffer;

	while (virtio_take(dev, i, b)) {
		uint8_t answer[4];
		size_t n;

		store_le(answer, virtio_pmem_execute(pmem, b), sizeof(answer));
		n = virtqueue_write(b->parts + b->nr_out, b->nr_in, 0, answer, sizeof(answer));
		virtqueue_push(&dev->queues[i].ring, b->id, b->entries, (uint32_t)n);
	}
	virtio_interrupt(dev, i);
}

static const struct virtio_ops ops = {
	.name = "virtio-pmem",
	.type = VIRTIO_ID_PMEM,
	.class = CLASS,
	.work = VIRTIO_WORK_ALL,
	.handle = virtio_pmem_handle,
};

void virtio_pmem_init(struct virtio_pmem *pmem, const struct pmem_host *host, struct span at)
{
	const uint16_t size = QUEUE_SIZE;

	virtio_init(&pmem->dev, &ops, 0, &size, 1);
	pmem->host = *host;
	store_le(pmem->dev.state.config + CONFIG_START, at.base, 8);
	store_le(pmem->dev.state.config + CONFIG_SIZE, span_size(at), 8);
	pmem->dev.config_size = CONFIG_END;
}
