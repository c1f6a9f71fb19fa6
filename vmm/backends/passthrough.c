#include "vmm/backends/passthrough.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The bits of config_vfio.caps are those of enum vfio_caps; the two rooms do not see each other. */
static_assert(VFIO_CAP_SRIOV == 1 << 0 && VFIO_CAP_ARI == 1 << 1 && VFIO_CAP_REBAR == 1 << 2 &&
		      VFIO_CAP_ATS == 1 << 3 && VFIO_CAP_PRI == 1 << 4 && VFIO_CAP_PASID == 1 << 5,
	      "config_vfio_caps[]");
static_assert(IOMMU_AUTO == (int)VFIO_AUTO && IOMMU_TYPE1 == (int)VFIO_TYPE1 &&
		      IOMMU_IOMMUFD == (int)VFIO_IOMMUFD,
	      "enum vfio_backend");

/* The device of the i-th --vfio; ids before it are known. */
static int passthrough_find_one(const struct config *c, unsigned i, struct vfio_id *ids,
				struct host_facts *facts, struct err *err)
{
	int ret = sysfs_find("", c->vfio[i].name, &ids[i], err);

	if (ret < 0)
		return ret;
	for (unsigned j = 0; j < i; j++)
		if (!strcmp(ids[i].path, ids[j].path))
			return err_set(err, EINVAL, "%s is named twice", ids[i].name);
	return sysfs_probe("", &ids[i], facts, err);
}

static int passthrough_find(const struct config *c, struct vfio_id *ids, struct host_facts *facts,
			    struct err *err)
{
	for (unsigned i = 0; i < c->nr_vfio; i++) {
		int ret = passthrough_find_one(c, i, ids, facts, err);

		if (ret < 0)
			return err_prefix(err, ret, "--vfio %s: ", c->vfio[i].name);
	}
	return 0;
}

int passthrough_probe(const struct config *c, struct host_facts *facts, struct err *err)
{
	struct vfio_id ids[PCI_DEVICES_MAX];

	return passthrough_find(c, ids, facts, err);
}

/* --- opening --- */

static int check_no_iommu(const struct config *c, const struct vfio_id *ids, struct err *err)
{
	for (unsigned i = 0; i < c->nr_vfio; i++) {
		if (ids[i].no_iommu && !c->vfio[i].no_iommu)
			return err_set(
				err, EPERM,
				"--vfio %s: the device's group has no IOMMU, so the guest could "
				"read and write all of the host's memory through it; add "
				"noiommu=on to accept that",
				c->vfio[i].name);
		if (!ids[i].no_iommu && c->vfio[i].no_iommu)
			return err_set(err, EINVAL,
				       "--vfio %s: noiommu=on, but the device has an IOMMU; leave "
				       "noiommu=on out",
				       c->vfio[i].name);
	}
	return 0;
}

/* Takes `fd`. */
static int passthrough_open_device(struct passthrough *pt, const struct config_vfio *c, unsigned i,
				   int fd, struct host_facts *facts, struct err *err)
{
	const struct vfio_pci_options options = {
		.caps = c->caps,
		.rom = !c->no_rom,
		.rom_file = c->rom_file,
		.no_map = c->no_map,
		.no_p2p = c->no_p2p,
		.error_continues = c->error_continues,
	};
	int ret = vfio_pci_open(&pt->devices[i], fd, pt->ids[i].name, &options, err);

	if (ret < 0)
		return err_prefix(err, ret, "--vfio %s: ", c->name);
	pt->n = i + 1;
	vfio_pci_shape(pt->devices[i], &facts->pci[i]);
	return 0;
}

/* Memory that other devices may want to reach: that of GPUs, adapters, drives with a buffer. */
#define PEER_BAR MIB

/* Whether two devices or more have BARs that are worth mapping for the other ones. */
static bool wants_p2p(const struct config *c, const struct host_facts *facts)
{
	unsigned n = 0;

	for (unsigned i = 0; i < c->nr_vfio; i++) {
		const struct host_pci *pci = &facts->pci[i];
		bool worth = false;

		for (unsigned b = 0; b < BARS; b++)
			worth |= !pci->bars[b].io && pci->bars[b].size >= PEER_BAR;
		n += worth && !c->vfio[i].no_map && !c->vfio[i].no_p2p;
	}
	return n > 1;
}

/* files[i] are the devices' descriptors: the caller's on success, closed on failure. */
static int attach_all(struct passthrough *pt, const struct config *c,
		      const struct host_facts *facts, int *files, struct err *err)
{
	enum iommu_backend backend = (enum iommu_backend)c->vfio_backend;
	const char *tokens[PCI_DEVICES_MAX];
	size_t failed = 0;
	int ret;

	for (unsigned i = 0; i < c->nr_vfio; i++) {
		ret = sysfs_group_viable("", &pt->ids[i], err);
		if (ret < 0)
			return err_prefix(err, ret, "--vfio %s: ", c->vfio[i].name);
		tokens[i] = c->vfio[i].token;
		/* iommufd takes no VF token (before Linux 6.17). */
		if (tokens[i] && backend == IOMMU_AUTO)
			backend = IOMMU_TYPE1;
	}
	ret = iommu_open(&pt->iommu, backend, pt->ids, c->nr_vfio, c->vfio[0].no_iommu, err);
	if (ret < 0)
		return ret;
	pt->iommu.wants_p2p = wants_p2p(c, facts);
	ret = iommu_attach_all(&pt->iommu, pt->ids, tokens, c->nr_vfio, files, &failed, err);
	return ret < 0 ? err_prefix(err, ret, "--vfio %s: ", c->vfio[failed].name) : 0;
}

/* Takes all of `files`. */
static int passthrough_open_devices(struct passthrough *pt, const struct config *c,
				    const int *files, struct host_facts *facts, struct err *err)
{
	unsigned i = 0;
	int ret = 0;

	while (i < c->nr_vfio && ret == 0) {
		ret = passthrough_open_device(pt, &c->vfio[i], i, files[i], facts, err);
		i++;
	}
	while (i < c->nr_vfio) /* after the one that failed */
		close(files[i++]);
	return ret;
}

int passthrough_open(struct passthrough *pt, const struct config *c, struct host_facts *facts,
		     struct err *err)
{
	int files[PCI_DEVICES_MAX];
	int ret;

	*pt = (struct passthrough)PASSTHROUGH_EMPTY;
	ret = passthrough_find(c, pt->ids, facts, err);
	if (ret < 0)
		goto fail;
	ret = check_no_iommu(c, pt->ids, err);
	if (ret < 0)
		goto fail;
	ret = attach_all(pt, c, facts, files, err);
	if (ret < 0)
		goto fail;
	ret = passthrough_open_devices(pt, c, files, facts, err);
	if (ret < 0)
		goto fail;
	ret = iommu_ask_ranges(&pt->iommu, err);
	if (ret < 0)
		goto fail;
	for (size_t i = 0; i < pt->iommu.nr_usable; i++)
		facts->usable[facts->nr_usable++] = pt->iommu.usable[i];
	return 0;

fail:
	passthrough_close(pt);
	return ret;
}

void passthrough_remark(const struct passthrough *pt, void (*say)(void *to, const char *sentence),
			void *to)
{
	if (pt->iommu.fell_for_p2p)
		say(to, "--vfio-backend auto takes type1, because devices may want to reach each "
			"other's memory, and iommufd maps it from Linux 6.19 on (p2p=off for "
			"devices that need not, or --vfio-backend iommufd)");
}

/* --- mapping --- */

struct allowed {
	struct span spans[8 * PLAN_LIST_MAX];
	size_t n;
};

/* What of a window the IOMMU can translate: under --iova-policy off it may reach over a hole. */
static void allow(struct allowed *a, const struct iommu *io, struct span at)
{
	for (size_t i = 0; i < io->nr_usable; i++) {
		struct span part = span_common(at, io->usable[i]);

		if (!span_empty(part) && a->n < ARRAY_SIZE(a->spans))
			a->spans[a->n++] = part;
	}
}

/*
 * RAM, and what may become reachable later: hotplugged RAM, BARs. From now on a device that is
 * attached and cannot reach all of it is refused, and cannot take it away from the others.
 */
static int allow_plan(struct passthrough *pt, const struct plan *plan, struct err *err)
{
	struct allowed a = { .n = 0 };

	if (!pt->iommu.ops->allow)
		return 0;
	for (unsigned i = 0; i < plan->map.nr_regions; i++) {
		const struct map_region *r = &plan->map.regions[i];

		if (map_is_reached(r->kind))
			allow(&a, &pt->iommu, r->at);
	}
	return pt->iommu.ops->allow(&pt->iommu, a.spans, a.n, err);
}

/* What of a block of RAM devices may reach. */
static struct iommu_mapping mapping_of(const struct ram_block *b, struct span dma)
{
	struct span at = span_common(b->gpa, dma);

	return (struct iommu_mapping){
		.iova = at,
		.hva = (uint8_t *)b->hva + (at.base - b->gpa.base),
		.owner = "RAM",
	};
}

/*
 * What of `blocks` devices may reach, in *list, which the caller frees: nothing of a file, because
 * the plan allows DMA to RAM alone.
 */
static int list_mappings(const struct passthrough *pt, const struct ram_block *blocks, size_t n,
			 struct iommu_mapping **list, size_t *len, struct err *err)
{
	struct span dma[PLAN_LIST_MAX];
	size_t nr_dma = plan_dma(pt->plan, dma, PLAN_LIST_MAX);

	*len = 0;
	*list = calloc(n + nr_dma, sizeof(**list));
	if (!*list)
		return err_sys(err, ENOMEM, "out of memory for a list of %zu spans of RAM", n);
	for (size_t i = 0; i < n; i++)
		for (size_t j = 0; j < nr_dma; j++)
			if (span_overlaps(blocks[i].gpa, dma[j]))
				(*list)[(*len)++] = mapping_of(&blocks[i], dma[j]);
	return 0;
}

static int passthrough_check_memory(void *to, const struct guest_ram *all, struct err *err)
{
	struct passthrough *pt = to;
	struct iommu_mapping *list;
	size_t n;
	int ret = list_mappings(pt, all->blocks, all->n, &list, &n, err);
	if (ret < 0)
		return ret;
	ret = iommu_check_ram(&pt->iommu, list, n, &pt->mapping, err);
	free(list);
	return ret;
}

static int passthrough_add_memory(void *to, const struct guest_ram *all,
				  const struct ram_block *block, struct err *err)
{
	struct passthrough *pt = to;
	struct iommu_mapping *list;
	size_t n;
	int ret = list_mappings(pt, block, 1, &list, &n, err);

	(void)all;
	if (ret < 0)
		return ret;
	ret = iommu_map_ram(&pt->iommu, list, n, &pt->mapping, err);
	free(list);
	return ret;
}

/* Needs no memory, because it cannot fail. */
static void passthrough_remove_memory(void *to, const struct guest_ram *all,
				      const struct ram_block *block)
{
	struct passthrough *pt = to;
	struct span dma[PLAN_LIST_MAX];
	size_t n = plan_dma(pt->plan, dma, PLAN_LIST_MAX);

	(void)all;
	while (n-- > 0) {
		struct iommu_mapping m = mapping_of(block, dma[n]);

		if (!span_empty(m.iova))
			iommu_unmap_ram(&pt->iommu, &m, 1, &pt->mapping);
	}
}

static const struct guest_memory_listener_ops passthrough_memory_ops = {
	.rank = GUEST_MEMORY_IOMMU,
	.check = passthrough_check_memory,
	.add = passthrough_add_memory,
	.remove = passthrough_remove_memory,
};

int passthrough_prepare(struct passthrough *pt, const struct guest_memory *m,
			const struct plan *plan, struct err *err)
{
	pt->plan = plan;
	pt->mapping = (struct iommu_ram){ .progress = NULL };
	pt->listener = (struct guest_memory_listener){ .ops = &passthrough_memory_ops, .to = pt };
	pt->absent = true;
	return passthrough_check_memory(pt, &m->all, err);
}

int passthrough_map(struct passthrough *pt, const struct guest_memory *m,
		    const struct iommu_progress *progress, struct err *err)
{
	int ret;

	pt->mapping.progress = progress;
	ret = guest_memory_tell(m, &pt->listener, err);
	pt->mapping.progress = NULL;
	if (ret < 0)
		return ret;
	ret = allow_plan(pt, pt->plan, err);
	if (ret < 0)
		guest_memory_untell(m, &pt->listener);
	return ret;
}

void passthrough_join(struct passthrough *pt, struct guest_memory *m)
{
	guest_memory_join(m, &pt->listener);
	pt->absent = false;
}

int passthrough_reset(struct passthrough *pt, struct err *err)
{
	struct vfio_pci *there[PCI_DEVICES_MAX];
	size_t n = 0;

	for (unsigned i = 0; i < pt->n; i++)
		if (pt->devices[i])
			there[n++] = pt->devices[i];
	return vfio_pci_reset_all(there, n, &pt->iommu, err);
}

bool passthrough_is_empty(const struct passthrough *pt)
{
	for (unsigned i = 0; i < pt->n; i++)
		if (pt->devices[i])
			return false;
	return true;
}

void passthrough_drop(struct passthrough *pt, unsigned i)
{
	vfio_pci_give_back(pt->devices[i]);
	pt->gone[i] = pt->devices[i];
	__atomic_store_n(&pt->devices[i], NULL, __ATOMIC_RELEASE); /* vCPUs may look */
}

int passthrough_empty_group(const struct passthrough *pt, unsigned i)
{
	for (unsigned j = 0; j < pt->n; j++)
		if (pt->devices[j] && pt->ids[j].group == pt->ids[i].group)
			return -1;
	return iommu_group_file(&pt->iommu, pt->ids[i].group);
}

void passthrough_leave(struct passthrough *pt, unsigned i)
{
	pthread_mutex_lock(&pt->iommu.lock);
	iommu_leave(&pt->iommu, pt->ids[i].group);
	pthread_mutex_unlock(&pt->iommu.lock);
}

void passthrough_close(struct passthrough *pt)
{
	for (unsigned i = 0; i < pt->n; i++) {
		if (pt->devices[i])
			vfio_pci_close(pt->devices[i]);
		if (pt->gone[i])
			vfio_pci_close(pt->gone[i]);
		pt->devices[i] = pt->gone[i] = NULL;
	}
	pt->n = 0;
	iommu_close(&pt->iommu);
}
