/*
 * What is behind the virtio devices of a machine: images, tap interfaces, daemons.
 *
 * A part of the machine, in a file of its own. Opened once from the configuration, in the order of
 * the plan; outlives guest resets.
 */
#ifndef BACKENDS_BACKEND_H
#define BACKENDS_BACKEND_H

#include "vmm/backends/disk.h"
#include "vmm/backends/line.h"
#include "vmm/backends/net.h"
#include "vmm/backends/pmem.h"
#include "vmm/backends/vhost.h"
#include "vmm/backends/vhost_user.h"
#include "vmm/backends/vsock.h"
#include "vmm/plan/devices.h"
#include "vmm/plan/plan.h"

struct backend {
	enum virtio_kind kind;
	/* what the user wanted, if the kind has more to say than that */
	const struct config_disk *wanted_disk;
	const struct config_fs *wanted_fs;
	uint32_t cid;	/* of sockets */
	uint64_t size;	/* of a balloon, bytes: the last that was asked for; it outlives resets */
	uint8_t mac[6]; /* of a network adapter */
	/* what serves it; of these the one that is open */
	struct vhost_user user; /* another process: disks, network adapters, shared folders */
	struct disk disk;
	struct net net;
	struct vhost vsock;
	struct pmem pmem;
	struct vsock bridge;	 /* of sockets, without the kernel */
	struct console *console; /* borrowed */
};

struct backends {
	struct backend *list;
	unsigned n;
	int watch; /* inotify, or -1; the three below are set if it is not */
	struct loop *loop;
	void (*changed)(void *to);
	void *to;
};

#define BACKENDS_EMPTY      \
	{                   \
		.watch = -1 \
	}

/* -EINVAL: not what the user asked for; others: the host refuses. The sentence names the option. */
int backends_open(struct backends *b, const struct config *c, const struct plan *plan,
		  struct err *err);
/* What the user should know of what was opened. */
void backends_remark(const struct backends *b, void (*say)(void *to, const char *sentence),
		     void *to);
/*
 * Calls `changed` on the loop's thread when somebody else writes to a file of --pmem or cuts it.
 * Best effort: not where no inotify is left, and not of what another host does to a shared file
 * system. The loop must live until backends_close.
 */
void backends_watch_memory(struct backends *b, struct loop *loop, void (*changed)(void *to),
			   void *to);
/* Whether something is behind that may be waited for: images, files. */
bool backends_have_storage(const struct backends *b);
/*
 * How many requests wait for storage. If there are any, and have been for so many seconds, the
 * sentence says whose. Any thread.
 */
unsigned backends_busy(const struct backends *b, unsigned seconds, struct err *err);
/* What of guest memory are files, sorted; at most `cap` are written. Returns how many there are. */
size_t backends_memory(const struct backends *b, struct ram_block *out, size_t cap);
/* Whether all who must be told of guest memory can be. -E2BIG: one cannot. */
int backends_check_memory(const struct backends *b, const struct guest_ram *ram, struct err *err);
/* The line that is behind the virtio console, if there is one. */
void backends_set_console(struct backends *b, struct console *console);
/* Safe on BACKENDS_EMPTY and half-way. */
void backends_close(struct backends *b);

#endif
