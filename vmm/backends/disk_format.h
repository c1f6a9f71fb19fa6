/*
 * What kind of disk image a file is, by the words in its first and last bytes.
 *
 * Pure. Straddle serves raw images alone: a qcow2 file that is taken for one shows the guest a disk
 * of the wrong size, and whatever the guest writes destroys it.
 */
#ifndef BACKENDS_DISK_FORMAT_H
#define BACKENDS_DISK_FORMAT_H

#include <stddef.h>
#include <stdint.h>

#define DISK_FORMAT_HEAD 512 /* bytes that are looked at */
#define DISK_FORMAT_TAIL 512

/*
 * QEMU's name of the format, such as "qcow2"; NULL: nothing is known of it, so it is raw. `head`
 * are the first `n` bytes of the file, `tail` the last `m`; either may be fewer than the above.
 */
const char *disk_format(const uint8_t *head, size_t n, const uint8_t *tail, size_t m);

#endif
