/*
 * SIGBUS: an access to memory that is mapped in this process but cannot be read or written.
 *
 * Host side, one per process. It has three causes: a memory error (the host's kernel found a page
 * that the hardware cannot correct), a mapped file that somebody cut short, and huge pages or room
 * that a limit withholds. Each such mapping is listed here, so that the sentence can name it. Where
 * the guest touches a bad page, KVM_RUN is interrupted and its caller finds the page in a struct
 * fault_bad; everything else ends the process with status 1 and the terminal as it was.
 */
#ifndef HOST_FAULT_H
#define HOST_FAULT_H

#include "vmm/base/err.h"
#include "vmm/base/span.h"

#include <signal.h>

/* One mapping and the option that it belongs to; strings and the descriptor are borrowed. */
struct fault_range {
	const void *at;
	uint64_t len; /* bytes */
	bool is_guest;
	bool huge;	    /* pages of hugetlbfs */
	uint64_t gpa;	    /* guest-physical; of the guest's memory only */
	const char *option; /* of a file: "--pmem"; NULL: guest RAM */
	const char *path;
	int fd;		 /* of a file, or -1 */
	uint64_t offset; /* of `at` in it */
};

/* Installs the handler. Called once, before any thread is started. */
int fault_init(struct err *err);

/*
 * Called by one thread at a time. The list has room for FAULT_RANGES; a SIGBUS in a mapping beyond
 * those is reported without a name.
 */
#define FAULT_RANGES 512
void fault_list(const struct fault_range *range);
void fault_unlist(const void *at);

/* A bad page that the guest touched. */
struct fault_bad {
	volatile sig_atomic_t hit;
	volatile uint64_t gpa;
};

/*
 * From now on memory errors that the guest causes on the calling thread are written to `bad`; NULL
 * ends that. A bad page that the thread meets outside of KVM_RUN ends the process.
 */
void fault_catch(struct fault_bad *bad);

/*
 * Writes to a byte of each page of `len` bytes at `at`, `step` apart, and changes none of them, so
 * that the memory is there afterwards. Returns 0, or -EFAULT if a page cannot be had, or -EHWPOISON
 * if it cannot be read or written any more, and in that case *done, the bytes before that page.
 */
int fault_touch(uint8_t *at, uint64_t len, uint64_t step, uint64_t *done);

/* Whether a file that is guest memory has been truncated; then the sentence names it. */
bool fault_find_cut(struct err *err);
/* Writes why KVM could not reach guest memory (EFAULT). False: the reason is not known. */
bool fault_explain(struct err *err);

#endif
