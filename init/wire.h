/*
 * The guest's end of the channel (vmm/base/channel.h): a vsock connection to the host, or a serial
 * line in raw mode.
 *
 * Nothing here waits except wire_drain() and wire_open_*(). One frame at a time is on its way, plus
 * a few short ones, so that the command's pipes hold what the host is too slow for.
 */
#ifndef INIT_WIRE_H
#define INIT_WIRE_H

#include "vmm/base/channel.h"
#include "vmm/base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WIRE_WINDOW_SERIAL \
	2048u /* half of what n_tty keeps (N_TTY_BUF_SIZE), with room for headers */
#define WIRE_WINDOW_VSOCK (256u << 10) /* VIRTIO_VSOCK_DEFAULT_BUF_SIZE */

#define WIRE_SHORT 4096u /* room for frames that are no stream's */

struct wire {
	int fd; /* non-blocking */
	bool serial;
	uint32_t window;  /* that the host is granted */
	uint32_t payload; /* the most bytes of a stream in one frame */
	size_t send_at, send_len;
	size_t got, used; /* bytes that were received, and those of frames that were handled */
	bool begun;	  /* the first frame has come */
	uint8_t send[CHANNEL_FRAME_MAX + WIRE_SHORT];
	uint8_t received[CHANNEL_FRAME_MAX + WIRE_SHORT];
};

/* Connects to the host's port. -ENODEV, -EAFNOSUPPORT: this kernel or this guest has no vsock. */
int wire_open_vsock(struct wire *w, uint32_t port, struct err *err);
/* Opens /dev/NAME. */
int wire_open_serial(struct wire *w, const char *name, struct err *err);
/* A descriptor that is open. */
void wire_open_fd(struct wire *w, int fd, bool serial);

/* All that is queued has been written. */
static inline bool wire_idle(const struct wire *w)
{
	return w->send_at == w->send_len;
}

/* Where the payload of the next frame may be put: w->payload bytes, if the wire is idle. */
uint8_t *wire_room(struct wire *w);
/* Queues a frame with the payload that is there. */
void wire_commit(struct wire *w, enum channel_type type, uint32_t len);
/* Queues a short frame, of at most 1 KiB. A caller queues no more than two on a wire that is busy.
 */
void wire_queue(struct wire *w, enum channel_type type, const void *payload, uint32_t len);

/* Writes what the kernel takes now. */
int wire_flush(struct wire *w, struct err *err);
/*
 * Waits until all is written and, on a serial line, sent. What the host sends meanwhile stays in
 * the kernel.
 */
int wire_drain(struct wire *w, struct err *err);
/* Reads what has come. */
int wire_receive(struct wire *w, struct err *err);
/* 1: *frame is the next one, valid until the next call. 0: none is there. */
int wire_next(struct wire *w, struct channel_frame *frame, struct err *err);

/* The frames that init speaks itself; they are drained. */
int wire_hello(struct wire *w, struct err *err);
int wire_step(struct wire *w, struct err *err, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* Sends CHANNEL_EXIT or CHANNEL_FAULT and waits for CHANNEL_DONE, but not for ever. */
int wire_last(struct wire *w, enum channel_type type, const void *payload, uint32_t len,
	      struct err *err);

#endif
