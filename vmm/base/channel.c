#include "vmm/base/channel.h"

#include <string.h>

#define MAGIC_0 0xd5
#define MAGIC_1 'S'

/* --- numbers --- */

uint32_t channel_get32(const uint8_t *from)
{
	return from[0] | (uint32_t)from[1] << 8 | (uint32_t)from[2] << 16 | (uint32_t)from[3] << 24;
}

void channel_put32(uint8_t *to, uint32_t value)
{
	for (unsigned i = 0; i < 4; i++)
		to[i] = (uint8_t)(value >> 8 * i);
}

static uint64_t get64(const uint8_t *from)
{
	return channel_get32(from) | (uint64_t)channel_get32(from + 4) << 32;
}

static void put64(uint8_t *to, uint64_t value)
{
	channel_put32(to, (uint32_t)value);
	channel_put32(to + 4, (uint32_t)(value >> 32));
}

/*
 * CRC-32/ISO-HDLC: polynomial 0x04c11db7, reflected. Four bits at a time, because a table of 16
 * entries is small enough for init and fast enough for a serial line.
 */
static uint32_t crc32(uint32_t crc, const uint8_t *data, size_t len)
{
	static const uint32_t table[16] = {
		0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4,
		0x4db26158, 0x5005713c, 0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c,
		0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c,
	};

	for (size_t i = 0; i < len; i++) {
		crc ^= data[i];
		crc = crc >> 4 ^ table[crc & 15];
		crc = crc >> 4 ^ table[crc & 15];
	}
	return crc;
}

static uint32_t check_sum(const uint8_t *header, const void *payload, uint32_t len)
{
	return ~crc32(crc32(UINT32_MAX, header + 2, 6), payload, len);
}

/* --- frames --- */

void channel_header(uint8_t header[CHANNEL_HEADER], enum channel_type type, const void *payload,
		    uint32_t len)
{
	header[0] = MAGIC_0;
	header[1] = MAGIC_1;
	header[2] = (uint8_t)type;
	header[3] = 0;
	channel_put32(header + 4, len);
	channel_put32(header + 8, check_sum(header, payload, len));
}

/* Returns where the first magic may begin; the last byte may be the first half of one. */
static size_t skip_noise(const uint8_t *data, size_t len)
{
	size_t i = 0;

	while (i < len && !(data[i] == MAGIC_0 && (i + 1 == len || data[i + 1] == MAGIC_1)))
		i++;
	return i;
}

enum channel_result channel_parse(const uint8_t *data, size_t len, bool begun,
				  struct channel_frame *frame, size_t *used)
{
	size_t noise = begun ? 0 : skip_noise(data, len);
	uint32_t payload;

	*used = noise;
	data += noise;
	len -= noise;
	if (len < CHANNEL_HEADER)
		return CHANNEL_MORE;
	payload = channel_get32(data + 4);
	if (data[0] != MAGIC_0 || data[1] != MAGIC_1 || data[3] || payload > CHANNEL_PAYLOAD_MAX)
		return CHANNEL_BROKEN;
	if (len - CHANNEL_HEADER < payload)
		return CHANNEL_MORE;
	if (channel_get32(data + 8) != check_sum(data, data + CHANNEL_HEADER, payload))
		return CHANNEL_BROKEN;
	*frame = (struct channel_frame){ data[2], data + CHANNEL_HEADER, payload };
	*used = noise + CHANNEL_HEADER + payload;
	return CHANNEL_FRAME;
}

void channel_exit_put(uint8_t to[CHANNEL_EXIT_SIZE], const struct channel_exit *e)
{
	channel_put32(to, e->signalled);
	channel_put32(to + 4, e->value);
	put64(to + 8, e->out);
	put64(to + 16, e->err);
}

bool channel_exit_get(struct channel_exit *e, const struct channel_frame *frame)
{
	if (frame->len != CHANNEL_EXIT_SIZE)
		return false;
	e->signalled = channel_get32(frame->payload);
	e->value = channel_get32(frame->payload + 4);
	e->out = get64(frame->payload + 8);
	e->err = get64(frame->payload + 16);
	return true;
}
