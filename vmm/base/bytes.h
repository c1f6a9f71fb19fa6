/*
 * Bounded little-endian readers and writers.
 *
 * Foreign formats (ACPI tables, boot_params, ELF, kernel images) are written and read field by
 * field through these, never overlaid with a C struct. Readers and writers that run out of room go
 * on without effect and remember the fact, so a caller checks once, at the end.
 */
#ifndef BASE_BYTES_H
#define BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* `n` bytes (1 to 8) at `p`, little-endian. */
uint64_t load_le(const void *p, unsigned n);
void store_le(void *p, uint64_t value, unsigned n);

/* Writes into a caller's buffer. `len` counts on past `cap`, so it tells the size needed. */
struct bytes_out {
	uint8_t *data;
	size_t cap;
	size_t len;
};

static inline bool bytes_out_full(const struct bytes_out *b)
{
	return b->len > b->cap;
}

void put_le(struct bytes_out *b, uint64_t value, unsigned n);
void put_mem(struct bytes_out *b, const void *from, size_t n);
void put_fill(struct bytes_out *b, uint8_t byte, size_t n);
/* Fills with zeroes up to offset `at`; nothing if already past it. */
void put_pad(struct bytes_out *b, size_t at);

/* Reads from a caller's buffer. After a read past the end, `failed` is set and reads give zero. */
struct bytes_in {
	const uint8_t *data;
	size_t len;
	size_t at;
	bool failed;
};

uint64_t get_le(struct bytes_in *b, unsigned n);
/* The address of the next `n` bytes in the caller's buffer, or NULL (and `failed` is set). */
const uint8_t *get_mem(struct bytes_in *b, size_t n);
/* Moves to absolute offset `at`. */
void get_seek(struct bytes_in *b, uint64_t at);

#endif
