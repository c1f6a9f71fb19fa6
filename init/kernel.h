/*
 * What the kernel says as text in /proc and /sys.
 *
 * Ranges are half-open here, although the kernel prints last bytes.
 */
#ifndef INIT_KERNEL_H
#define INIT_KERNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Reads a file of at most size - 1 bytes as text, without white space at its end. False: there is
 * no such file, or it cannot be read; the text is "" then.
 */
bool kernel_read(char *text, size_t size, const char *path, ...)
	__attribute__((format(printf, 3, 4)));
/* Reads a file with one number, as C writes it. False: there is none. */
bool kernel_number(uint64_t *number, const char *path, ...) __attribute__((format(printf, 2, 3)));
/* Writes a text to a file. Returns 0 or -errno. */
int kernel_write(const char *path, const char *text);

/* A line of /proc/iomem: "  00001000-0009fbff : System RAM". */
struct iomem {
	uint64_t start, end;
	unsigned depth; /* of the tree: 0, 1, ... */
	const char *name;
};

/* PURE. Cuts the line's end off. False: it is no such line. */
bool kernel_iomem(struct iomem *io, char *line);

/* PURE. How many numbers a list such as "0-3,8" has; 0: none, or no such list. */
unsigned kernel_list_count(const char *list);

/*
 * PURE. The number behind a name in a text such as /proc/meminfo: "MemTotal:  1024 kB". False: it
 * is not there.
 */
bool kernel_field(const char *text, const char *name, uint64_t *number);

#endif
