#include "vmm/host/image.h"

#include "vmm/base/span.h"
#include "vmm/host/fault.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

/*
 * The most bytes read from a pipe: no initrd is larger, and a pipe that never ends must not fill
 * the host.
 */
#define IMAGE_PIPE_MAX FOUR_GIB

static const char *kind_of(mode_t mode)
{
	return S_ISDIR(mode) ? "a directory" : S_ISSOCK(mode) ? "a socket" : "a device";
}

/* Copies from `pipe` to `to` until the pipe's other end is closed. */
static int copy_pipe(const struct image *image, int pipe, int to, struct err *err)
{
	static uint8_t
		buffer[64 * KIB]; /* static, because it is used before any thread is started */
	uint64_t len = 0;
	ssize_t n;

	while ((n = read(pipe, buffer, sizeof(buffer))) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(err, errno, "%s %s cannot be read", image->option,
				       image->path);
		len += (uint64_t)n;
		if (len > IMAGE_PIPE_MAX)
			return err_set(err, EFBIG,
				       "%s %s is a pipe of more than %" PRIu64
				       " GiB; write it to a file, and give the file",
				       image->option, image->path, IMAGE_PIPE_MAX / GIB);
		for (ssize_t done = 0, w; done < n; done += w) {
			w = write(to, buffer + done, (size_t)(n - done));
			if (w < 0 && errno == EINTR)
				w = 0;
			if (w < 0)
				return err_sys(
					err, errno,
					"%s %s is a pipe, and its bytes cannot be copied to memory",
					image->option, image->path);
		}
	}
	return 0;
}

/*
 * Copies a pipe to a file in memory, because a pipe can be read only once, but a guest that resets
 * gets the same file again. image->fd, opened with O_NONBLOCK, did not wait for a writer; it stays
 * open until the pipe is opened again, waiting for a writer, so that a writer that came already
 * does not lose its reader.
 */
static int take_pipe(struct image *image, struct err *err)
{
	int pipe = open(image->path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	int copy = pipe < 0 ? -1 : memfd_create("straddle image", MFD_CLOEXEC);
	int ret =
		copy < 0 ? err_sys(err, errno, "%s %s cannot be opened", image->option, image->path)
			 : copy_pipe(image, pipe, copy, err);

	if (pipe >= 0)
		close(pipe);
	if (copy >= 0) {
		close(image->fd);
		image->fd = copy;
	}
	return ret;
}

static bool is_null(const struct stat *st)
{
	return S_ISCHR(st->st_mode) && st->st_rdev == makedev(1, 3); /* Linux, devices.txt */
}

int image_open(struct image *image, const char *option, const char *path, struct err *err)
{
	struct stat st;
	void *data;
	int ret = 0;

	*image = (struct image)IMAGE_EMPTY;
	image->option = option;
	image->path = path;
	/* O_NONBLOCK: opening a serial line must not wait for it before we can refuse it. */
	image->fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (image->fd < 0 || fstat(image->fd, &st) < 0) {
		ret = err_sys(err, errno, "%s %s cannot be opened", option, path);
		goto fail;
	}
	if (S_ISFIFO(st.st_mode)) {
		ret = take_pipe(image, err);
		if (ret < 0)
			goto fail;
		if (fstat(image->fd, &st) < 0) {
			ret = err_sys(err, errno, "%s %s cannot be opened", option, path);
			goto fail;
		}
	} else if (!S_ISREG(st.st_mode) && !is_null(&st)) {
		ret = err_set(err, EINVAL, "%s %s is %s: give a regular file or a pipe", option,
			      path, kind_of(st.st_mode));
		goto fail;
	}
	image->len = (size_t)st.st_size;
	if (!image->len)
		return 0;
	data = mmap(NULL, image->len, PROT_READ, MAP_PRIVATE, image->fd, 0);
	if (data == MAP_FAILED) {
		ret = err_sys(err, errno, "%s %s cannot be mapped", option, path);
		goto fail;
	}
	image->data = data;
	fault_list(&(struct fault_range){
		.at = data,
		.len = image->len,
		.option = option,
		.path = path,
		.fd = image->fd,
	});
	return 0;
fail:
	image_close(image);
	return ret;
}

int image_read(const struct image *image, uint64_t offset, void *to, size_t len, struct err *err)
{
	while (len) {
		ssize_t n = pread(image->fd, to, len, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(err, errno, "%s %s cannot be read at offset %" PRIu64,
				       image->option, image->path, offset);
		if (n == 0)
			return err_set(err, EIO, "%s %s was cut short while straddle read it",
				       image->option, image->path);
		to = (uint8_t *)to + n;
		offset += (uint64_t)n;
		len -= (size_t)n;
	}
	return 0;
}

void image_close(struct image *image)
{
	if (image->data) {
		fault_unlist(image->data);
		munmap((void *)image->data, image->len);
	}
	if (image->fd >= 0)
		close(image->fd);
	*image = (struct image)IMAGE_EMPTY;
}

/* --- several files as one initrd --- */

/* Linux looks for the next archive at a multiple of this (init/initramfs.c, unpack_to_rootfs()). */
#define ARCHIVE_ALIGN 4

static uint64_t padded(uint64_t len)
{
	return align_up(len, ARCHIVE_ALIGN);
}

int images_open(struct images *images, const char *option, char *const *paths, unsigned n,
		struct err *err)
{
	*images = (struct images)IMAGES_EMPTY;
	for (unsigned i = 0; i < n; i++) {
		int ret = image_open(&images->parts[i], option, paths[i], err);

		if (ret < 0) {
			images_close(images);
			return ret;
		}
		images->n++;
		images->len = padded(images->len) + images->parts[i].len;
	}
	return 0;
}

/*
 * Returns where the bytes of `a` lie in a buffer that receives `wanted`, and their number in *len;
 * NULL if `wanted` has none of them. Both are offsets of the row.
 */
static uint8_t *place_in(void *buffer, struct span wanted, struct span a, size_t *len)
{
	struct span common = span_common(a, wanted);

	if (!span_overlaps(a, wanted))
		return NULL;
	*len = (size_t)span_size(common);
	return (uint8_t *)buffer + (common.base - wanted.base);
}

int images_read(const struct images *images, uint64_t offset, void *to, size_t len, struct err *err)
{
	struct span wanted = { offset, offset + len };
	uint64_t start = 0;
	int ret = 0;

	for (unsigned i = 0; ret == 0 && i < images->n; i++) {
		const struct image *part = &images->parts[i];
		struct span at = { start, start + part->len };
		struct span gap = { at.end, start + padded(part->len) };
		uint8_t *place = place_in(to, wanted, at, &len);

		if (place)
			ret = image_read(part, max_u64(offset, start) - start, place, len, err);
		place = place_in(to, wanted, gap, &len);
		if (place)
			memset(place, 0, len);
		start = gap.end;
	}
	return ret;
}

void images_close(struct images *images)
{
	for (unsigned i = 0; i < images->n; i++)
		image_close(&images->parts[i]);
	*images = (struct images)IMAGES_EMPTY;
}
