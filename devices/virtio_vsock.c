#include "devices/virtio_vsock.h"

#include "vmm/bytes.h"

#define TYPE	    19
#define CLASS	    0x028000 /* network, other */
#define QUEUE_SIZE  128
#define CONFIG_SIZE 8 /* guest_cid */

#define RING_FEATURES (VIRTIO_F_INDIRECT_DESC | VIRTIO_F_EVENT_IDX | VIRTIO_F_RING_PACKED)

enum { RX, TX, EVENT, QUEUES };

/* Buffers for events stay where they are: there is no event before a migration. */
static void handle(struct virtio_device *dev, unsigned i)
{
	(void)dev;
	(void)i;
}

static void ready(struct virtio_device *dev)
{
	struct virtio_vsock *vsock = (struct virtio_vsock *)dev;
	struct served_queue queues[2];
	struct err err = { "" };
	int ret = 0;

	for (unsigned i = RX; ret == 0 && i <= TX; i++)
		ret = virtio_describe(dev, i, &queues[i], &err);
	if (ret == 0)
		ret = vsock->server.ops->start(vsock->server.to, dev->queues[RX].ring.ram, queues,
					       dev->accepted, &err);
	vsock->served = ret == 0;
	if (ret < 0)
		dev->needs_reset(dev->to, err.text);
}

static void reset(struct virtio_device *dev)
{
	struct virtio_vsock *vsock = (struct virtio_vsock *)dev;

	if (vsock->served)
		vsock->server.ops->stop(vsock->server.to);
	vsock->served = false;
}

static const struct virtio_ops ops = {
	.name = "virtio-vsock",
	.type = TYPE,
	.class = CLASS,
	.handle = handle,
	.ready = ready,
	.reset = reset,
};

void virtio_vsock_init(struct virtio_vsock *vsock, uint32_t cid, const struct server *server)
{
	const uint16_t sizes[QUEUES] = { QUEUE_SIZE, QUEUE_SIZE, QUEUE_SIZE };

	virtio_init(&vsock->dev, &ops, 0, sizes, QUEUES);
	vsock->server = *server;
	vsock->served = false;
	vsock->dev.features &= server->ring_features | ~RING_FEATURES;
	store_le(vsock->dev.config, cid, CONFIG_SIZE);
	vsock->dev.config_size = CONFIG_SIZE;
}
