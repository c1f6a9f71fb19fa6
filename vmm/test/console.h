/*
 * What the guest prints on its console: kept with the time of each line, as evidence, and searched
 * for complaints of its kernel.
 *
 * Runs on the loop's thread. Of a console that prints without end the beginning and the end are
 * kept.
 */
#ifndef TEST_CONSOLE_H
#define TEST_CONSOLE_H

#include "vmm/host/loop.h"
#include "vmm/test/ends.h"

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define TEST_CONSOLE_HEAD (8u * 1024 * 1024) /* bytes that are kept of the beginning */
#define TEST_CONSOLE_TAIL (256u * 1024)	     /* and of the end */

struct test_console_user {
	/* Bytes as they come. */
	void (*printed)(void *to, const uint8_t *data, size_t n);
	void *to;
};

struct test_console {
	struct loop *loop;
	int fd;	    /* our end; non-blocking, owned */
	FILE *copy; /* all that is printed goes there as well; NULL: nowhere */
	struct test_console_user user;
	uint64_t start; /* of the guest, by host_clock_ns() */
	uint64_t bytes; /* that the guest printed */
	bool in_line;	/* the last byte was no line end */
	struct ends kept;
};

#define TEST_CONSOLE_EMPTY \
	{                  \
		.fd = -1   \
	}

int test_console_open(struct test_console *c, struct loop *loop, int fd, FILE *copy,
		      const struct test_console_user *user, struct err *err);
/* The guest starts: time stamps count from now. */
void test_console_start(struct test_console *c);
/* Reads what has come, when the loop no longer runs. */
void test_console_drain(struct test_console *c);
/* Writes all that was kept. */
void test_console_write(const struct test_console *c, FILE *to);
/* The last bytes in `buf`, at most size - 1 of them and whole lines if there is one. Returns buf.
 */
const char *test_console_tail(const struct test_console *c, char *buf, size_t size);
void test_console_close(struct test_console *c);

#endif
