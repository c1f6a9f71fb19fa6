/*
 * The host's end of the channel (vmm/base/channel.h): the command's three streams, and what init
 * says.
 *
 * Runs on the loop's thread. Output of the command goes to descriptors of this process; while their
 * reader is slow the channel is not read, so that the guest waits and nothing is lost.
 */
#ifndef TEST_CHANNEL_H
#define TEST_CHANNEL_H

#include "vmm/base/channel.h"
#include "vmm/host/loop.h"

/* What init says, in this order; exactly one of ended, fault and broken comes last. */
struct test_channel_user {
	void (*hello)(void *to, const char *release);
	void (*step)(void *to, const char *text);
	void (*started)(void *to);
	void (*ended)(void *to, const struct channel_exit *exit);
	void (*fault)(void *to, const char *sentence);
	/* The frames make no sense; the sentence says why. */
	void (*broken)(void *to, const char *sentence);
	void *to;
};

struct test_channel {
	struct loop *loop;
	int fd;	     /* our end; non-blocking, owned */
	int offered; /* another line's end, until either is spoken on; -1: none */
	int in;	     /* standard input for the command, or -1: none, or it has ended */
	int outs[2]; /* where standard output and standard error go */
	struct test_channel_user user;
	uint64_t moved;	      /* bytes in either direction, for the idle limit */
	uint64_t counts[2];   /* bytes of each stream */
	bool begun;	      /* init has spoken */
	bool over;	      /* the last frame has come */
	struct err out_error; /* why output could not be written; "" if it could */
	/* received: data[0..len); of the first `used` bytes, `left` of a stream are to be written
	 */
	uint8_t *data;
	size_t len, used;
	const uint8_t *chunk;
	size_t left;
	unsigned stream;
	/* to be sent */
	uint8_t *send;
	size_t send_len;
	uint32_t window, in_flight; /* bytes of input: granted, and on the way */
};

#define TEST_CHANNEL_EMPTY                        \
	{                                         \
		.fd = -1, .offered = -1, .in = -1 \
	}

/*
 * Takes `fd`, which is made non-blocking, and watches it. `in` may be -1; `in`, `out` and `error`
 * are borrowed.
 */
int test_channel_open(struct test_channel *c, struct loop *loop, int fd, int in, int out, int error,
		      const struct test_channel_user *user, struct err *err);
/*
 * Reads what has come, when the loop no longer runs. Waits for a slow reader of the output while
 * `waits`() says so.
 */
void test_channel_drain(struct test_channel *c, bool (*waits)(void *to));
/*
 * Offers another line, which the guest may greet on in place of the first: the faster one. Takes
 * `fd`.
 */
int test_channel_offer(struct test_channel *c, int fd, struct err *err);
void test_channel_close(struct test_channel *c);

#endif
