/*
 * The host's end of a character line, the serial line or the virtio console: terminal, file,
 * pseudo-terminal or Unix socket.
 *
 * Host side; lives longer than the machine (a guest reset keeps the line). Output never blocks a
 * vCPU: bytes go to a buffer, which a thread of the line's own writes out. While a reader is
 * connected but slow, console_ready() returns false and the UART holds its transmitter; while none
 * is connected, the newest BUFFER bytes are kept for the next one.
 */
#ifndef BACKENDS_LINE_H
#define BACKENDS_LINE_H

#include "vmm/base/panic.h"
#include "vmm/config/config.h"
#include "vmm/host/loop.h"

#include <pthread.h>
#include <stdint.h>

/*
 * Callbacks to the line's user. `room` is called on the writer's thread, the others on the loop's.
 */
struct console_user {
	/*
	 * Passes bytes to the guest; returns how many it accepted. After a short count the user
	 * calls console_resume() when the guest has room.
	 */
	size_t (*input)(void *to, const uint8_t *data, size_t n);
	void (*room)(void *to); /* console_ready() is true again */
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
	int arrival; /* readable when a reader connects: listening socket, or inotify on the pty */
	bool own_fds;
	bool tty;    /* standard input is a terminal, whose input may hold the console's own keys */
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
	bool absent;	  /* no reader has the other end open */
	unsigned readers; /* number of readers so far */
	bool starved;	  /* the UART was told to wait */
	uint8_t *ring;
	size_t head, len;
	uint64_t lost; /* bytes that were dropped, because no reader read them in time */
	/* the guest's output, read or not */
	uint64_t printed; /* bytes since console_new_guest() */
	struct panic_line panic;
	int panic_event;  /* eventfd of the owner, or -1: signalled at a panic */
	bool short_drain; /* set by the owner: console_close() waits for a reader 1 s at most */
	struct err error; /* why it is broken */
	struct console_user user;
};

/*
 * Opens the line and starts its writer. SIGRTMIN must have a handler (vcpu_init_kick):
 * console_close interrupts a blocked write with it. SIGPIPE must be ignored.
 */
int console_open(struct console *c, const char *name, const struct config_line *line,
		 struct loop *loop, struct err *err);
/*
 * Sets the user of the line; NULL: none, between two machines. The old user is not called after the
 * call returns.
 */
void console_attach(struct console *c, const struct console_user *user);

/*
 * Called when another guest begins: resets console_printed(). `panic_event`, borrowed, is signalled
 * when the guest prints a panic; -1: none.
 */
void console_new_guest(struct console *c, int panic_event);
/* Called when the same guest goes on: forgets a panic that was only text. */
void console_forget_panic(struct console *c);
/* Returns how many bytes the guest printed, and in *panic the state of the search for a panic. */
uint64_t console_printed(struct console *c, struct panic_line *panic);

/* Returns how many bytes of output are not written yet. */
size_t console_unwritten(struct console *c);

/* Called by the UART, on any thread. */
void console_put(struct console *c, uint8_t byte);
bool console_ready(struct console *c);
void console_resume(struct console *c);

/* The size of the terminal; 80 by 24 if there is none. It may have changed after SIGWINCH. */
void console_size(const struct console *c, unsigned *columns, unsigned *rows);
/* The name of the pseudo-terminal, or NULL. */
const char *console_pty(const struct console *c);
/*
 * Returns 0, or the negative errno and the sentence of the write that failed, after which the line
 * writes nothing.
 */
int console_error(struct console *c, struct err *err);
/*
 * At SIGTSTP restores the terminal; at SIGCONT makes it raw again, if terminal_is_ours(). On the
 * loop's thread.
 */
void console_suspend(struct console *c);
void console_continue(struct console *c);
/* Writes out the buffer while the reader takes it, closes the line, and restores the terminal. */
void console_close(struct console *c);

#endif
