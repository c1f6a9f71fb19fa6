#include "vmm/test/unpack.h"

#include "vmm/base/quote.h"

#include <errno.h>
#include <lzma.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

/*
 * The memory that an unpacker may take. Kernel builds use dictionaries of up to 2 MiB
 * (scripts/Makefile.modinst), and the largest preset of xz takes 64 MiB. libzstd's own limit is a
 * window of 128 MiB.
 */
#define UNPACK_MEMORY (128 * MIB)

enum step {
	STEP_MORE, /* the room is full, or there is more to read */
	STEP_END,
	STEP_TORN,
	STEP_DAMAGED,
	STEP_MEMORY, /* needs more than UNPACK_MEMORY, or than there is */
};

struct input {
	const uint8_t *data;
	size_t len;
	union {
		lzma_stream xz;
		z_stream gzip;
		struct {
			ZSTD_DStream *stream;
			ZSTD_inBuffer in;
		} zstd;
	} u;
};

/* --- xz --- */

static bool xz_begin(struct input *in)
{
	in->u.xz = (lzma_stream)LZMA_STREAM_INIT;
	in->u.xz.next_in = in->data;
	in->u.xz.avail_in = in->len;
	return lzma_stream_decoder(&in->u.xz, UNPACK_MEMORY, LZMA_CONCATENATED) == LZMA_OK;
}

static enum step xz_step(struct input *in, uint8_t *to, size_t room, size_t *n)
{
	lzma_ret ret;

	in->u.xz.next_out = to;
	in->u.xz.avail_out = room;
	ret = lzma_code(&in->u.xz, LZMA_FINISH);
	*n = room - in->u.xz.avail_out;
	switch (ret) {
	case LZMA_OK:
		return STEP_MORE;
	case LZMA_STREAM_END:
		return STEP_END;
	case LZMA_BUF_ERROR:
		return STEP_TORN;
	case LZMA_MEM_ERROR:
	case LZMA_MEMLIMIT_ERROR:
		return STEP_MEMORY;
	default:
		return STEP_DAMAGED;
	}
}

static void xz_end(struct input *in)
{
	lzma_end(&in->u.xz);
}

/* --- gzip --- */

static bool gzip_begin(struct input *in)
{
	in->u.gzip = (z_stream){ .next_in = (uint8_t *)in->data, .avail_in = (uInt)in->len };
	return inflateInit2(&in->u.gzip, MAX_WBITS + 16) == Z_OK; /* 16: a gzip header */
}

static enum step gzip_step(struct input *in, uint8_t *to, size_t room, size_t *n)
{
	int ret;

	in->u.gzip.next_out = to;
	in->u.gzip.avail_out = (uInt)room;
	ret = inflate(&in->u.gzip, Z_NO_FLUSH);
	*n = room - in->u.gzip.avail_out;
	switch (ret) {
	case Z_OK:
		return STEP_MORE;
	case Z_STREAM_END: /* another member may follow (RFC 1952, section 2.2) */
		return in->u.gzip.avail_in && inflateReset(&in->u.gzip) == Z_OK ? STEP_MORE
										: STEP_END;
	case Z_BUF_ERROR:
		return STEP_TORN;
	case Z_MEM_ERROR:
		return STEP_MEMORY;
	default:
		return STEP_DAMAGED;
	}
}

static void gzip_end(struct input *in)
{
	inflateEnd(&in->u.gzip);
}

/* --- zstd --- */

static bool zstd_begin(struct input *in)
{
	in->u.zstd.stream = ZSTD_createDStream();
	in->u.zstd.in = (ZSTD_inBuffer){ .src = in->data, .size = in->len };
	return in->u.zstd.stream != NULL;
}

static enum step zstd_step(struct input *in, uint8_t *to, size_t room, size_t *n)
{
	ZSTD_outBuffer out = { .dst = to, .size = room };
	size_t ret = ZSTD_decompressStream(in->u.zstd.stream, &out, &in->u.zstd.in);
	bool all_read = in->u.zstd.in.pos == in->u.zstd.in.size;

	*n = out.pos;
	switch (ZSTD_getErrorCode(ret)) {
	case ZSTD_error_no_error:
		break;
	case ZSTD_error_memory_allocation:
	case ZSTD_error_frameParameter_windowTooLarge:
		return STEP_MEMORY;
	default:
		return STEP_DAMAGED;
	}
	/* 0: a frame is complete, and another may follow (RFC 8878, section 3). */
	if (all_read && !ret)
		return STEP_END;
	return all_read && out.pos < room ? STEP_TORN : STEP_MORE;
}

static void zstd_end(struct input *in)
{
	ZSTD_freeDStream(in->u.zstd.stream);
}

/* --- all --- */

static const struct codec {
	const char *ending;
	/* False: not enough memory. `end` is called in any case. */
	bool (*begin)(struct input *in);
	/* Unpacks to to[0..room), and writes to *n how many bytes there are now. */
	enum step (*step)(struct input *in, uint8_t *to, size_t room, size_t *n);
	void (*end)(struct input *in);
} codecs[] = {
	{ ".ko", NULL, NULL, NULL },
	{ ".ko.xz", xz_begin, xz_step, xz_end },
	{ ".ko.zst", zstd_begin, zstd_step, zstd_end },
	{ ".ko.gz", gzip_begin, gzip_step, gzip_end },
};

static const struct codec *codec_of(const char *path)
{
	size_t len = strlen(path);

	for (size_t i = 0; i < ARRAY_SIZE(codecs); i++) {
		size_t n = strlen(codecs[i].ending);

		if (len > n && !strcmp(path + len - n, codecs[i].ending))
			return &codecs[i];
	}
	return NULL;
}

#define CHUNK (64 * KIB)

/* Returns how it ended: STEP_MORE means that there would be more than UNPACK_MAX bytes. */
static enum step unpack_run(const struct codec *codec, struct input *in, struct buffer *to)
{
	enum step step = codec->begin(in) ? STEP_MORE : STEP_MEMORY;

	while (step == STEP_MORE && to->len <= UNPACK_MAX) {
		uint8_t *at = buffer_room(to, CHUNK);
		size_t n = 0;

		step = at ? codec->step(in, at, CHUNK, &n) : STEP_MEMORY;
		to->len += n;
	}
	codec->end(in);
	return step == STEP_END && to->len > UNPACK_MAX ? STEP_MORE : step;
}

static int refuse(const char *path, enum step step, struct err *err)
{
	switch (step) {
	case STEP_TORN:
		return err_set(
			err, EINVAL,
			"%s ends too early to be unpacked: install the kernel's modules anew",
			path);
	case STEP_DAMAGED:
		return err_set(err, EINVAL,
			       "%s is damaged and cannot be unpacked: install the kernel's modules "
			       "anew",
			       path);
	case STEP_MEMORY:
		return err_set(err, ENOMEM,
			       "%s cannot be unpacked: this takes more than %s of memory, or more "
			       "than the host gives",
			       path, QUOTED_SIZE(UNPACK_MEMORY));
	default:
		return err_set(err, EFBIG, "%s is larger than %s, too large for a kernel module",
			       path, QUOTED_SIZE(UNPACK_MAX));
	}
}

int unpack(const char *path, const uint8_t *data, size_t len, struct buffer *to, struct err *err)
{
	const struct codec *codec = codec_of(path);
	struct input in = { .data = data, .len = len };
	enum step step = STEP_END;

	if (!codec)
		return err_set(err, EINVAL,
			       "%s is no kernel module: its name ends in none of .ko, .ko.gz, "
			       ".ko.xz and .ko.zst",
			       path);
	if (len > UNPACK_MAX)
		step = STEP_MORE;
	else if (codec->begin)
		step = unpack_run(codec, &in, to);
	else
		buffer_put(to, data, len);
	if (to->error)
		step = STEP_MEMORY;
	if (step != STEP_END)
		return refuse(path, step, err);
	if (to->len < 4 || memcmp(to->data, "\177ELF", 4))
		return err_set(err, EINVAL,
			       "%s is no kernel module: it does not begin as an ELF file does",
			       path);
	return 0;
}
