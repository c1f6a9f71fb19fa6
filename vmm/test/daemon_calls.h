/*
 * Two system calls of a virtiofsd that a user without rights has started, answered for it by a
 * seccomp filter:
 *
 * setgroups(2) does nothing and succeeds. virtiofsd drops supplementary groups before anything
 * else, which needs a right that no user has, and which a user namespace denies as well
 * (user_namespaces(7)). The groups it keeps are the user's own.
 *
 * openat(2) with O_NOATIME opens without that flag, which only a file's owner may use (open(2)).
 * The guest's overlayfs sets it on every file of its lower layer (ovl_path_open() of
 * fs/overlayfs/util.c), and not every virtiofsd drops it. The call is passed to this process, which
 * opens the same descriptor of the daemon's again and gives it the result (seccomp_unotify(2)); it
 * can open no more than the daemon can, because both are the same user.
 */
#ifndef TEST_DAEMON_CALLS_H
#define TEST_DAEMON_CALLS_H

#include "vmm/host/thread.h"

/* All zeroes: nothing is served. */
struct daemon_calls {
	bool serving;
	int fd; /* the filter's listener */
	struct worker worker;
};

/*
 * Puts the filter on the calling process, a child, and sends the listener to `socket`, if that is
 * not negative and the kernel has one (Linux 5.5): without, O_NOATIME is left as it is. Returns 0
 * or an errno.
 */
int daemon_calls_filter(int socket);
/*
 * Serves what the child has sent to the other end of `socket`, on a thread. -EOPNOTSUPP without a
 * sentence: there is nothing, or the kernel is older than 5.14, which can give no descriptor.
 */
int daemon_calls_serve(struct daemon_calls *c, int socket, struct err *err);
/* After the end of the daemon. Allowed on a zeroed struct. */
void daemon_calls_end(struct daemon_calls *c);

#endif
