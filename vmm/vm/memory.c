#include "vmm/vm/memory.h"

#include "vmm/host/cpus.h"
#include "vmm/host/room.h"

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

/* Several nodes of the guest may be on one of the host. */
static void need_node(struct room_need *need, unsigned node, uint64_t bytes)
{
	unsigned i = 0;

	while (i < need->nr_parts && need->parts[i].node != node)
		i++;
	if (i == need->nr_parts)
		need->parts[need->nr_parts++] = (struct room_part){ node, 0 };
	need->parts[i].bytes += bytes;
}

int vm_memory_judge(const struct config *config, const struct plan *plan, struct err *err)
{
	uint64_t ram = plan ? plan->ram_size : config->memory;
	uint64_t page_size = plan ? plan->page_size : config->page_size;
	struct room_need need = {
		.ram = ram,
		.behind = config->fold ? config->fold : ram,
		.page_size = page_size,
		.transparent = config->huge_or_fail && page_size == 4 * KIB,
		.in_file = page_size != 4 * KIB || config->fold || config_shares_ram(config),
		.pinned = config_pins_ram(config),
		.locked = config_locks_ram(config),
		.touched = config_prefaults(config),
		.overcommit = config->overcommit,
	};
	struct room room;

	for (unsigned i = 0; plan && i < plan->nr_nodes; i++)
		if (plan->nodes[i].bound)
			need_node(&need, plan->nodes[i].host, plan->nodes[i].size);
	for (unsigned i = 0; !plan && i < config->nr_nodes; i++)
		if (config->nodes[i].bound)
			need_node(&need, config->nodes[i].host, config->nodes[i].size);
	room_probe("", &need, &room);
	return room_judge(&room, &need, err);
}

/* The first touch chooses the node, and nothing has touched RAM so far. */
static int bind_ram(struct ram *ram, const struct plan *plan, struct err *err)
{
	struct plan_bound planned[PLAN_LIST_MAX];
	struct ram_bound bound[PLAN_LIST_MAX];
	size_t n = plan_bound_ram(plan, planned, PLAN_LIST_MAX);

	for (size_t i = 0; i < n; i++)
		bound[i] = (struct ram_bound){ planned[i].at, planned[i].host };
	return ram_bind(ram, bound, n, err);
}

/* After its return no page of RAM has been touched yet. */
static int make_ram(struct vm_memory *m, const struct plan *plan, const struct config *config,
		    struct err *err)
{
	const struct ram_backing backing = {
		.page_size = plan->page_size,
		.fold = config->fold,
		.shared = config_shares_ram(config),
		.locked = config_locks_ram(config),
	};
	struct span spans[PLAN_LIST_MAX];
	size_t n = plan_ram(plan, spans, PLAN_LIST_MAX);
	int ret = 0;

	if (config_prefaults(config))
		ret = prefault_open(&m->prefault, cpus_usable(""), err);
	if (ret < 0)
		return ret;
	ret = ram_create(&m->ram, spans, n, &backing, err);
	return ret < 0 ? ret : bind_ram(&m->ram, plan, err);
}

int vm_memory_open(struct vm_memory *m, const struct plan *plan, const struct config *config,
		   const struct virtio_backends *backends, struct err *err)
{
	int ret = make_ram(m, plan, config, err);

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
	ret = virtio_listen(backends, &m->guest, err);
	if (ret < 0 || !m->prefault)
		return ret;
	if (config->prefault == PREFAULT_BACKGROUND)
		prefault_yield(m->prefault);
	return prefault_begin(m->prefault, &m->ram, err);
}

int vm_memory_await(struct vm_memory *m, struct span at, const struct prefault_watch *watch,
		    struct err *err)
{
	return m->prefault ? prefault_await(m->prefault, at, watch, err) : 0;
}

void vm_memory_settle(struct vm_memory *m)
{
	prefault_close(m->prefault);
	m->prefault = NULL;
}

void vm_memory_stop(struct vm_memory *m)
{
	if (m->prefault)
		prefault_stop(m->prefault);
}

void vm_memory_reset(struct vm_memory *m, bool kept)
{
	if (kept)
		m->ram.fresh = false;
	else
		ram_clear(&m->ram);
}

void vm_memory_end(struct vm_memory *m)
{
	vm_memory_settle(m);
	while (m->guest.last)
		guest_memory_forget(&m->guest, m->guest.last);
}

void vm_memory_close(struct vm_memory *m)
{
	guest_memory_init(&m->guest);
	ram_destroy(&m->ram);
}
