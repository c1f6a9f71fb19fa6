/*
 * The frames between straddle test and the init that it gives its guest (init/).
 *
 * Both ends compile this file. A frame is a header of 12 bytes and a payload; all numbers are
 * little-endian:
 *
 *   0  magic      2 bytes, 0xd5 'S'
 *   2  type       enum channel_type
 *   3  zero
 *   4  length     of the payload, at most CHANNEL_PAYLOAD_MAX
 *   8  check sum  CRC-32 (ISO-HDLC, as zlib's) of bytes 2 to 7 and the payload
 *
 * The line below neither drops nor reorders bytes, so a frame whose check sum is wrong is never
 * asked for again: the channel is broken, and the case with it. Bytes before the first frame are
 * skipped, because a driver that probes a UART may send some.
 *
 * The guest speaks first (CHANNEL_HELLO). The host sends no more bytes of input than the window
 * that the guest has granted, because a serial line has no other flow control.
 */
#ifndef BASE_CHANNEL_H
#define BASE_CHANNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CHANNEL_VERSION	    1
#define CHANNEL_HEADER	    12
#define CHANNEL_PAYLOAD_MAX 65536u
#define CHANNEL_FRAME_MAX   (CHANNEL_HEADER + CHANNEL_PAYLOAD_MAX)

enum channel_type {
	/* from the guest */
	CHANNEL_HELLO = 1, /* u32 version, u32 window in bytes, the kernel's release as text */
	CHANNEL_STEP,	   /* text: what init does now, "loads modules" */
	CHANNEL_STARTED,   /* the command runs */
	CHANNEL_OUT,	   /* bytes of the command's standard output; none: its end */
	CHANNEL_ERR,	   /* the same of standard error */
	CHANNEL_TAKEN, /* u32: bytes of input that the command has taken; the window is open again
			*/
	CHANNEL_EXIT,  /* struct channel_exit, after the ends of both streams */
	CHANNEL_FAULT, /* text: why the command could not be started */
	/* from the host */
	CHANNEL_IN = 64, /* bytes of the command's standard input; none: its end */
	CHANNEL_DONE, /* the host has read CHANNEL_EXIT or CHANNEL_FAULT: the guest may power off */
};

/* How the command ended. Payload of CHANNEL_EXIT: u32 signalled, u32 value, u64 out, u64 err. */
struct channel_exit {
	bool signalled; /* by a signal, whose number `value` is; else `value` is the exit status */
	uint32_t value;
	uint64_t out, err; /* bytes of each stream, for the host to compare */
};
#define CHANNEL_EXIT_SIZE 24

struct channel_frame {
	enum channel_type type;
	const uint8_t *payload; /* borrowed */
	uint32_t len;
};

/* Writes the header of a frame whose payload follows it. */
void channel_header(uint8_t header[CHANNEL_HEADER], enum channel_type type, const void *payload,
		    uint32_t len);

enum channel_result {
	CHANNEL_MORE,	/* no whole frame yet */
	CHANNEL_FRAME,	/* *frame is the next one */
	CHANNEL_BROKEN, /* wrong magic, length or check sum: nothing behind it can be read */
};

/*
 * Reads the first frame of data[0..len). *used is the number of bytes to drop from the front: those
 * of the frame, whose payload points into `data`, or noise before the first frame while `begun` is
 * false.
 */
enum channel_result channel_parse(const uint8_t *data, size_t len, bool begun,
				  struct channel_frame *frame, size_t *used);

void channel_exit_put(uint8_t to[CHANNEL_EXIT_SIZE], const struct channel_exit *e);
/* False: the payload is no such structure. */
bool channel_exit_get(struct channel_exit *e, const struct channel_frame *frame);

uint32_t channel_get32(const uint8_t *from);
void channel_put32(uint8_t *to, uint32_t value);

#endif
