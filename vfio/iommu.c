#include "vfio/iommu.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/*
 * Pieces of a mapping: progress is told and a stop obeyed between two of them. Pages of 4 KiB take
 * a second or so for a GiB; there is room for 65,535 pieces (dma_entry_limit).
 */
#define PIECE GIB

/* --- opening --- */

int iommu_open(struct iommu *io, enum iommu_backend want, const struct vfio_id *ids, size_t n,
	       bool no_iommu, struct err *err)
{
	const struct vfio_id *bare = NULL;
	int ret;

	*io = (struct iommu)IOMMU_EMPTY;
	io->no_iommu = no_iommu;
	for (size_t i = 0; i < n; i++)
		if (!*ids[i].cdev)
			bare = &ids[i];
	if (want == IOMMU_TYPE1 || (want == IOMMU_AUTO && (bare || no_iommu)))
		return iommu_type1_open(io, err);
	if (bare)
		return err_set(err, ENODEV,
			       "%s has no character device for iommufd: bind it to vfio-pci, use a "
			       "kernel with CONFIG_VFIO_DEVICE_CDEV, or --vfio-backend type1",
			       bare->name);
	ret = iommu_iommufd_open(io, err);
	if (want == IOMMU_IOMMUFD)
		return ret;
	if (ret < 0)
		return iommu_type1_open(io, err);
	io->may_fall_back = true;
	return 0;
}

/* Gives up, too, if BARs are wanted for other devices and the first device cannot share its own. */
static int attach_each(struct iommu *io, const struct vfio_id *ids, const char *const *tokens,
		       size_t n, int *files, size_t *failed, struct err *err)
{
	size_t i;
	int ret;

	for (i = 0; i < n; i++) {
		files[i] = -1;
		ret = io->ops->attach(io, &ids[i], tokens ? tokens[i] : NULL, &files[i], err);
		if (ret < 0)
			goto fail;
		if (i > 0 || !io->wants_p2p || !io->may_fall_back || !io->ops->maps_bars ||
		    io->ops->maps_bars(files[0]))
			continue;
		io->fell_for_p2p = true;
		ret = err_set(err, EOPNOTSUPP, "%s does not map BARs for other devices",
			      io->ops->name);
		close(files[0]);
		goto fail;
	}
	return 0;

fail:
	*failed = i;
	while (i-- > 0)
		close(files[i]);
	return ret;
}

int iommu_attach_all(struct iommu *io, const struct vfio_id *ids, const char *const *tokens,
		     size_t n, int *files, size_t *failed, struct err *err)
{
	int ret = attach_each(io, ids, tokens, n, files, failed, err);
	bool for_p2p = io->fell_for_p2p;
	struct err type1 = { "" };

	if (ret == 0 || !io->may_fall_back)
		return ret;
	iommu_close(io);
	if (iommu_type1_open(io, &type1) == 0 &&
	    attach_each(io, ids, tokens, n, files, failed, &type1) == 0) {
		io->fell_for_p2p = for_p2p;
		return 0;
	}
	if (for_p2p) { /* without peer-to-peer, then */
		iommu_close(io);
		ret = iommu_iommufd_open(io, err);
		return ret < 0 ? ret : attach_each(io, ids, tokens, n, files, failed, err);
	}
	err_prefix(&type1, 0, "%s; and with type1: ", err->text);
	*err = type1;
	return ret;
}

static int group_index(const struct iommu *io, unsigned number)
{
	for (unsigned i = 0; i < io->nr_groups; i++)
		if (io->groups[i].number == number)
			return (int)i;
	return -1;
}

int iommu_group_file(const struct iommu *io, unsigned number)
{
	int i = group_index(io, number);

	return i < 0 ? -1 : io->groups[i].fd;
}

void iommu_leave(struct iommu *io, unsigned number)
{
	int i = group_index(io, number);

	if (i < 0 || !io->ops->leave)
		return;
	io->ops->leave(io, (unsigned)i);
	io->groups[i] = io->groups[--io->nr_groups];
	if (!io->nr_groups)
		io->mapped = 0;
}

int iommu_attach_failed(const char *name, unsigned group, int code, struct err *err)
{
	switch (code) {
	case EPERM:
		return err_set(err, code,
			       "%s may not be put behind the host's IOMMU: either the host does "
			       "not remap interrupts (enable that in the firmware, as x2APIC or "
			       "interrupt remapping), or the firmware wants memory of the device "
			       "mapped one to one (RMRR; a `direct` line in /sys/kernel/"
			       "iommu_groups/%u/reserved_regions); the kernel log says which",
			       name, group);
	case EINVAL:
		return err_set(err, code,
			       "%s cannot be put behind the host's IOMMU (%s): where /sys/kernel/"
			       "iommu_groups/%u/reserved_regions has a `direct` line, the firmware "
			       "wants that memory of the device mapped one to one, which a guest "
			       "cannot have; else the kernel log may say why",
			       name, strerror(code), group);
	case EBUSY:
		return err_set(err, code,
			       "%s is in use by another program, or a device of IOMMU group %u is "
			       "bound to a driver that is not VFIO's",
			       name, group);
	default:
		return err_sys(err, code, "%s cannot be put behind the host's IOMMU", name);
	}
}

int iommu_ask_ranges(struct iommu *io, struct err *err)
{
	int ret = io->ops->ranges(io, io->usable, ARRAY_SIZE(io->usable), &io->nr_usable, err);

	if (ret == 0 && io->nr_usable > ARRAY_SIZE(io->usable))
		return err_set(err, E2BIG, "the IOMMU reports %zu usable ranges, more than %u",
			       io->nr_usable, HOST_USABLE_MAX);
	return ret;
}

void iommu_close(struct iommu *io)
{
	if (io->ops)
		io->ops->close(io);
	*io = (struct iommu)IOMMU_EMPTY;
}

/* --- is it translatable? --- */

/* The first part of `at` that no usable range holds; empty if all of it is usable. */
static struct span refused_part(const struct iommu *io, struct span at)
{
	for (size_t i = 0; i < io->nr_usable && !span_empty(at); i++) {
		const struct span *u = &io->usable[i];

		if (at.base < u->base)
			return (struct span){ at.base, min_u64(at.end, u->base) };
		at.base = max_u64(at.base, min_u64(at.end, u->end));
	}
	return at;
}

/* The hole that `part` begins in, as the IOMMU has it. */
static struct span whole_hole(const struct iommu *io, struct span part)
{
	struct span hole = { 0, UINT64_MAX };

	for (size_t i = 0; i < io->nr_usable; i++) {
		if (io->usable[i].end <= part.base)
			hole.base = io->usable[i].end;
		else if (io->usable[i].base > part.base && hole.end == UINT64_MAX)
			hole.end = io->usable[i].base;
	}
	return hole;
}

/* "IOMMU group 3", "IOMMU groups 3, 17" */
static const char *group_names(const struct iommu *io, char *out, size_t cap)
{
	size_t len = (size_t)snprintf(out, cap, "IOMMU group%s", io->nr_groups == 1 ? "" : "s");

	for (unsigned i = 0; i < io->nr_groups && len < cap; i++)
		len += (size_t)snprintf(out + len, cap - len, "%s %u", i ? "," : "",
					io->groups[i].number);
	return out;
}

static int check_usable(const struct iommu *io, const struct iommu_mapping *m, struct err *err)
{
	struct span part = refused_part(io, m->iova), hole;
	char groups[128];

	if (span_empty(part))
		return 0;
	hole = whole_hole(io, part);
	group_names(io, groups, sizeof(groups));
	if (hole.end == UINT64_MAX)
		return err_set(err, ERANGE,
			       "%s at [%#" PRIx64 ", %#" PRIx64 ") cannot be mapped for devices: "
			       "the host's IOMMU (%s) ends at %#" PRIx64
			       "; use --iova-policy auto, or less memory",
			       m->owner, m->iova.base, m->iova.end, groups, hole.base);
	return err_set(err, ERANGE,
		       "%s at [%#" PRIx64 ", %#" PRIx64 ") cannot be mapped for devices: the "
		       "host's IOMMU (%s) refuses [%#" PRIx64 ", %#" PRIx64
		       "); use --iova-policy auto, which lays RAM out around it",
		       m->owner, m->iova.base, m->iova.end, groups, hole.base, hole.end);
}

/* --- locked memory --- */

/*
 * The limit holds unless the initial user namespace gives CAP_IPC_LOCK, and it holds for all that a
 * user pins (iommufd) or for this process (type1): so it is raised as far as it can be, and the map
 * call judges.
 */
static void raise_memlock(void)
{
	struct rlimit limit = { RLIM_INFINITY, RLIM_INFINITY };

	if (setrlimit(RLIMIT_MEMLOCK, &limit) == 0 || getrlimit(RLIMIT_MEMLOCK, &limit) < 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	(void)setrlimit(RLIMIT_MEMLOCK, &limit);
}

/* --- mapping --- */

static const char *advice(int code)
{
	switch (code) {
	case EINVAL:
		return "the range is reserved, or not aligned to what the IOMMU translates";
	case ENOMEM:
		return "free memory on the host";
	case ENOSPC:
		return "the container has no room for more mappings: raise dma_entry_limit of "
		       "vfio_iommu_type1";
	case EFAULT:
		return "the memory behind it cannot be pinned";
	case EEXIST:
	case EADDRINUSE:
		return "something else is mapped there";
	default:
		return "the host's kernel log may say why";
	}
}

static int map_failed(const struct iommu *io, const struct iommu_mapping *m, uint64_t total,
		      int code, struct err *err)
{
	struct rlimit limit = { RLIM_INFINITY, 0 };
	char locked[512] = "";

	if (code == ENOMEM && getrlimit(RLIMIT_MEMLOCK, &limit) == 0 &&
	    limit.rlim_cur != RLIM_INFINITY)
		snprintf(locked, sizeof(locked),
			 ", or raise the limit of locked memory: devices need %" PRIu64
			 " KiB and this user may lock %" PRIu64 " KiB%s: `ulimit -l %" PRIu64
			 "`, memlock in /etc/security/limits.conf, or LimitMEMLOCK= of the systemd "
			 "unit",
			 total / KIB, (uint64_t)limit.rlim_cur / KIB,
			 io->ops == iommu_iommufd_ops() ? ", for all of the user's guests together"
							: "",
			 total / KIB);
	return err_set(err, code,
		       "%s: mapping IOVA [%#" PRIx64 ", %#" PRIx64 "), %" PRIu64
		       " MiB at host address %p, for devices failed: %s; %s%s",
		       m->owner, m->iova.base, m->iova.end, span_size(m->iova) / MIB, m->hva,
		       strerror(code), advice(code), locked);
}

/*
 * The size of pieces: larger than PIECE only if there is no room for so many. Half of the room is
 * left for BARs.
 */
static int choose_piece(const struct iommu *io, const struct iommu_mapping *list, size_t n,
			uint64_t *piece, struct err *err)
{
	for (*piece = PIECE; *piece; *piece *= 2) {
		uint64_t pieces = 0;

		for (size_t i = 0; i < n; i++)
			pieces += span_size(list[i].iova) / *piece + 2; /* at most */
		if (!io->most_maps || pieces <= io->most_maps / 2)
			return 0;
	}
	return err_set(err, ENOSPC,
		       "the container has room for %" PRIu64
		       " mappings, too few for %zu spans of RAM: "
		       "raise dma_entry_limit of vfio_iommu_type1",
		       io->most_maps, n);
}

static struct iommu_mapping piece_of(const struct iommu_mapping *m, uint64_t base, uint64_t size)
{
	struct iommu_mapping piece = *m;
	uint64_t skip = base - m->iova.base;

	/* Pieces end on multiples of their size, so that large pages line up. */
	piece.iova.base = base;
	piece.iova.end = min_u64(m->iova.end, align_down(base, size) + size);
	piece.hva = (uint8_t *)m->hva + skip;
	return piece;
}

static int await_ready(const struct iommu_progress *p, const struct iommu_mapping *m,
		       struct err *err)
{
	const uintptr_t at = (uintptr_t)m->hva;

	if (!p || !p->ready)
		return 0;
	return p->ready(p->to, (struct span){ at, at + span_size(m->iova) }, err);
}

/* *mapped is the part of m->iova that is mapped, also on failure. */
static int map_span(struct iommu *io, const struct iommu_mapping *m, struct span *mapped,
		    struct iommu_ram *r, struct err *err)
{
	const struct iommu_progress *p = r->progress;

	*mapped = (struct span){ m->iova.base, m->iova.base };
	while (mapped->end < m->iova.end) {
		struct iommu_mapping piece = piece_of(m, mapped->end, r->piece);
		int ret;

		if (p && p->stop && p->stop(p->to))
			return err_set(err, EINTR, "interrupted while RAM was mapped for devices");
		ret = await_ready(p, &piece, err);
		if (ret < 0)
			return ret;
		ret = io->ops->map(io, &piece);
		if (ret < 0)
			return map_failed(io, &piece, io->mapped + r->total - r->done, -ret, err);
		mapped->end = piece.iova.end;
		io->mapped += span_size(piece.iova);
		r->done += span_size(piece.iova);
		if (p && p->done)
			p->done(p->to, r->done, r->total);
	}
	return 0;
}

int iommu_check_ram(const struct iommu *io, const struct iommu_mapping *list, size_t n,
		    struct iommu_ram *r, struct err *err)
{
	uint64_t piece, total = 0;
	int ret;

	if (io->no_iommu)
		return 0;
	for (size_t i = 0; i < n; i++) {
		ret = check_usable(io, &list[i], err);
		if (ret < 0)
			return ret;
		total += span_size(list[i].iova);
	}
	ret = choose_piece(io, list, n, &piece, err);
	if (ret < 0)
		return ret;
	r->piece = piece;
	r->total = total;
	return 0;
}

int iommu_map_ram(struct iommu *io, const struct iommu_mapping *list, size_t n, struct iommu_ram *r,
		  struct err *err)
{
	struct iommu_mapping part = { .hva = NULL };
	size_t i;
	int ret;

	if (io->no_iommu)
		return 0;
	raise_memlock();
	for (i = 0; i < n; i++) {
		ret = map_span(io, &list[i], &part.iova, r, err);
		if (ret < 0)
			goto fail;
	}
	return 0;

fail:
	iommu_unmap_ram(io, &part, 1, r);
	iommu_unmap_ram(io, list, i, r);
	return ret;
}

void iommu_unmap_ram(struct iommu *io, const struct iommu_mapping *list, size_t n,
		     struct iommu_ram *r)
{
	if (io->no_iommu)
		return;
	while (n-- > 0) {
		iommu_unmap(io, list[n].iova);
		r->done -= span_size(list[n].iova);
	}
}

void iommu_unmap(struct iommu *io, struct span iova)
{
	if (span_empty(iova) || io->no_iommu)
		return;
	if (io->ops->unmap(io, iova) == 0)
		io->mapped -= span_size(iova);
}

/*
 * Whether a failure says nothing of other BARs: the guest put this one over something else, or its
 * device cannot share it (drivers/vfio/pci/vfio_pci_dmabuf.c), or not now, as while it is reset.
 */
static bool is_of_this_bar(int ret, const struct iommu_mapping *m)
{
	return ret == -EEXIST || ret == -EADDRINUSE || ret == -ENODEV || ret == -ENOMEM ||
	       (ret == -EOPNOTSUPP && m->region);
}

int iommu_map_bar(struct iommu *io, const struct iommu_mapping *m, struct err *err)
{
	int ret;

	err->text[0] = '\0';
	if (io->no_p2p || io->no_iommu)
		return 0;
	if (check_usable(io, m, err) < 0) { /* its sentence is about RAM */
		err_set(err, ERANGE,
			"%s is not reachable for other devices: the IOMMU cannot map [%#" PRIx64
			", %#" PRIx64 "), where the guest put it",
			m->owner, m->iova.base, m->iova.end);
		return 0;
	}
	ret = io->ops->map(io, m);
	if (ret == 0) {
		io->mapped += span_size(m->iova);
		return 1;
	}
	io->no_p2p = !is_of_this_bar(ret, m);
	err_set(err, -ret,
		"%s is not reachable for other devices: the host's kernel does not map device "
		"memory through %s (%s)",
		m->owner, io->ops->name, strerror(-ret));
	return 0;
}
