#include "vmm/image.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

int image_open(struct image *image, const char *option, const char *path, struct err *err)
{
	struct stat st;
	void *data;
	int ret;

	*image = (struct image)IMAGE_EMPTY;
	image->option = option;
	image->path = path;
	/* O_NONBLOCK: opening a FIFO must not wait for its writer before we can refuse it. */
	image->fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (image->fd < 0 || fstat(image->fd, &st) < 0) {
		ret = err_sys(err, errno, "%s %s cannot be opened", option, path);
		goto fail;
	}
	if (!S_ISREG(st.st_mode)) {
		ret = err_set(err, EINVAL, "%s %s is %s: give a regular file", option, path,
			      S_ISDIR(st.st_mode) ? "a directory" : "a device, pipe or socket");
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
	if (image->data)
		munmap((void *)image->data, image->len);
	if (image->fd >= 0)
		close(image->fd);
	*image = (struct image)IMAGE_EMPTY;
}
