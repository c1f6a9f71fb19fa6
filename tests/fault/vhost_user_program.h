/*
 * A program that serves a vhost-user device, for the tests of the front-end: it keeps what it was
 * told, and does nothing. One connection at a time, on a thread of its own.
 */
#ifndef TESTS_FAKE_VHOST_USER_PROGRAM_H
#define TESTS_FAKE_VHOST_USER_PROGRAM_H

#include "vmm/backends/vhost_user_message.h"
#include "vmm/base/bytes.h"
#include "vmm/base/virtio.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define FEATURES (VIRTIO_BIT(F_VERSION_1) | WIRE_F_PROTOCOL)

static char path[64];
static int listener = -1, connection = -1;

static struct program {
	uint64_t protocol, slots;
	unsigned queues;    /* that it serves: pairs of an adapter */
	uint32_t silent_at; /* the request that it does not answer, nor any after it; 0: none */
	uint32_t refuses;   /* the request that it refuses; 0: none */
	bool gives_up;	    /* each ring, at once */
	/* what it was told */
	unsigned tables, table, regions, gone, errors, bases;
	uint64_t user_address[16], guest_address[16];
	uint64_t gone_address;
	bool gone_fd; /* a descriptor came with what went */
	uint64_t rings[3];
	bool silent;
} program;
static pthread_t thread;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;

/* A whole message. Descriptors are closed, but the last one is *fd. False: the other side hung up.
 */
static inline bool hear(int from, uint8_t *header, uint8_t *payload, int *fd)
{
	char control[CMSG_SPACE(16 * sizeof(int))];
	struct iovec part = { header, 12 };
	struct msghdr h = {
		.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	struct cmsghdr *c;

	*fd = -1;
	if (recvmsg(from, &h, MSG_CMSG_CLOEXEC | MSG_WAITALL) != 12)
		return false;
	c = CMSG_FIRSTHDR(&h);
	for (size_t i = 0; c && i < (c->cmsg_len - CMSG_LEN(0)) / sizeof(int); i++) {
		if (*fd >= 0)
			close(*fd);
		memcpy(fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
	}
	return !load_le(header + 8, 4) || recv(from, payload, load_le(header + 8, 4),
					       MSG_WAITALL) == (ssize_t)load_le(header + 8, 4);
}

static inline void note_region(const uint8_t *region)
{
	program.guest_address[program.regions] = load_le(region, 8);
	program.user_address[program.regions++] = load_le(region + 16, 8);
}

/* Notes what it is told. Returns the bytes of its answer, which it leaves in `payload`. */
static inline size_t obey(uint32_t request, uint8_t *payload, int fd)
{
	uint64_t one = 1;
	unsigned n;

	switch (request) {
	case WIRE_GET_FEATURES:
		store_le(payload, FEATURES, 8);
		return 8;
	case WIRE_GET_PROTOCOL_FEATURES:
		store_le(payload, program.protocol, 8);
		return 8;
	case WIRE_GET_MAX_MEM_SLOTS:
		store_le(payload, program.slots, 8);
		return 8;
	case WIRE_GET_QUEUE_NUM:
		store_le(payload, program.queues, 8);
		return 8;
	case WIRE_GET_VRING_BASE:
		program.bases++;
		return 8;
	case WIRE_SET_MEM_TABLE:
		program.tables++;
		program.table = (unsigned)load_le(payload, 4);
		n = (unsigned)load_le(payload, 4);
		for (unsigned i = 0; i < n; i++)
			note_region(payload + 8 + 32 * i);
		break;
	case WIRE_ADD_MEM_REG:
		note_region(payload + 8);
		break;
	case WIRE_REM_MEM_REG:
		program.gone++;
		program.gone_address = load_le(payload + 8, 8);
		program.gone_fd = fd >= 0;
		break;
	case WIRE_SET_VRING_ADDR:
		for (unsigned i = 0; i < 3; i++)
			program.rings[i] = load_le(payload + 8 + 8 * i, 8);
		break;
	case WIRE_SET_VRING_ERR:
		program.errors++;
		if (program.gives_up)
			(void)!write(fd, &one, sizeof(one));
		break;
	}
	if (!(program.protocol & WIRE_REPLY_ACK))
		return 0;
	store_le(payload, request == program.refuses, 8);
	return 8;
}

static inline void serve(int to)
{
	uint8_t header[12], payload[512];
	size_t n;
	int fd;

	while (hear(to, header, payload, &fd)) {
		uint32_t request = (uint32_t)load_le(header, 4);

		pthread_mutex_lock(&lock);
		program.silent |= request == program.silent_at;
		n = program.silent ? 0 : obey(request, payload, fd);
		pthread_cond_broadcast(&changed);
		pthread_mutex_unlock(&lock);
		if (fd >= 0)
			close(fd);
		/* Only what asks for it is acknowledged. */
		if (!n ||
		    (!(load_le(header + 4, 4) & 8) && request != WIRE_GET_FEATURES &&
		     request != WIRE_GET_PROTOCOL_FEATURES && request != WIRE_GET_MAX_MEM_SLOTS &&
		     request != WIRE_GET_QUEUE_NUM && request != WIRE_GET_VRING_BASE))
			continue;
		store_le(header + 4, 1 | 4, 4);
		store_le(header + 8, n, 4);
		(void)!send(to, header, 12, MSG_NOSIGNAL);
		(void)!send(to, payload, n, MSG_NOSIGNAL);
	}
}

static inline void *run(void *arg)
{
	int fd;

	(void)arg;
	while ((fd = accept(listener, NULL, NULL)) >= 0) {
		__atomic_store_n(&connection, fd, __ATOMIC_RELEASE);
		serve(fd);
		__atomic_store_n(&connection, -1, __ATOMIC_RELEASE);
		close(fd);
	}
	return NULL;
}

/* From this request on it is silent; 0: no longer. */
static inline void be_silent_at(uint32_t request)
{
	pthread_mutex_lock(&lock);
	program.silent_at = request;
	program.silent = false;
	pthread_mutex_unlock(&lock);
}

static inline void await_silence(void)
{
	pthread_mutex_lock(&lock);
	while (!program.silent)
		pthread_cond_wait(&changed, &lock);
	pthread_mutex_unlock(&lock);
}

static inline void start_program(uint64_t protocol, uint64_t slots)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };

	program = (struct program){ .protocol = protocol, .slots = slots };
	snprintf(path, sizeof(path), "/tmp/fake-vhost-user-%d", (int)getpid());
	strcpy(addr.sun_path, path);
	listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	unlink(path);
	assert_int_equal(bind(listener, (void *)&addr, sizeof(addr)), 0);
	assert_int_equal(listen(listener, 4), 0);
	assert_int_equal(pthread_create(&thread, NULL, run, NULL), 0);
}

/* It goes, as far as the other side sees, and is there again at once. */
static inline void restart_program(void)
{
	int fd = __atomic_load_n(&connection, __ATOMIC_ACQUIRE);

	if (fd >= 0)
		shutdown(fd, SHUT_RDWR);
}

/* The other side has hung up. */
static inline void end_program(void)
{
	shutdown(listener, SHUT_RDWR);
	pthread_join(thread, NULL);
	close(listener);
	unlink(path);
}

#endif
