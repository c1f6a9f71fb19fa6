#include "devices/virtio_vsock.h"

#include "vmm/bytes.h"

#define TYPE	    19
#define CLASS	    0x028000 /* network, other */
#define QUEUE_SIZE  128
#define CONFIG_SIZE 8 /* guest_cid */

enum { RX, TX, EVENT, QUEUES }; /* the server has the first two */

/* Buffers for events stay where they are: there is no event before a migration. */
static const struct virtio_ops ops = {
	.name = "virtio-vsock",
	.type = TYPE,
	.class = CLASS,
};

void virtio_vsock_init(struct virtio_vsock *vsock, uint32_t cid, const struct server *server)
{
	const uint16_t sizes[QUEUES] = { QUEUE_SIZE, QUEUE_SIZE, QUEUE_SIZE };

	virtio_init(&vsock->dev, &ops, 0, sizes, QUEUES);
	virtio_set_server(&vsock->dev, server, 2, 0);
	store_le(vsock->dev.config, cid, CONFIG_SIZE);
	vsock->dev.config_size = CONFIG_SIZE;
}
