/*
 * Memory that several threads work through in pieces: which piece is claimed next, which are done,
 * and how far all of it is.
 *
 * PURE: vmm/host/prefault.c has the threads and the system calls. Pieces are claimed one by one
 * from a counter, not dealt out beforehand, because threads are not equally fast: one whose CPU is
 * busy, or far from the memory, claims fewer. They are claimed by address, so that who waits for
 * the memory from its beginning to its end waits for little at a time.
 */
#ifndef BASE_PIECES_H
#define BASE_PIECES_H

#include "vmm/base/span.h"

/* Any thread may call the functions on it; the caller wakes those that wait. */
struct pieces {
	const struct span *areas; /* not empty; borrowed */
	size_t nr_areas;
	uint64_t size;	/* of a piece: a power of two. Pieces end on multiples of it */
	uint64_t n;	/* how many there are */
	uint64_t total; /* bytes of all areas */
	uint64_t next;	/* the first piece that is not claimed */
	uint64_t noted; /* bytes that are done, parts of pieces included */
	uint8_t *done;	/* a byte for each piece; borrowed */
};

/*
 * Returns a good size of pieces: 256 MiB, or less if some threads would have few or none; a page at
 * least. All but `threads` are bytes.
 */
uint64_t pieces_size(uint64_t total, unsigned threads, uint64_t page);
/* Returns how many pieces of this size there are, and so how long the list `done` must be. */
uint64_t pieces_count(const struct span *areas, size_t n, uint64_t size);
/* `done` has pieces_count() bytes, all 0. */
void pieces_init(struct pieces *p, const struct span *areas, size_t n, uint64_t size,
		 uint8_t *done);

/* Claims the next piece: its number and where it is. False: there are no more. */
bool pieces_claim(struct pieces *p, uint64_t *number, struct span *at);
/* Some bytes of a piece are done. */
void pieces_note(struct pieces *p, uint64_t bytes);
/* All of a claimed piece is done. */
void pieces_finish(struct pieces *p, uint64_t number);
/* Whether every piece that lies in `at`, wholly or in part, is done. */
bool pieces_are_done(const struct pieces *p, struct span at);
/* Returns how many bytes are done. */
uint64_t pieces_noted(const struct pieces *p);

/* How far work is, as people read it. */
struct pieces_progress {
	double gib, total; /* GiB */
	double rate;	   /* GiB a second */
	double left;	   /* seconds; 0 while nothing is done */
};

struct pieces_progress pieces_progress(uint64_t bytes, uint64_t total, double seconds);

#endif
