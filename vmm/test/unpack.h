/*
 * Unpacks a file of a kernel module: .ko as it is, .ko.gz, .ko.xz or .ko.zst.
 *
 * init loads modules from memory with one system call, and a kernel need not be able to unpack
 * them. The bytes are untrusted: what comes out is bounded, and so is the memory that this takes.
 */
#ifndef TEST_UNPACK_H
#define TEST_UNPACK_H

#include "vmm/base/err.h"
#include "vmm/base/units.h"
#include "vmm/test/buffer.h"

/* The most bytes of a module, packed or not; the largest that Debian has take 10 MiB. */
#define UNPACK_MAX (64 * MIB)

/*
 * Appends the ELF file that data[0..len) holds to the empty buffer `to`. `path` names the file in
 * sentences, and its end says how it is packed. Returns 0, or -EINVAL (damaged, torn, no module),
 * -EFBIG or -ENOMEM and a sentence.
 */
int unpack(const char *path, const uint8_t *data, size_t len, struct buffer *to, struct err *err);

#endif
