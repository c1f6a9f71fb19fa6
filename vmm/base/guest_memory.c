#include "vmm/base/guest_memory.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

void guest_memory_init(struct guest_memory *m)
{
	m->all = (struct guest_ram){ m->blocks, 0 };
	m->first = m->last = NULL;
}

/* --- the list --- */

/* The index at which `gpa` belongs: that of the first block that begins behind its base. */
static size_t place_of(const struct guest_memory *m, struct span gpa)
{
	size_t i = 0;

	while (i < m->all.n && m->blocks[i].gpa.base < gpa.base)
		i++;
	return i;
}

static int guest_memory_check(const struct guest_memory *m, struct span gpa, size_t place,
			      struct err *err)
{
	const struct ram_block *there = NULL;

	if (span_empty(gpa))
		return err_set(err, EINVAL, "guest memory at %#" PRIx64 " has no bytes", gpa.base);
	if (place && m->blocks[place - 1].gpa.end > gpa.base)
		there = &m->blocks[place - 1];
	else if (place < m->all.n && m->blocks[place].gpa.base < gpa.end)
		there = &m->blocks[place];
	if (there)
		return err_set(err, EEXIST,
			       "guest memory at [%#" PRIx64 ", %#" PRIx64 ") lies over what is "
			       "there already: [%#" PRIx64 ", %#" PRIx64 ")",
			       gpa.base, gpa.end, there->gpa.base, there->gpa.end);
	if (m->all.n == MEMORY_BLOCKS_MAX)
		return err_set(err, E2BIG,
			       "guest memory is in more than %u blocks: reserve fewer ranges, or "
			       "use fewer files of --pmem",
			       MEMORY_BLOCKS_MAX);
	return 0;
}

static void guest_memory_insert(struct guest_memory *m, size_t place, const struct ram_block *block)
{
	memmove(&m->blocks[place + 1], &m->blocks[place],
		(m->all.n - place) * sizeof(m->blocks[0]));
	m->blocks[place] = *block;
	m->all.n++;
}

static void guest_memory_cut(struct guest_memory *m, size_t place)
{
	m->all.n--;
	memmove(&m->blocks[place], &m->blocks[place + 1],
		(m->all.n - place) * sizeof(m->blocks[0]));
}

/* --- blocks that come and go --- */

/* Tells the listeners from `l` back to the first that the block is removed. */
static void tell_gone(const struct guest_memory *m, struct guest_memory_listener *l,
		      const struct ram_block *block)
{
	for (; l; l = l->before)
		l->ops->remove(l->to, &m->all, block);
}

int guest_memory_add(struct guest_memory *m, const struct ram_block *block, struct err *err)
{
	const struct ram_block added = *block; /* it may be in the list, which moves */
	size_t place = place_of(m, added.gpa);
	struct guest_memory_listener *l;
	int ret = guest_memory_check(m, added.gpa, place, err);

	if (ret < 0)
		return ret;
	guest_memory_insert(m, place, &added);
	for (l = m->first; l; l = l->after) {
		ret = l->ops->check ? l->ops->check(l->to, &m->all, err) : 0;
		if (ret < 0) {
			guest_memory_cut(m, place);
			return ret;
		}
	}
	for (l = m->first; l; l = l->after) {
		ret = l->ops->add(l->to, &m->all, &m->blocks[place], err);
		if (ret < 0)
			goto fail;
	}
	return 0;

fail:
	guest_memory_cut(m, place);
	tell_gone(m, l->before, &added);
	return ret;
}

void guest_memory_remove(struct guest_memory *m, struct span gpa)
{
	size_t place = place_of(m, gpa);
	struct ram_block gone;

	if (place == m->all.n || m->blocks[place].gpa.base != gpa.base ||
	    m->blocks[place].gpa.end != gpa.end)
		return;
	gone = m->blocks[place];
	guest_memory_cut(m, place);
	tell_gone(m, m->last, &gone);
}

/* --- listeners that come and go --- */

static void link_listener(struct guest_memory *m, struct guest_memory_listener *l)
{
	l->before = m->last;
	while (l->before && l->before->ops->rank > l->ops->rank)
		l->before = l->before->before;
	l->after = l->before ? l->before->after : m->first;
	*(l->before ? &l->before->after : &m->first) = l;
	*(l->after ? &l->after->before : &m->last) = l;
}

/* Tells the listener that the first `n` blocks are removed, the last of them first. */
static void tell_all_gone(const struct guest_memory *m, const struct guest_memory_listener *l,
			  size_t n)
{
	while (n-- > 0)
		l->ops->remove(l->to, &(struct guest_ram){ m->blocks, n }, &m->blocks[n]);
}

int guest_memory_tell(const struct guest_memory *m, const struct guest_memory_listener *l,
		      struct err *err)
{
	int ret = l->ops->check ? l->ops->check(l->to, &m->all, err) : 0;

	if (ret < 0)
		return ret;
	for (size_t i = 0; i < m->all.n; i++) {
		const struct guest_ram known = { m->blocks, i + 1 };

		ret = l->ops->add(l->to, &known, &m->blocks[i], err);
		if (ret < 0) {
			tell_all_gone(m, l, i);
			return ret;
		}
	}
	return 0;
}

void guest_memory_untell(const struct guest_memory *m, const struct guest_memory_listener *l)
{
	tell_all_gone(m, l, m->all.n);
}

void guest_memory_join(struct guest_memory *m, struct guest_memory_listener *l)
{
	link_listener(m, l);
}

int guest_memory_listen(struct guest_memory *m, struct guest_memory_listener *l, struct err *err)
{
	int ret = guest_memory_tell(m, l, err);

	if (ret == 0)
		guest_memory_join(m, l);
	return ret;
}

/* False: it did not listen. */
static bool unlink_listener(struct guest_memory *m, struct guest_memory_listener *l)
{
	struct guest_memory_listener *i = m->first;

	while (i && i != l)
		i = i->after;
	if (!i)
		return false;
	*(l->before ? &l->before->after : &m->first) = l->after;
	*(l->after ? &l->after->before : &m->last) = l->before;
	l->before = l->after = NULL;
	return true;
}

void guest_memory_unlisten(struct guest_memory *m, struct guest_memory_listener *l)
{
	if (unlink_listener(m, l))
		tell_all_gone(m, l, m->all.n);
}

void guest_memory_forget(struct guest_memory *m, struct guest_memory_listener *l)
{
	(void)unlink_listener(m, l);
}
