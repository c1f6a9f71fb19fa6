/*
 * Whatever bytes a guest sends on the channel: the parser stays within them, always gets on, and
 * finds the same frames whether they come at once or byte by byte.
 */
#include "vmm/base/channel.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
	if (!holds)
		abort();
}

/* Reads frames from data[*at..len); returns how many, and the result that ended the search. */
static unsigned read_frames(const uint8_t *data, size_t len, size_t *at, bool *begun,
			    enum channel_result *result)
{
	struct channel_frame frame;
	struct channel_exit e;
	unsigned n = 0;
	size_t used;

	for (;;) {
		*result = channel_parse(data + *at, len - *at, *begun, &frame, &used);
		must(used <= len - *at);
		if (*result == CHANNEL_BROKEN)
			return n;
		*at += used;
		if (*result == CHANNEL_MORE)
			return n;
		must(used >= CHANNEL_HEADER && frame.len <= CHANNEL_PAYLOAD_MAX);
		must(frame.payload + frame.len == data + *at);
		(void)channel_exit_get(&e, &frame);
		*begun = true;
		n++;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	enum channel_result at_once, slowly = CHANNEL_MORE;
	bool begun = false;
	size_t at = 0;
	unsigned frames = read_frames(data, size, &at, &begun, &at_once), n = 0;

	begun = false;
	at = 0;
	for (size_t len = 0; len <= size && slowly != CHANNEL_BROKEN; len++)
		n += read_frames(data, len, &at, &begun, &slowly);
	must(n == frames && slowly == at_once);
	return 0;
}
