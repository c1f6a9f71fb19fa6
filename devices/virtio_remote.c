#include "devices/virtio_remote.h"

#include "devices/virtio_blk.h"
#include "devices/virtio_net.h"
#include "vmm/base/bytes.h"

#include <string.h>

#define NET_CONFIG 8	    /* mac and status */
#define FS_CONFIG  40	    /* tag and num_request_queues */
#define FS_CLASS   0x018000 /* mass storage, other */
#define QUEUE_SIZE 128

/* No `handle`, because the other process serves every queue. */
static const struct virtio_ops blk = {
	.name = "vhost-user-blk",
	.type = VIRTIO_ID_BLOCK,
	.class = VIRTIO_BLK_CLASS,
	.work = VIRTIO_WORK_ALL,
};
static const struct virtio_ops net = {
	.name = "vhost-user-net",
	.type = VIRTIO_ID_NET,
	.class = VIRTIO_NET_CLASS,
	.work = VIRTIO_WORK_TRANSMIT,
	.features_good = virtio_net_features_good,
};
static const struct virtio_ops fs = {
	.name = "vhost-user-fs",
	.type = VIRTIO_ID_FS,
	.class = FS_CLASS,
	.work = VIRTIO_WORK_ALL,
};

static void virtio_remote_init(struct virtio_remote *r, const struct virtio_ops *ops,
			       uint64_t features, unsigned n, const struct server *server)
{
	uint16_t sizes[VIRTIO_QUEUES_MAX];

	for (unsigned i = 0; i < n; i++)
		sizes[i] = QUEUE_SIZE;
	virtio_init(&r->dev, ops, features, sizes, n);
	virtio_set_server(&r->dev, server, n, 0);
}

void virtio_remote_blk(struct virtio_remote *r, uint64_t features, const uint8_t *config,
		       unsigned n, const struct server *server)
{
	virtio_remote_init(r, &blk, features, n, server);
	memcpy(r->dev.state.config, config, VIRTIO_BLK_CONFIG);
	store_le(r->dev.state.config + VIRTIO_BLK_CONFIG_QUEUES, n, 2);
	r->dev.config_size = VIRTIO_BLK_CONFIG;
}

void virtio_remote_net(struct virtio_remote *r, uint64_t features, const uint8_t mac[6],
		       const struct server *server)
{
	/* Features without those that they require are not offered, as a driver may take all. */
	features = virtio_net_features_closed(features);
	virtio_remote_init(r, &net, features | VIRTIO_BIT(NET_F_MAC) | VIRTIO_BIT(NET_F_STATUS), 2,
			   server);
	memcpy(r->dev.state.config, mac, 6);
	store_le(r->dev.state.config + VIRTIO_NET_CONFIG_STATUS, VIRTIO_NET_S_LINK_UP, 2);
	r->dev.config_size = NET_CONFIG;
}

void virtio_remote_link(struct virtio_remote *r, bool up)
{
	uint8_t status[2];

	store_le(status, up ? VIRTIO_NET_S_LINK_UP : 0, sizeof(status));
	virtio_set_config(&r->dev, VIRTIO_NET_CONFIG_STATUS, status, sizeof(status));
}

void virtio_remote_fs(struct virtio_remote *r, const char *tag, const struct server *server)
{
	virtio_remote_init(r, &fs, 0, 2, server); /* a high priority queue and a request queue */
	memcpy(r->dev.state.config, tag, strnlen(tag, VIRTIO_FS_TAG));
	store_le(r->dev.state.config + VIRTIO_FS_TAG, 1, 4);
	r->dev.config_size = FS_CONFIG;
}
