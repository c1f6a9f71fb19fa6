/*
 * Whether this host has what a guest's RAM needs, judged before the guest starts, so that a
 * shortage is a sentence and neither SIGBUS nor the OOM killer later.
 *
 * Host side. room_probe() asks, room_judge() computes. `run` and `check` judge by the same function
 * (vm_memory_judge() in vmm/vm/memory.h).
 */
#ifndef HOST_ROOM_H
#define HOST_ROOM_H

#include "vmm/base/err.h"
#include "vmm/host/cgroup.h"
#include "vmm/host/memory.h"

/* Bytes that a node of the host must have; each node is there once. */
struct room_part {
	unsigned node;
	uint64_t bytes;
};

struct room_need {
	uint64_t ram;	    /* bytes that the guest sees */
	uint64_t behind;    /* bytes of the host's memory: less than `ram` with --fold */
	uint64_t page_size; /* of the host's pages */
	bool transparent;   /* the kernel must join pages of 4 KiB to huge ones */
	bool in_file;	    /* RAM is a file (memfd) */
	bool pinned;	    /* for devices */
	bool locked;	    /* by --lock-memory */
	bool touched;	    /* by --prefault */
	bool overcommit;    /* what cannot be had at once is allowed */
	/* What is bound to nodes of the host; none: it may come from any node. */
	struct room_part parts[NODES_MAX];
	unsigned nr_parts;
};

struct room {
	struct host_memory memory;
	struct cgroup_room group;
	/* UINT64_MAX: there is no limit */
	uint64_t address_space, data; /* RLIMIT_AS and RLIMIT_DATA: bytes that are left */
	uint64_t file;		      /* RLIMIT_FSIZE */
	uint64_t locked;	      /* RLIMIT_MEMLOCK as far as it can be raised */
	char transparent[16];	      /* when the kernel makes huge pages: "always"; "": never */
};

/*
 * Reads what room_judge() looks at for this need, which is little for RAM that is made as it is
 * used. `root` is "" or, for tests, a folder with proc/ and sys/.
 */
void room_probe(const char *root, const struct room_need *need, struct room *room);
/*
 * Returns 0, or -ENOMEM, -EFBIG or -ENODEV and a sentence: what is missing, where, and the command
 * that provides it.
 */
int room_judge(const struct room *room, const struct room_need *need, struct err *err);

/* Whether no limit of locked memory holds: CAP_IPC_LOCK of the initial user namespace lifts it. */
bool room_may_lock_all(void);

#endif
