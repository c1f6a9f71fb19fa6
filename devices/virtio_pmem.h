/*
 * virtio-pmem: memory of the guest that is a file of the host. Virtual I/O Device 1.2 section 5.19.
 * The driver reads the address of the memory from the configuration, uses the memory directly, and
 * requests flushes here.
 */
#ifndef DEVICES_VIRTIO_PMEM_H
#define DEVICES_VIRTIO_PMEM_H

#include "devices/virtio.h"

/* The callback to the host's file. */
struct pmem_host {
	/* Returns when earlier writes of the guest are stable; false: failed. Worker's thread. */
	bool (*flush)(void *to);
	void *to;
};

struct virtio_pmem {
	struct virtio_device dev;
	struct pmem_host host;
	struct virtqueue_buffer buffer;
};

/* `at`: the guest-physical addresses of the memory. */
void virtio_pmem_init(struct virtio_pmem *pmem, const struct pmem_host *host, struct span at);

#endif
