/*
 * The host's end of a line of characters, the serial one or the virtio console: terminal, file,
 * pseudo-terminal or Unix socket.
 *
 * Host side; lives longer than the machine (a guest reset keeps the line). Output never blocks a
 * vCPU: bytes go to a buffer that a thread of the console's own writes out. While a reader is there
 * but slow, console_ready() says no and the UART holds its transmitter; while nobody is connected
 * the newest BUFFER bytes are kept for whoever connects.
 */
#ifndef BACKENDS_LINE_H
#define BACKENDS_LINE_H

#include "vmm/base/panic.h"
#include "vmm/config/config.h"
#include "vmm/host/loop.h"

#include <pthread.h>
#include <stdint.h>

/* What the console tells its user. `room` comes on the writer's thread, the others on the loop's.
 */
struct console_user {
	/* Bytes for the guest; returns how many it took. After a short count console_resume is due.
	 */
	size_t (*input)(void *to, const uint8_t *data, size_t n);
	void (*room)(void *to); /* console_ready() says yes again */
	void (*quit)(void *to); /* Ctrl-A X */
	void *to;
};

struct console {
	const char *name; /* of the option: "serial" or "console" */
	enum serial_kind kind;
	const char *path;
	struct loop *loop;
	int in, out;
	uint64_t limit, size; /* of a file: beyond the limit (0: none) its older half is cut */
	int back;	      /* the file for reading, or -1 */
	bool cut;
	int arrival; /* says that a reader came: listening socket, or inotify on the pty */
	bool own_fds;
	bool tty;    /* standard input is a terminal: our keys are taken out of it */
	bool escape; /* Ctrl-A was typed */
	bool input_ended;
	bool begun; /* a machine was attached */
	/* input that the guest had no room for yet */
	uint8_t held[256];
	size_t nr_held;
	int resume; /* eventfd: the guest has room again */
	/* output: a ring from `head`, `len` bytes long */
	pthread_mutex_t lock;
	pthread_cond_t wake, drained, idle;
	pthread_t writer;
	bool has_writer, closing, broken;
	bool busy;	  /* the writer is in a write, without the lock */
	bool calling;	  /* the writer is in user.room, without the lock */
	bool absent;	  /* nobody has the other end open */
	unsigned readers; /* that came so far */
	bool starved;	  /* the UART was told to wait */
	uint8_t *ring;
	size_t head, len;
	uint64_t lost; /* bytes that no reader took in time */
	/* what the guest said, whether or not anybody reads it */
	uint64_t printed; /* bytes since console_new_guest() */
	struct panic_line panic;
	int panic_event;  /* eventfd of the owner's, or -1: told of a panic */
	bool hurry;	  /* set by the owner: console_close does not wait long for a slow reader */
	struct err error; /* why it is broken */
	struct console_user user;
};

/*
 * Opens the line and starts its writer. SIGRTMIN must have a handler (vcpu_init_kick):
 * console_close interrupts a blocked write with it. SIGPIPE must be ignored.
 */
int console_open(struct console *c, const char *name, const struct config_line *line,
		 struct loop *loop, struct err *err);
/* Whom to tell; NULL: nobody (between two machines). The old user is not called after it returns.
 */
void console_attach(struct console *c, const struct console_user *user);

/* Another guest begins: nothing was said yet. `panic_event` is written to when it tells of a panic;
 * -1: nobody cares. Borrowed. */
void console_new_guest(struct console *c, int panic_event);
/* The same guest goes on: the panic was only text. */
void console_forget_panic(struct console *c);
/* Bytes that the guest printed, and what it said of a panic. */
uint64_t console_printed(struct console *c, struct panic_line *panic);

/* The UART's side, from any thread. */
void console_put(struct console *c, uint8_t byte);
bool console_ready(struct console *c);
void console_resume(struct console *c);

/* Of the terminal; 80 by 24 if there is none. SIGWINCH says that it may have changed. */
void console_size(const struct console *c, unsigned *columns, unsigned *rows);
/* The name of the pseudo-terminal, or NULL. */
const char *console_pty(const struct console *c);
/* 0, or the errno and sentence of the write that failed; the line is dead then. */
int console_error(struct console *c, struct err *err);
/* SIGTSTP: gives the terminal back. SIGCONT: takes it again, if it is ours now. On the loop's
 * thread. */
void console_suspend(struct console *c);
void console_continue(struct console *c);
/* Writes out what is buffered (as long as the reader takes it), closes, restores the terminal. */
void console_close(struct console *c);

#endif
