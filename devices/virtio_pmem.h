/*
 * virtio-pmem: memory of the guest that stays. Virtual I/O Device 1.2 section 5.19. The driver
 * finds out where it is, uses it as memory, and asks here for it to be written back.
 */
#ifndef DEVICES_VIRTIO_PMEM_H
#define DEVICES_VIRTIO_PMEM_H

#include "devices/virtio.h"

/* What is behind it. */
struct pmem_host {
	/* Returns when what the guest wrote before is safe; false: it is not. Worker's thread. */
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
