#include "vmm/vm/memory.h"

#include <assert.h>

static_assert(PLAN_LIST_MAX + PMEM_MAX <= MEMORY_BLOCKS_MAX, "any plan's memory can be listed");

static int add_files(struct vm_memory *m, const struct virtio_backends *backends, struct err *err)
{
	struct ram_block files[PMEM_MAX];
	size_t n = virtio_memory(backends, files, PMEM_MAX);
	int ret = 0;

	for (size_t i = 0; ret == 0 && i < n; i++)
		ret = guest_memory_add(&m->guest, &files[i], err);
	return ret;
}

int vm_memory_open(struct vm_memory *m, const struct plan *plan, const struct config *config,
		   const struct virtio_backends *backends, struct err *err)
{
	const struct ram_backing backing = {
		.page_size = plan->page_size,
		.fold = config->fold,
		.shared = config_shares_ram(config),
	};
	struct span spans[PLAN_LIST_MAX];
	size_t n = plan_ram(plan, spans, PLAN_LIST_MAX);
	int ret = ram_create(&m->ram, spans, n, &backing, err);

	guest_memory_init(&m->guest);
	if (ret < 0)
		return ret;
	for (size_t i = 0; i < m->ram.nr_blocks; i++) {
		ret = guest_memory_add(&m->guest, &m->ram.blocks[i], err);
		if (ret < 0)
			return ret;
	}
	ret = add_files(m, backends, err);
	if (ret < 0)
		return ret;
	return virtio_listen(backends, &m->guest, err);
}

void vm_memory_reset(struct vm_memory *m, bool mapped)
{
	if (mapped)
		m->ram.fresh = false;
	else
		ram_clear(&m->ram);
}

void vm_memory_end(struct vm_memory *m)
{
	while (m->guest.last)
		guest_memory_forget(&m->guest, m->guest.last);
}

void vm_memory_close(struct vm_memory *m)
{
	guest_memory_init(&m->guest);
	ram_destroy(&m->ram);
}
