/*
 * Files packed in memory by liblzma, libzstd and zlib, for tests.
 */
#ifndef TESTS_PACKED_H
#define TESTS_PACKED_H

#include <lzma.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

enum packing { PACK_GZ, PACK_XZ, PACK_ZST, PACKINGS };

static const char *const packed_name[PACKINGS] = { "m.ko.gz", "m.ko.xz", "m.ko.zst" };

static inline size_t packed_xz(const uint8_t *from, size_t n, uint32_t dictionary, uint8_t *to,
			       size_t room)
{
	lzma_options_lzma options;
	lzma_filter filters[] = { { LZMA_FILTER_LZMA2, &options }, { LZMA_VLI_UNKNOWN, NULL } };
	size_t len = 0;

	if (lzma_lzma_preset(&options, 0))
		abort();
	if (dictionary)
		options.dict_size = dictionary;
	if (lzma_stream_buffer_encode(filters, LZMA_CHECK_CRC32, NULL, from, n, to, &len, room))
		abort();
	return len;
}

static inline size_t packed_gz(const uint8_t *from, size_t n, uint8_t *to, size_t room)
{
	z_stream s = { .next_in = (uint8_t *)from,
		       .avail_in = (uInt)n,
		       .next_out = to,
		       .avail_out = (uInt)room };

	if (deflateInit2(&s, 6, Z_DEFLATED, MAX_WBITS + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK ||
	    deflate(&s, Z_FINISH) != Z_STREAM_END)
		abort();
	deflateEnd(&s);
	return s.total_out;
}

/* zstd adds a check sum, as the program zstd does. */
static inline size_t packed_zst(const uint8_t *from, size_t n, uint8_t *to, size_t room)
{
	ZSTD_CCtx *c = ZSTD_createCCtx();
	size_t len;

	if (!c)
		abort();
	ZSTD_CCtx_setParameter(c, ZSTD_c_checksumFlag, 1);
	len = ZSTD_compress2(c, to, room, from, n);
	if (ZSTD_isError(len))
		abort();
	ZSTD_freeCCtx(c);
	return len;
}

/* Packs from[0..n) behind the `used` bytes at `to`, which moves; *len is the sum. Free it. */
static inline uint8_t *pack_append(enum packing p, uint8_t *to, size_t used, const uint8_t *from,
				   size_t n, size_t *len)
{
	size_t room = n + n / 8 + 4096;
	uint8_t *packed = realloc(to, used + room), *at;

	if (!packed)
		abort();
	at = packed + used;
	*len = used + (p == PACK_GZ   ? packed_gz(from, n, at, room)
		       : p == PACK_XZ ? packed_xz(from, n, 0, at, room)
				      : packed_zst(from, n, at, room));
	return packed;
}

static inline uint8_t *pack(enum packing p, const uint8_t *from, size_t n, size_t *len)
{
	return pack_append(p, NULL, 0, from, n, len);
}

/*
 * An xz archive that asks for a dictionary of this size. It is packed with a small one, and its
 * block's header is then changed, because the encoder would need the memory, too.
 */
static inline uint8_t *pack_xz_dictionary(const uint8_t *from, size_t n, uint32_t dictionary,
					  size_t *len)
{
	uint8_t *packed = pack(PACK_XZ, from, n, len), *block = packed + LZMA_STREAM_HEADER_SIZE;
	lzma_options_lzma options;
	lzma_filter filters[] = { { LZMA_FILTER_LZMA2, &options }, { LZMA_VLI_UNKNOWN, NULL } };
	lzma_block b = { .check = LZMA_CHECK_CRC32,
			 .filters = filters,
			 .compressed_size = LZMA_VLI_UNKNOWN,
			 .uncompressed_size = LZMA_VLI_UNKNOWN };
	lzma_filter read[LZMA_FILTERS_MAX + 1];

	if (lzma_lzma_preset(&options, 0))
		abort();
	options.dict_size = dictionary;
	b.header_size = lzma_block_header_size_decode(*block);
	b.filters = read;
	if (lzma_block_header_decode(&b, NULL, block))
		abort();
	free(read[0].options);
	b.filters = filters;
	if (lzma_block_header_encode(&b, block))
		abort();
	return packed;
}

#endif
