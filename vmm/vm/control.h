/*
 * The control socket: a line of a command in, a line of JSON out, one after the other.
 *
 * Host side; served by the loop. What the commands are, its owner knows. A client that sends no
 * line end, or does not read, is dropped; of too many, the one that was silent longest. Clients are
 * trusted as the socket's folder lets them in.
 */
#ifndef VM_CONTROL_H
#define VM_CONTROL_H

#include "vmm/base/err.h"
#include "vmm/host/loop.h"

#include <stddef.h>
#include <stdint.h>

#define CONTROL_CLIENTS	 4
#define CONTROL_LINE_MAX 256

struct control;

struct control_client {
	struct control *control;
	int fd; /* -1: none */
	char line[CONTROL_LINE_MAX];
	size_t len;
	bool waiting;  /* its answer comes later, and no other line is read before it */
	uint64_t used; /* when it came or spoke last, by the count of such events */
};

struct control {
	const char *path; /* NULL: not open; borrowed */
	int fd;
	int more;  /* eventfd: lines that came while their client waited */
	int spare; /* a spare descriptor, given up to refuse a caller when there is no other */
	uint64_t events;
	struct loop *loop;
	struct control_client clients[CONTROL_CLIENTS];
	/* A line, without its end. Answers, or sets client->waiting. */
	void (*command)(void *to, struct control_client *client, char *line);
	void *to;
};

#define CONTROL_EMPTY                             \
	{                                         \
		.fd = -1, .more = -1, .spare = -1 \
	}

int control_open(struct control *c, const char *path, struct loop *loop,
		 void (*command)(void *to, struct control_client *client, char *line), void *to,
		 struct err *err);
/* One line of text, to which the line's end is added. */
void control_answer(struct control_client *client, const char *text);
/* To all that wait. Nothing else is called: the caller may hold locks. */
void control_answer_waiting(struct control *c, const char *text);
/* Safe on CONTROL_EMPTY. Removes the socket. */
void control_close(struct control *c);

#endif
