/*
 * The connection to a program that speaks vhost-user: messages, and answers that are waited for.
 * QEMU's docs/interop/vhost-user.rst.
 *
 * Host side. One thread at a time. What is waited for takes `timeout` at most, and no longer at
 * all once `cancel` is readable: then it is as if the program did not answer.
 */
#ifndef BACKENDS_VHOST_USER_MESSAGE_H
#define BACKENDS_VHOST_USER_MESSAGE_H

#include "vmm/base/err.h"

#include <stddef.h>
#include <stdint.h>
#include <time.h>

#define WIRE_CONFIG_MAX	 256 /* bytes of a device's configuration, in one message */
#define WIRE_REGIONS_MAX 8   /* of guest memory */

struct wire {
	int fd;		    /* -1: not connected */
	int cancel;	    /* eventfd, borrowed; -1: none */
	const char *option; /* "--disk vhost-user="; `path` follows. Borrowed */
	const char *path;
	uint64_t protocol;	  /* features of the protocol that both sides have */
	time_t timeout;		  /* in s, of one exchange of messages */
	struct timespec deadline; /* of the one that goes on */
};

#define WIRE_EMPTY                     \
	{                              \
		.fd = -1, .cancel = -1 \
	}

/* Front-end message types. */
enum {
	WIRE_GET_FEATURES = 1,
	WIRE_SET_FEATURES = 2,
	WIRE_SET_OWNER = 3,
	WIRE_SET_MEM_TABLE = 5,
	WIRE_SET_VRING_NUM = 8,
	WIRE_SET_VRING_ADDR = 9,
	WIRE_SET_VRING_BASE = 10,
	WIRE_GET_VRING_BASE = 11,
	WIRE_SET_VRING_KICK = 12,
	WIRE_SET_VRING_CALL = 13,
	WIRE_SET_VRING_ERR = 14,
	WIRE_GET_PROTOCOL_FEATURES = 15,
	WIRE_SET_PROTOCOL_FEATURES = 16,
	WIRE_GET_QUEUE_NUM = 17,
	WIRE_SET_VRING_ENABLE = 18,
	WIRE_GET_CONFIG = 24,
	WIRE_GET_INFLIGHT_FD = 31,
	WIRE_SET_INFLIGHT_FD = 32,
	WIRE_GET_MAX_MEM_SLOTS = 36,
	WIRE_ADD_MEM_REG = 37,
	WIRE_REM_MEM_REG = 38,
};

/* Among the features of virtio: there are protocol features, and these are they. */
#define WIRE_F_PROTOCOL (UINT64_C(1) << 30)
#define WIRE_MQ		(UINT64_C(1) << 0)
#define WIRE_REPLY_ACK	(UINT64_C(1) << 3)
#define WIRE_CONFIG	(UINT64_C(1) << 9)
#define WIRE_INFLIGHT	(UINT64_C(1) << 12)
#define WIRE_SLOTS	(UINT64_C(1) << 15) /* CONFIGURE_MEM_SLOTS */

#define WIRE_HEADER 12 /* request, flags, size of what follows */

struct wire_message {
	uint32_t request;
	uint8_t bytes[WIRE_HEADER + 12 + WIRE_CONFIG_MAX];
	size_t size;		   /* of the payload, after the header */
	int fds[WIRE_REGIONS_MAX]; /* borrowed */
	unsigned nr_fds;
};

struct wire_message wire_request(uint32_t what);
uint8_t *wire_payload(struct wire_message *m);
/* Appends `size` bytes of a number to the payload. */
void wire_add(struct wire_message *m, uint64_t value, unsigned size);

/* `option`, `path` and `cancel` are set. -ENOTCONN: it does not answer; others: it is not there. */
int wire_connect(struct wire *w, time_t timeout, struct err *err);
/* From now on answers are waited for anew. */
void wire_set_deadline(struct wire *w);
/* Gives up on it, or on a program that is out of step: whoever waits for its hang-up sees one. */
void wire_shut(const struct wire *w);
void wire_close(struct wire *w);

/*
 * Sends a request and takes the answer, of `size` bytes, into the same message. A descriptor that
 * comes with it is put into *fd (-1 before), if that is not NULL.
 *
 * Here and below: -ENOTCONN: it is gone, or does not answer; -EPROTO: it answers nonsense.
 */
int wire_ask(const struct wire *w, struct wire_message *m, size_t size, int *fd, struct err *err);
int wire_ask_number(const struct wire *w, uint32_t what, uint64_t *number, struct err *err);
/*
 * Sends what has no answer of its own; the program acknowledges it, if it has that feature. -EIO:
 * it refuses.
 */
int wire_tell(const struct wire *w, struct wire_message *m, struct err *err);
int wire_tell_number(const struct wire *w, uint32_t what, uint64_t number, struct err *err);

#endif
