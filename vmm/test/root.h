/*
 * The root file system of a case: --root none, host, a folder or an image.
 *
 * Host and folders are served by a virtiofsd that this file starts, without rights of its own: a
 * user who is not root gets it in a user namespace in which it is, or, where the host allows none,
 * without. It ends with this process, whatever ends that. An image is a disk whose changes are
 * thrown away.
 */
#ifndef TEST_ROOT_H
#define TEST_ROOT_H

#include "vmm/config/config.h"
#include "vmm/host/program.h"
#include "vmm/test/daemon_calls.h"

#define TEST_ROOT_TAG	 "straddle-root" /* of the virtiofs device */
#define TEST_ROOT_SERIAL "straddle-root" /* of the disk */

struct test_root {
	char folder[64]; /* temporary, with the socket in it; "": none */
	struct program daemon;
	struct daemon_calls calls;
	/*
	 * The guest cannot have a writable layer over it: overlayfs opens files with O_NOATIME,
	 * which a virtiofsd without rights may do with the user's own files only (open(2)), if it
	 * does not drop the flag, and this kernel has no way to drop it (daemon_calls.h).
	 */
	bool read_only;
};

/*
 * Opens what config.test.root names, and adds its device to *config. Called before any thread is
 * started. -EINVAL: the user's mistake; other errors: the host's.
 */
int test_root_open(struct test_root *root, struct config *config, struct err *err);
/* "root=fs:TAG" and the like, for init's specification. */
const char *test_root_spec(const struct config *config, const struct test_root *root);
/* Called when the virtiofs device is connected: removes the socket's name. */
void test_root_connected(struct test_root *root);
/* If the daemon has ended by itself, says how and returns true. */
bool test_root_tell(const struct test_root *root, struct err *err);
/* Ends the daemon. Allowed on a zeroed struct. */
void test_root_close(struct test_root *root);

#endif
