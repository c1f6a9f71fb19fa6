/*
 * Recognises the format of a disk image by the signatures in its first and last bytes.
 *
 * Pure. straddle serves raw images only: a qcow2 file served as a raw image would be a disk of the
 * wrong size, and the guest's writes would destroy it.
 */
#ifndef BACKENDS_DISK_FORMAT_H
#define BACKENDS_DISK_FORMAT_H

#include <stddef.h>
#include <stdint.h>

#define DISK_FORMAT_HEAD 512 /* bytes at the start of the file that are needed */
#define DISK_FORMAT_TAIL 512

/*
 * Returns QEMU's name of the format, such as "qcow2"; NULL: no signature is found, so the image is
 * raw. `head` has the first `n` bytes of the file, `tail` the last `m`; both may be fewer than the
 * numbers above.
 */
const char *disk_format(const uint8_t *head, size_t n, const uint8_t *tail, size_t m);

#endif
