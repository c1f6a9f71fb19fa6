/*
 * What a disk is asked for: the requests that go from a device to whoever has the data. Base:
 * devices make them, vmm/backends/disk.c serves them, and the machine introduces the two.
 */
#ifndef BASE_PORTS_BLOCK_H
#define BASE_PORTS_BLOCK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

enum block_op {
	BLOCK_READ,
	BLOCK_WRITE,
	BLOCK_FLUSH,   /* what was written before it is completed is to survive a power cut */
	BLOCK_DISCARD, /* nobody needs the contents any more */
	BLOCK_ZERO,    /* reads zeroes from now on */
};

/* Where a step of a request to a private disk goes (vmm/backends/disk_overlay.h). */
enum block_step_how {
	BLOCK_STEP_IMAGE,
	BLOCK_STEP_PRIVATE,
	BLOCK_STEP_COPY,    /* from the image, with the request's data, to the private file */
	BLOCK_STEP_NOTHING, /* no call is needed */
};

struct block_step {
	enum block_step_how how;
	bool waits;		       /* for another request's claim */
	bool is_short;		       /* a write ended inside the next cluster */
	uint64_t len;		       /* bytes */
	uint64_t claim_from, claim_to; /* clusters; equal: none is claimed */
	unsigned nr_parts;
	struct iovec *cut; /* the last part, which has `uncut` bytes after the step; or NULL */
	size_t uncut;
};

struct block_request {
	enum block_op op;
	bool may_unmap;	      /* BLOCK_ZERO: the space may be given back */
	bool stable;	      /* WRITE: at its end it is to survive a power cut */
	uint64_t offset, len; /* bytes; within the disk */
	struct iovec *parts;  /* READ, WRITE: add up to `len`; the server may change them */
	unsigned nr_parts;
	/*
	 * The end of it: 0 or a negative errno; -EOPNOTSUPP: the disk has no such operation. On the
	 * thread that serves the queue, or in `drain`.
	 */
	void (*done)(struct block_request *r, int error);
	/* the server's */
	uint64_t moved; /* bytes that are done with */
	void *bounce;
	struct iovec piece; /* of the bounce buffer */
	void *queue;
	struct block_request *next, *same_sync; /* in lists; for which one fsync is enough */
	int result;
	uint8_t tries;
	bool syncs;		/* it is done but for an fsync */
	bool held;		/* counted among those that wait for room */
	struct block_step step; /* the present one, of a private disk */
};

/* One queue of a disk; one thread at a time. */
struct block_queue_ops {
	/* Takes a request; it may be done before this returns. */
	void (*submit)(void *queue, struct block_request *r);
	/* What was submitted is to begin now; some of it may be done before this returns. */
	void (*flush)(void *queue);
	/*
	 * Polls until more(to) returns true or a request completes, for a time that adapts to
	 * recent success. Returns true if there is work; completions are collected by `flush`.
	 */
	bool (*poll)(void *queue, bool (*more)(void *to), void *to);
	/*
	 * The driver is gone: from now on (`on`) no request waits for anything but the disk itself.
	 * Those that wait for room on it are ended at once.
	 */
	void (*drain)(void *queue, bool on);
};

#endif
