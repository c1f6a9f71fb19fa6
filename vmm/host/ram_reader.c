#include "vmm/host/ram_reader.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#define PAGE (4 * KIB)

/*
 * Bits of an entry in /proc/self/pagemap (Documentation/admin-guide/mm/pagemap.rst). They need no
 * privilege, unlike the page frame number.
 */
#define PAGE_PRESENT (UINT64_C(1) << 63)
#define PAGE_SWAPPED (UINT64_C(1) << 62)

static int open_proc(const char *path, struct err *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return err_sys(err, errno, "cannot open %s, by which guest memory is read", path);
	return fd;
}

int ram_reader_open(struct ram_reader *r, const struct ram *ram, struct err *err)
{
	int fd;

	r->ram = ram;
	r->bytes = ram->memfd;
	r->pagemap = -1;
	r->nr_known = 0;
	r->bad = 0;
	if (ram->memfd < 0) {
		fd = open_proc("/proc/self/mem", err);
		if (fd < 0)
			return fd;
		r->bytes = fd;
	}
	/* hugetlbfs does not tell holes from data. A fold is small enough to be read as a whole. */
	if (ram->memfd >= 0 && (ram->page_size == PAGE || ram->fold))
		return 0;
	fd = open_proc("/proc/self/pagemap", err);
	if (fd < 0) {
		ram_reader_close(r);
		return fd;
	}
	r->pagemap = fd;
	return 0;
}

void ram_reader_close(struct ram_reader *r)
{
	if (r->bytes >= 0 && r->bytes != r->ram->memfd)
		close(r->bytes);
	if (r->pagemap >= 0)
		close(r->pagemap);
	r->bytes = r->pagemap = -1;
}

/* --- where data is --- */

/* Of a file: the kernel skips its holes. Pages that were swapped out are data. */
static int find_in_file(const struct ram_reader *r, const struct ram_block *b, uint64_t offset,
			struct span *run, struct err *err)
{
	const uint64_t size = span_size(b->gpa);
	off_t data = lseek(r->bytes, (off_t)(b->offset + offset), SEEK_DATA), hole;

	*run = (struct span){ size, size };
	if (data < 0 && errno == ENXIO) /* there are only holes up to its end */
		return 0;
	if (data < 0)
		return err_sys(err, errno, "cannot find data in the file for guest RAM");
	if ((uint64_t)data - b->offset >= size)
		return 0;
	hole = lseek(r->bytes, data, SEEK_HOLE);
	if (hole < 0)
		return err_sys(err, errno, "cannot find holes in the file for guest RAM");
	run->base = (uint64_t)data - b->offset;
	run->end = min_u64((uint64_t)hole - b->offset, size);
	return 0;
}

/* Makes the entry of page number `page` known, and of pages after it up to `end`. */
static int read_pagemap(struct ram_reader *r, uint64_t page, uint64_t end, struct err *err)
{
	const uint64_t n = min_u64(end - page, RAM_READER_ENTRIES);
	ssize_t got;

	if (page - r->known < r->nr_known)
		return 0;
	do
		got = pread(r->pagemap, r->entries, n * sizeof(r->entries[0]),
			    (off_t)(page * sizeof(r->entries[0])));
	while (got < 0 && errno == EINTR);
	if (got < (ssize_t)sizeof(r->entries[0])) {
		r->nr_known = 0;
		return err_sys(err, got < 0 ? errno : EIO, "cannot read /proc/self/pagemap");
	}
	r->known = page;
	r->nr_known = (uint64_t)got / sizeof(r->entries[0]);
	return 0;
}

/* Of memory: each page of 4 KiB has an entry, also those that lie in a larger one. */
static int find_in_pagemap(struct ram_reader *r, const struct ram_block *b, uint64_t offset,
			   struct span *run, struct err *err)
{
	const uint64_t size = span_size(b->gpa), first = (uintptr_t)b->hva / PAGE;
	const uint64_t end = first + align_up(size, PAGE) / PAGE;
	uint64_t page = first + offset / PAGE;
	bool found = false;

	*run = (struct span){ size, size };
	for (; page < end; page++) {
		int ret = read_pagemap(r, page, end, err);
		bool used;

		if (ret < 0)
			return ret;
		used = r->entries[page - r->known] & (PAGE_PRESENT | PAGE_SWAPPED);
		if (found && !used)
			break;
		if (used && !found)
			run->base = max_u64((page - first) * PAGE, offset);
		found |= used;
	}
	run->end = min_u64((page - first) * PAGE, size);
	return 0;
}

int ram_reader_find(struct ram_reader *r, const struct ram_block *b, uint64_t offset,
		    struct span *run, struct err *err)
{
	if (r->pagemap >= 0)
		return find_in_pagemap(r, b, offset, run, err);
	if (!r->ram->fold)
		return find_in_file(r, b, offset, run, err);
	*run = (struct span){ offset, span_size(b->gpa) };
	return 0;
}

/* --- bytes --- */

int ram_reader_copy(struct ram_reader *r, const struct ram_block *b, uint64_t offset, uint8_t *to,
		    uint64_t len, struct err *err)
{
	const uint64_t begin = r->ram->memfd < 0 ? (uintptr_t)b->hva : b->offset;
	uint64_t done = 0;

	while (done < len) {
		uint64_t at = offset + done, skip;
		ssize_t n = pread(r->bytes, to + done, len - done, (off_t)(begin + at));

		if (n > 0) {
			done += (uint64_t)n;
			continue;
		}
		if (n < 0 && errno == EINTR)
			continue;
		/* Both say that the page has an error, which the hardware could not correct. */
		if (n < 0 && errno != EIO && errno != EFAULT && errno != EHWPOISON)
			return err_sys(err, errno, "cannot read guest memory at %#" PRIx64,
				       b->gpa.base + at);
		if (++r->bad == RAM_READER_BAD_MAX)
			return err_set(err, EIO,
				       "the host cannot read %u pages of guest memory, the last at "
				       "guest address %#" PRIx64,
				       r->bad, b->gpa.base + at);
		skip = min_u64(align_up(at + 1, r->ram->page_size) - at, len - done);
		memset(to + done, 0, skip);
		done += skip;
	}
	return 0;
}
