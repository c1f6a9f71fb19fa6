/*
 * The control socket: each line with a command is answered by a line of JSON, in order.
 *
 * Host side; served by the loop. The owner's callback executes the commands. A client that sends a
 * line without end, or does not read its answers, is disconnected; if there are too many, the one
 * that was silent longest is. Any client that the permissions of the socket's folder admit is
 * trusted.
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
	bool waiting;  /* its answer comes later; until then no other line is read */
	uint64_t used; /* when it connected or sent a line last, in counts of such events */
};

struct control {
	const char *path; /* NULL: not open; borrowed */
	int fd;
	int more;  /* eventfd: signalled when a client that waited has further lines */
	int spare; /* a spare descriptor, closed to accept and refuse a caller when none is free */
	uint64_t events;
	struct loop *loop;
	struct control_client clients[CONTROL_CLIENTS];
	/* Executes a line, without its end. Calls control_answer() or sets client->waiting. */
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
/* Sends one line of text and a line end. */
void control_answer(struct control_client *client, const char *text);
/* Sends the line to all clients that wait. Calls no callback, so the caller may hold locks. */
void control_answer_waiting(struct control *c, const char *text);
/* Safe on CONTROL_EMPTY. Removes the socket. */
void control_close(struct control *c);

#endif
