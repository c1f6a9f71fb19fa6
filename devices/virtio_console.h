/*
 * virtio-console: Virtual I/O Device 1.2 section 5.3. One port, hvc0 to Linux, with a size.
 *
 * What the guest says goes to a struct console_port, a byte at a time; while that is not ready the
 * driver's buffers wait.
 */
#ifndef DEVICES_VIRTIO_CONSOLE_H
#define DEVICES_VIRTIO_CONSOLE_H

#include "devices/virtio.h"

/* The other end. Any thread. */
struct console_port {
	void (*put)(void *to, uint8_t byte);
	bool (*ready)(void *to);  /* false: virtio_console_room is called later */
	void (*resume)(void *to); /* after virtio_console_input took less than it was given */
	void *to;
};

/* Beside the state of `dev`. With the lock of the queue for output. */
struct virtio_console_state {
	bool has_out;
	uint64_t out_done; /* bytes of `out` that are gone */
};

struct virtio_console {
	struct virtio_device dev;
	struct console_port port;
	struct virtio_console_state state;
	struct virtqueue_buffer out, in;
	bool starved; /* the port is owed a `resume` */
};

void virtio_console_init(struct virtio_console *c, const struct console_port *port,
			 uint16_t columns, uint16_t rows);
/* Bytes for the guest; returns how many it took. */
size_t virtio_console_input(struct virtio_console *c, const uint8_t *data, size_t n);
/* The port is ready again. */
void virtio_console_room(struct virtio_console *c);
void virtio_console_resize(struct virtio_console *c, uint16_t columns, uint16_t rows);

#endif
