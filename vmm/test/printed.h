/*
 * What a case prints, read from a pipe: its beginning and its end (ends.h).
 */
#ifndef TEST_PRINTED_H
#define TEST_PRINTED_H

#include "vmm/test/ends.h"

#include <stdbool.h>

#define PRINTED_HEAD (1024u * 1024) /* bytes that are kept of the beginning */
#define PRINTED_TAIL (256u * 1024)  /* and of what follows, the last ones */
#define PRINTED_SHOW 4096u	    /* of the end, for reports */

struct printed {
	int fd;		  /* our end of the pipe, non-blocking, owned; -1: none */
	struct ends kept; /* open once something came */
	uint64_t bytes;	  /* that came and for which there was memory */
	char *shown;
};

void printed_open(struct printed *p, int fd);
/* Reads some of what has come. False: the pipe is closed. */
bool printed_read(struct printed *p);
/* Reads all that has come, without waiting. */
void printed_drain(struct printed *p);
/* The last bytes as text, whole lines if there is one; NULL: nothing was printed. Owned by *p. */
const char *printed_tail(struct printed *p);
/* Writes what was kept as output.log into a folder, if anything was printed. */
void printed_write(const struct printed *p, const char *folder);
void printed_close(struct printed *p);

#endif
