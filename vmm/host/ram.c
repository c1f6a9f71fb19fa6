#include "vmm/host/ram.h"

#include "vmm/host/fault.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/memfd.h>
#include <linux/mempolicy.h>
#include <linux/mman.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008u
#endif

#define CONGRUENCE GIB /* the largest page that nested page tables have */

static int shortage(const struct span *span, const struct ram_backing *backing, int code,
		    struct err *err)
{
	uint64_t size = backing->fold ? backing->fold : span_size(*span);
	const char *pool = backing->page_size == GIB ? "1048576" : "2048";

	if (backing->page_size == 4 * KIB)
		return err_sys(err, code,
			       "cannot reserve %" PRIu64 " MiB of address space for guest RAM at "
			       "%#" PRIx64 " (see ulimit -v)",
			       span_size(*span) / MIB, span->base);
	return err_sys(
		err, code,
		"guest RAM at %#" PRIx64 " needs %" PRIu64 " free huge pages of %" PRIu64
		" MiB; reserve them in /sys/kernel/mm/hugepages/hugepages-%skB/nr_hugepages, "
		"or raise the control group's limit (hugetlb.%s.rsvd.max), or use --page-size 4K",
		span->base, size / backing->page_size, backing->page_size / MIB, pool,
		backing->page_size == GIB ? "1GB" : "2MB");
}

/* Whether memfd_create failed because the kernel has no huge pages, or none of this size. */
static bool is_no_such_page(int code)
{
	return code == ENODEV || code == ENOSYS || code == EINVAL;
}

static int no_file(const struct ram_backing *backing, uint64_t size, int code, struct err *err)
{
	struct rlimit limit;

	if (backing->page_size == GIB && is_no_such_page(code))
		return err_set(err, code,
			       "this host has no huge pages of 1 GiB: its CPU has none (no pdpe1gb "
			       "in /proc/cpuinfo), or its kernel was built without hugetlbfs; use "
			       "--page-size 2M or 4K");
	if (backing->page_size != 4 * KIB && is_no_such_page(code))
		return err_set(
			err, code,
			"this host's kernel has no huge pages of 2 MiB (it was built without "
			"hugetlbfs); use --page-size 4K");
	if (code == EFBIG && getrlimit(RLIMIT_FSIZE, &limit) == 0)
		return err_set(err, code,
			       "guest RAM is a file of %" PRIu64 " MiB here, and this process may "
			       "write no file of more than %" PRIu64
			       " MiB: raise the limit (ulimit -f, "
			       "LimitFSIZE=)",
			       size / MIB, (uint64_t)limit.rlim_cur / MIB);
	return err_sys(err, code, "cannot make a file of %" PRIu64 " MiB for guest RAM",
		       size / MIB);
}

/*
 * Makes one file that holds all spans one after the other, or, with --fold, the small one that all
 * spans repeat. Its size is sealed, because a program that gets the descriptor could truncate the
 * file, and accesses of this process would raise SIGBUS.
 */
static int open_memfd(struct ram *ram, const struct span *spans, size_t n,
		      const struct ram_backing *backing, struct err *err)
{
	unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
	uint64_t size = backing->fold;

	if (backing->page_size != 4 * KIB)
		flags |= MFD_HUGETLB | (backing->page_size == GIB ? MFD_HUGE_1GB : MFD_HUGE_2MB);
	for (size_t i = 0; i < n && !backing->fold; i++)
		size += span_size(spans[i]);
	/* The sysctl vm.memfd_noexec can demand it; kernels before 6.3 do not know it. */
	ram->memfd = memfd_create("straddle-ram", flags | MFD_NOEXEC_SEAL);
	if (ram->memfd < 0 && errno == EINVAL)
		ram->memfd = memfd_create("straddle-ram", flags);
	if (ram->memfd < 0 || ftruncate(ram->memfd, (off_t)size) < 0)
		return no_file(backing, size, errno, err);
	if (fcntl(ram->memfd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
		return err_sys(err, errno, "cannot fix the size of the file for guest RAM");
	return 0;
}

/* Maps the block, or each `step` bytes of it, at the host address chosen for it. */
static int fill_block(const struct ram *ram, const struct ram_block *b,
		      const struct ram_backing *backing)
{
	uint64_t size = span_size(b->gpa);
	uint64_t step = backing->fold ? backing->fold : size;
	int flags = ram->memfd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE : MAP_SHARED;
	uint64_t at = 0;

	while (at < size) {
		/* A fold begins where the guest address is a multiple of it. */
		uint64_t skip = backing->fold ? (b->gpa.base + at) % step : 0;
		uint64_t len = min_u64(step - skip, size - at);
		uint64_t offset = backing->fold ? skip : b->offset;

		if (mmap(b->hva + at, len, PROT_READ | PROT_WRITE, flags | MAP_FIXED, ram->memfd,
			 (off_t)offset) == MAP_FAILED)
			return -errno;
		at += len;
	}
	return 0;
}

/*
 * Reserves more address space than needed, keeps the congruent part and unmaps the rest.
 *
 *	reserved:  |------------------------------------|
 *	kept:             |----- RAM -----|
 *	                  ^ same offset within a GiB as the guest address
 */
uint8_t *ram_reserve(struct span gpa)
{
	uint64_t size = span_size(gpa), room = size + CONGRUENCE, skip;
	uint8_t *reserved =
		mmap(NULL, room, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (reserved == MAP_FAILED)
		return NULL;
	skip = (gpa.base - (uintptr_t)reserved) & (CONGRUENCE - 1);
	if (skip)
		munmap(reserved, skip);
	munmap(reserved + skip + size, room - skip - size);
	return reserved + skip;
}

/* By the soft limit the kernel judges, by the hard one room_judge() does. */
static void allow_locking(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_MEMLOCK, &limit) < 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	(void)setrlimit(RLIMIT_MEMLOCK, &limit);
}

/*
 * Locks pages as they come into being (MLOCK_ONFAULT, Linux 4.4), so that RAM stays lazy. All of
 * the address space counts at once.
 */
static int lock_block(const struct ram_block *b, struct err *err)
{
	if (mlock2(b->hva, span_size(b->gpa), MLOCK_ONFAULT) < 0)
		return err_sys(err, errno,
			       "--lock-memory: cannot lock the %" PRIu64
			       " MiB of guest RAM at %#" PRIx64 " (see ulimit -l)",
			       span_size(b->gpa) / MIB, b->gpa.base);
	return 0;
}

static int map_block(const struct ram *ram, struct ram_block *b, const struct ram_backing *backing,
		     struct err *err)
{
	uint64_t size = span_size(b->gpa);
	int ret;

	b->hva = ram_reserve(b->gpa);
	if (!b->hva)
		return shortage(&b->gpa, backing, errno, err);
	ret = fill_block(ram, b, backing);
	if (ret < 0) {
		munmap(b->hva, size);
		return shortage(&b->gpa, backing, -ret, err);
	}
	ret = backing->locked ? lock_block(b, err) : 0;
	if (ret < 0) {
		munmap(b->hva, size);
		return ret;
	}
	/* Errors are ignored, because the guest runs without the advice as well. */
	madvise(b->hva, size, MADV_HUGEPAGE);
	madvise(b->hva, size, MADV_DONTDUMP);
	fault_list(&(struct fault_range){
		.at = b->hva,
		.len = size,
		.is_guest = true,
		.huge = backing->page_size != 4 * KIB,
		.gpa = b->gpa.base,
		.fd = -1,
	});
	return 0;
}

int ram_create(struct ram *ram, const struct span *spans, size_t n,
	       const struct ram_backing *backing, struct err *err)
{
	uint64_t offset = 0;
	int ret;

	*ram = (struct ram)RAM_EMPTY;
	ram->fresh = true;
	ram->fold = backing->fold;
	ram->page_size = backing->page_size;
	ram->blocks = calloc(n, sizeof(*ram->blocks));
	if (!ram->blocks)
		return err_sys(err, ENOMEM, "out of memory for a list of %zu spans of guest RAM",
			       n);
	if (backing->locked)
		allow_locking();
	if (backing->page_size != 4 * KIB || backing->fold || backing->shared) {
		ret = open_memfd(ram, spans, n, backing, err);
		if (ret < 0)
			goto fail;
	}
	for (; ram->nr_blocks < n; ram->nr_blocks++) {
		struct ram_block *b = &ram->blocks[ram->nr_blocks];

		*b = (struct ram_block){ .gpa = spans[ram->nr_blocks],
					 .fd = backing->fold ? -1 : ram->memfd,
					 .offset = offset };
		ret = map_block(ram, b, backing, err);
		if (ret < 0)
			goto fail;
		offset += span_size(b->gpa);
	}
	return 0;

fail:
	ram_destroy(ram);
	return ret;
}

/* --- nodes of the host --- */

#define NODE_BITS 1024 /* numbers of nodes are below this: CONFIG_NODES_SHIFT is 10 at most */
#define LONG_BITS (8 * sizeof(unsigned long))

static int not_bound(const struct ram_bound *b, int code, struct err *err)
{
	if (code == EINVAL)
		return err_set(err, code,
			       "guest RAM at %#" PRIx64 " cannot come from node %u of the host: it "
			       "is not there, has no memory, or this process may not use it "
			       "(cpuset.mems); use another host= of --numa",
			       b->gpa.base, b->node);
	if (code == ENOSYS)
		return err_set(err, code,
			       "this host's kernel was built without NUMA; leave host= of --numa "
			       "out");
	if (code == EPERM)
		return err_set(err, code,
			       "this process may not say which node of the host memory comes from "
			       "(mbind: a container's seccomp filter forbids it without "
			       "CAP_SYS_NICE); leave host= of --numa out");
	return err_sys(err, code,
		       "guest RAM at %#" PRIx64 " cannot be bound to node %u of the host",
		       b->gpa.base, b->node);
}

/*
 * MPOL_F_STATIC_NODES: the number is the host's, whatever cpuset this process is in or moved to.
 * The kernel takes one bit less than it is told (get_nodes() in mm/mempolicy.c).
 */
static int bind_span(const struct ram *ram, const struct ram_bound *b, struct err *err)
{
	uint8_t *at = ram_at(ram, b->gpa.base, span_size(b->gpa));
	unsigned long nodes[NODE_BITS / LONG_BITS] = { 0 };

	if (ram->fold)
		return err_set(err, EINVAL,
			       "--fold has the same memory for all nodes, which cannot be bound to "
			       "nodes of the host; leave it out, or host= of --numa");
	if (!at || b->node >= NODE_BITS)
		return not_bound(b, EINVAL, err);
	nodes[b->node / LONG_BITS] = 1ul << b->node % LONG_BITS;
	if (syscall(SYS_mbind, at, span_size(b->gpa), MPOL_BIND | MPOL_F_STATIC_NODES, nodes,
		    NODE_BITS + 1ul, 0ul) < 0)
		return not_bound(b, errno, err);
	return 0;
}

int ram_bind(struct ram *ram, const struct ram_bound *bound, size_t n, struct err *err)
{
	int ret = 0;

	if (!n)
		return 0;
	ram->bound = calloc(n, sizeof(*bound));
	if (!ram->bound)
		return err_sys(err, ENOMEM, "out of memory for a list of %zu spans of guest RAM",
			       n);
	memcpy(ram->bound, bound, n * sizeof(*bound));
	ram->nr_bound = n;
	for (size_t i = 0; ret == 0 && i < n; i++)
		ret = bind_span(ram, &bound[i], err);
	return ret;
}

int ram_node(const struct ram *ram, uint64_t gpa)
{
	for (size_t i = 0; i < ram->nr_bound; i++)
		if (gpa >= ram->bound[i].gpa.base && gpa < ram->bound[i].gpa.end)
			return (int)ram->bound[i].node;
	return -1;
}

/* --- what goes back to the host --- */

/*
 * Gives `size` bytes from `offset` on, whole pages, back to the host. False: the bytes stay as they
 * are.
 */
static bool ram_give_back(const struct ram *ram, const struct ram_block *b, uint64_t offset,
			  uint64_t size)
{
	/*
	 * A hole in a file of huge pages loses the page's reservation, so that another process
	 * could take the page, and the guest's next access would raise SIGBUS.
	 */
	if (ram->fold || ram->page_size != 4 * KIB)
		return false;
	if (ram->memfd < 0)
		return madvise(b->hva + offset, size, MADV_DONTNEED) == 0;
	return fallocate(ram->memfd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			 (off_t)(b->offset + offset), (off_t)size) == 0;
}

void ram_discard(const struct ram *ram, uint8_t *at, uint64_t len)
{
	for (size_t i = 0; i < ram->nr_blocks; i++) {
		const struct ram_block *b = &ram->blocks[i];
		uint64_t start, end;

		if (at < b->hva || (uint64_t)(at - b->hva) >= span_size(b->gpa))
			continue;
		start = align_up((uint64_t)(at - b->hva), ram->page_size);
		end = align_down((uint64_t)(at - b->hva) + len, ram->page_size);
		if (start < end)
			ram_give_back(ram, b, start, end - start);
		return;
	}
}

void ram_clear(struct ram *ram)
{
	ram->fresh = true;
	for (size_t i = 0; i < ram->nr_blocks; i++) {
		const struct ram_block *b = &ram->blocks[i];

		ram->fresh &= ram_give_back(ram, b, 0, span_size(b->gpa));
	}
}

void ram_destroy(struct ram *ram)
{
	for (size_t i = 0; i < ram->nr_blocks; i++) {
		fault_unlist(ram->blocks[i].hva);
		munmap(ram->blocks[i].hva, span_size(ram->blocks[i].gpa));
	}
	free(ram->blocks);
	free(ram->bound);
	if (ram->memfd >= 0)
		close(ram->memfd);
	*ram = (struct ram)RAM_EMPTY;
}

void *ram_at(const struct ram *ram, uint64_t gpa, uint64_t len)
{
	const struct guest_ram all = ram_all(ram);

	return guest_ram_at(&all, gpa, len);
}
