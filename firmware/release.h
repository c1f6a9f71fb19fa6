/*
 * The release of a kernel ("6.1.0-56-amd64"), which names the folder of its modules.
 *
 * PURE.
 */
#ifndef FIRMWARE_RELEASE_H
#define FIRMWARE_RELEASE_H

#include <stddef.h>
#include <stdint.h>

/* Linux' longest release, and its terminating NUL (include/uapi/linux/utsname.h). */
#define RELEASE_SIZE 65

/*
 * Writes the release of the kernel in file[0..len), a bzImage or an ELF vmlinux, as a text that is
 * safe as the name of a folder: it begins with a digit and has no slash, blank or control
 * character. Returns 0, or -ENOENT if the file tells none; *out is then "". RELEASE_SIZE bytes are
 * enough at `out`; a release that does not fit into `cap` is none.
 */
int boot_kernel_release(const uint8_t *file, size_t len, char *out, size_t cap);

#endif
