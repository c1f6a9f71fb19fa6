/*
 * Bytes of standard input between the channel and the command: the window of CHANNEL_HELLO.
 *
 * PURE. The host may send as many bytes as the window has, and again as many as CHANNEL_TAKEN
 * frames tell of. A byte is taken when the command's pipe has it, or when nobody will read it any
 * more, so what waits here never exceeds the window.
 */
#ifndef INIT_INPUT_H
#define INIT_INPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define INPUT_MAX (256u << 10)

struct input {
	uint32_t window; /* at most INPUT_MAX */
	uint32_t head;	 /* of the first byte */
	uint32_t len;	 /* bytes that wait */
	uint32_t taken;	 /* bytes to tell the host of */
	bool ended;	 /* the host has sent the end */
	bool discards;	 /* nobody reads: bytes count as taken when they come */
	uint8_t data[INPUT_MAX];
};

void input_reset(struct input *in, uint32_t window);
/* Adds what the host has sent. False: more than the window allows. */
bool input_put(struct input *in, const uint8_t *data, uint32_t len);
/* The bytes that wait, up to the end of the ring; 0: none. */
uint32_t input_peek(const struct input *in, const uint8_t **data);
/* The command has taken the first n of them. */
void input_took(struct input *in, uint32_t n);
/* The command has closed its standard input, or has ended. */
void input_discard(struct input *in);
/* How many bytes to tell of; they count as told. */
uint32_t input_tell(struct input *in);

#endif
