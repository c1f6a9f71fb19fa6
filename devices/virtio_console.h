/*
 * virtio-console: Virtual I/O Device 1.2 section 5.3. One port, which is hvc0 in Linux, with a
 * window size.
 *
 * The guest's output goes to a struct console_port, a byte at a time; while the port is not ready,
 * the driver's buffers stay in the queue.
 */
#ifndef DEVICES_VIRTIO_CONSOLE_H
#define DEVICES_VIRTIO_CONSOLE_H

#include "devices/virtio.h"

/* The port that output goes to and input comes from. Called on any thread. */
struct console_port {
	void (*put)(void *to, uint8_t byte);
	bool (*ready)(void *to);  /* false: virtio_console_room is called later */
	void (*resume)(void *to); /* after virtio_console_input took less: there are buffers now */
	void *to;
};

/* The state that is not in `dev`. With the lock of the transmit queue. */
struct virtio_console_state {
	bool has_out;	   /* `out` has a buffer that is not written to its end */
	uint64_t out_done; /* bytes of `out` that the port has taken */
};

struct virtio_console {
	struct virtio_device dev;
	struct console_port port;
	struct virtio_console_state state;
	struct virtqueue_buffer out, in;
	bool starved; /* `resume` is to be called when the driver adds buffers */
};

void virtio_console_init(struct virtio_console *c, const struct console_port *port,
			 uint16_t columns, uint16_t rows);
/* Passes input to the guest; returns the number of bytes that its buffers took. */
size_t virtio_console_input(struct virtio_console *c, const uint8_t *data, size_t n);
/* To be called when the port is ready again. */
void virtio_console_room(struct virtio_console *c);
void virtio_console_resize(struct virtio_console *c, uint16_t columns, uint16_t rows);

#endif
