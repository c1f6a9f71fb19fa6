#include "init/input.h"

#include <string.h>

void input_reset(struct input *in, uint32_t window)
{
	in->window = window;
	in->head = in->len = in->taken = 0;
	in->ended = in->discards = false;
}

bool input_put(struct input *in, const uint8_t *data, uint32_t len)
{
	uint32_t at, first;

	if (len > in->window - in->len)
		return false;
	if (in->discards) {
		in->taken += len;
		return true;
	}
	at = (in->head + in->len) % in->window;
	first = len < in->window - at ? len : in->window - at;
	memcpy(in->data + at, data, first);
	memcpy(in->data, data + first, len - first);
	in->len += len;
	return true;
}

uint32_t input_peek(const struct input *in, const uint8_t **data)
{
	uint32_t to_end = in->window - in->head;

	*data = in->data + in->head;
	return in->len < to_end ? in->len : to_end;
}

void input_took(struct input *in, uint32_t n)
{
	in->head = (in->head + n) % in->window;
	in->len -= n;
	in->taken += n;
}

void input_discard(struct input *in)
{
	input_took(in, in->len);
	in->discards = true;
}

uint32_t input_tell(struct input *in)
{
	uint32_t n = in->taken;

	in->taken = 0;
	return n;
}
