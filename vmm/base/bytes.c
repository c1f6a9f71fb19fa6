#include "vmm/base/bytes.h"

#include <string.h>

uint64_t load_le(const void *p, unsigned n)
{
	const uint8_t *byte = p;
	uint64_t value = 0;

	while (n--)
		value = value << 8 | byte[n];
	return value;
}

void store_le(void *p, uint64_t value, unsigned n)
{
	uint8_t *byte = p;

	for (unsigned i = 0; i < n; i++, value >>= 8)
		byte[i] = (uint8_t)value;
}

void put_le(struct bytes_out *b, uint64_t value, unsigned n)
{
	uint8_t bytes[8];

	store_le(bytes, value, n);
	put_mem(b, bytes, n);
}

void put_mem(struct bytes_out *b, const void *from, size_t n)
{
	if (n && b->len <= b->cap && n <= b->cap - b->len)
		memcpy(b->data + b->len, from, n);
	b->len += n;
}

void put_fill(struct bytes_out *b, uint8_t byte, size_t n)
{
	if (n && b->len <= b->cap && n <= b->cap - b->len)
		memset(b->data + b->len, byte, n);
	b->len += n;
}

void put_pad(struct bytes_out *b, size_t at)
{
	if (at > b->len)
		put_fill(b, 0, at - b->len);
}

uint64_t get_le(struct bytes_in *b, unsigned n)
{
	const uint8_t *p = get_mem(b, n);

	return p ? load_le(p, n) : 0;
}

const uint8_t *get_mem(struct bytes_in *b, size_t n)
{
	const uint8_t *p;

	if (b->failed || b->at > b->len || n > b->len - b->at) {
		b->failed = true;
		return NULL;
	}
	p = b->data + b->at;
	b->at += n;
	return p;
}

void get_seek(struct bytes_in *b, uint64_t at)
{
	if (at > b->len)
		b->failed = true;
	else
		b->at = at;
}
