#include "vmm/vm/memory.h"

#include <stdlib.h>
#include <string.h>

static int memory_by_address(const void *a, const void *b)
{
	const struct ram_block *x = a, *y = b;

	return x->gpa.base < y->gpa.base ? -1 : 1;
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

	if (ret < 0)
		return ret;
	n = m->ram.nr_blocks;
	memcpy(m->blocks, m->ram.blocks, n * sizeof(m->blocks[0]));
	n += virtio_memory(backends, m->blocks + n, PMEM_MAX);
	qsort(m->blocks, n, sizeof(m->blocks[0]), memory_by_address);
	m->all = (struct guest_ram){ m->blocks, n };
	return virtio_check_memory(backends, &m->all, err);
}

void vm_memory_reset(struct vm_memory *m, bool mapped)
{
	if (mapped)
		m->ram.fresh = false;
	else
		ram_clear(&m->ram);
}

void vm_memory_close(struct vm_memory *m)
{
	ram_destroy(&m->ram);
}
