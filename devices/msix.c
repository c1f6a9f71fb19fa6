#include "devices/msix.h"

#include "vmm/base/bytes.h"

#include <poll.h>
#include <string.h>
#include <unistd.h>

#define CAP_ID	      0x11
#define CAP_SIZE      12
#define CONTROL	      2
#define ENABLE	      0x8000
#define MASK_ALL      0x4000
#define ENTRY_CONTROL 12
#define ENTRY_MASKED  1

void msix_init(struct msix *m, const struct pci_env *env, const int *fds, unsigned n)
{
	memset(m, 0, sizeof(*m));
	pthread_mutex_init(&m->lock, NULL);
	m->env = env;
	m->n = (unsigned)min_u64(n, MSIX_VECTORS_MAX);
	for (unsigned i = 0; i < m->n; i++) {
		m->vectors[i] = (struct msix_vector){ .fd = fds[i], .route = -1 };
		m->state.table[i * MSIX_ENTRY + ENTRY_CONTROL] = ENTRY_MASKED;
	}
}

unsigned msix_add_cap(const struct msix *m, struct pci_config *c, unsigned bar, uint32_t table,
		      uint32_t pending)
{
	unsigned cap = pci_config_add_cap(c, CAP_ID, CAP_SIZE);

	pci_config_set(c, cap + CONTROL, 2, m->n - 1);
	pci_config_allow(c, cap + CONTROL, 2, ENABLE | MASK_ALL);
	pci_config_set(c, cap + 4, 4, table | bar);
	pci_config_set(c, cap + 8, 4, pending | bar);
	return cap;
}

static void close_vector(struct msix *m, struct msix_vector *v)
{
	if (v->route >= 0)
		m->env->unroute(m->env->to, v->route, v->fd);
	v->route = -1;
}

/*
 * Adds, moves or removes the routes of vectors `first` to `end` - 1 as their table entries and the
 * control register say. What could not be had is tried again at the next change.
 */
static void follow(struct msix *m, unsigned first, unsigned end)
{
	struct msi_route list[MSIX_VECTORS_MAX];
	unsigned vectors[MSIX_VECTORS_MAX], n = 0;
	struct err err = { "" };

	for (unsigned i = first; i < end; i++) {
		const uint8_t *entry = m->state.table + (size_t)i * MSIX_ENTRY;
		const struct msi_route wanted = {
			.fd = m->vectors[i].fd,
			.handle = m->vectors[i].route,
			.address = load_le(entry, 8),
			.data = (uint32_t)load_le(entry + 8, 4),
		};
		struct msix_vector *v = &m->vectors[i];

		if (!m->enabled || (entry[ENTRY_CONTROL] & ENTRY_MASKED)) {
			close_vector(m, v);
		} else if (v->route < 0 || v->address != wanted.address || v->data != wanted.data) {
			vectors[n] = i;
			list[n++] = wanted;
		}
	}
	if (!n)
		return;
	if (m->env->route(m->env->to, list, n, &err) < 0)
		m->env->say(m->env->to, err.text);
	for (unsigned i = 0; i < n; i++) {
		struct msix_vector *v = &m->vectors[vectors[i]];

		v->route = list[i].handle;
		v->address = list[i].address;
		v->data = list[i].data;
	}
}

void msix_update(struct msix *m, const struct pci_config *c, unsigned cap)
{
	uint32_t control = pci_config_get(c, cap + CONTROL, 2);
	bool enabled = (control & (ENABLE | MASK_ALL)) == ENABLE;

	pthread_mutex_lock(&m->lock);
	if (enabled != m->enabled) {
		m->enabled = enabled;
		follow(m, 0, m->n);
	}
	pthread_mutex_unlock(&m->lock);
}

uint64_t msix_table_read(struct msix *m, uint64_t offset, unsigned size)
{
	uint64_t value = 0;

	pthread_mutex_lock(&m->lock);
	if (span_holds((struct span){ 0, (uint64_t)m->n * MSIX_ENTRY }, offset, size))
		value = load_le(m->state.table + offset, size);
	pthread_mutex_unlock(&m->lock);
	return value;
}

/* The specification allows only aligned accesses of 4 and 8 bytes; others are dropped. */
void msix_table_write(struct msix *m, uint64_t offset, unsigned size, uint64_t value)
{
	if (size < 4 || offset % size ||
	    !span_holds((struct span){ 0, (uint64_t)m->n * MSIX_ENTRY }, offset, size))
		return;
	pthread_mutex_lock(&m->lock);
	store_le(m->state.table + offset, value, size);
	follow(m, (unsigned)(offset / MSIX_ENTRY), (unsigned)(offset / MSIX_ENTRY) + 1);
	pthread_mutex_unlock(&m->lock);
}

uint64_t msix_pending_read(struct msix *m, uint64_t offset, unsigned size)
{
	uint64_t pending = 0;

	pthread_mutex_lock(&m->lock);
	for (unsigned i = 0; i < m->n; i++) {
		struct pollfd p = { m->vectors[i].fd, POLLIN, 0 };

		if (m->vectors[i].route < 0 && poll(&p, 1, 0) == 1)
			pending |= UINT64_C(1) << i;
	}
	pthread_mutex_unlock(&m->lock);
	if (offset >= 8)
		return 0;
	pending >>= 8 * offset;
	return size == 8 ? pending : pending & ((UINT64_C(1) << 8 * size) - 1);
}

void msix_raise(const struct msix *m, unsigned vector)
{
	uint64_t one = 1;
	ssize_t n;

	if (vector >= m->n)
		return;
	n = write(m->vectors[vector].fd, &one, sizeof(one));
	(void)n; /* cannot fail: to fill the counter would take 2^64 - 2 interrupts */
}

void msix_stop(struct msix *m)
{
	pthread_mutex_lock(&m->lock);
	m->enabled = false;
	follow(m, 0, m->n);
	pthread_mutex_unlock(&m->lock);
}
