#include "vmm/vm/ready.h"

static bool ready_stops(void *to)
{
	const struct ready *r = to;

	return r->stops(r->to);
}

static void ready_mapped(void *to, uint64_t bytes, uint64_t total)
{
	const struct ready *r = to;

	r->progress(r->to, true, bytes, total);
}

/* What is mapped comes after what is touched, so it is how far both are. */
static void ready_touched(void *to, uint64_t bytes, uint64_t total)
{
	struct ready *r = to;
	const struct passthrough *pt = r->passthrough;

	if (pt && pt->mapping.done)
		ready_mapped(r, pt->mapping.done, pt->mapping.total);
	else
		r->progress(r->to, false, bytes, total);
}

/* A piece of RAM is about to be pinned. */
static int await_piece(void *to, struct span hva, struct err *err)
{
	const struct ready *r = to;
	const struct prefault_watch watch = { ready_stops, ready_touched, to };

	return vm_memory_await(r->memory, hva, &watch, err);
}

int ready_wait(struct ready *r, struct err *err)
{
	const struct iommu_progress progress = { ready_mapped, ready_stops, await_piece, r };
	int ret = r->passthrough
			  ? passthrough_map(r->passthrough, &r->memory->guest, &progress, err)
			  : 0;

	return ret < 0 ? ret : await_piece(r, (struct span){ 0, UINT64_MAX }, err);
}
