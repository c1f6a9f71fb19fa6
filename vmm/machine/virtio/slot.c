#include "vmm/machine/virtio/slot.h"

#include "vmm/base/platform.h"
#include "vmm/machine/virtio/serve.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

void *virtio_slot_own(struct virtio_slot *s, size_t size, struct err *err)
{
	s->own = calloc(1, size);
	if (!s->own)
		err_sys(err, ENOMEM, "out of memory for the virtio device %s", s->name);
	return s->own;
}

void virtio_slot_say(const struct virtio_slot *s, const char *what)
{
	char line[sizeof(struct err) + 64];

	snprintf(line, sizeof(line), "%s: %s", s->name, what);
	s->env->say(s->env->to, line);
}

/* --- one slot --- */

static int make_eventfds(struct virtio_slot *s, struct err *err)
{
	unsigned n = s->dev->nr_queues;

	for (unsigned i = 0; i <= n; i++) {
		s->vectors[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (s->vectors[i] < 0)
			return err_sys(err, errno, "cannot make an eventfd");
		if (i == n)
			break;
		s->kicks[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (s->kicks[i] < 0)
			return err_sys(err, errno, "cannot make an eventfd");
		s->queues[i] = (struct virtio_slot_queue){ s, i };
	}
	if (!s->dev->server.ops)
		return 0;
	s->error = s->dev->server_error = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return s->error < 0 ? err_sys(err, errno, "cannot make an eventfd") : 0;
}

static struct virtio_slot *new_slot(struct machine_virtio *m, struct virtio_backend *backend,
				    const char *name, struct err *err)
{
	struct virtio_slot *s = calloc(1, sizeof(*s));

	if (!s) {
		err_sys(err, ENOMEM, "out of memory for the virtio device %s", name);
		return NULL;
	}
	memset(s->kicks, -1, sizeof(s->kicks));
	memset(s->vectors, -1, sizeof(s->vectors));
	s->timer = s->error = -1;
	s->parts = &m->parts;
	s->backend = backend;
	s->ops = backend->ops;
	s->env = &m->parts.pci->env;
	s->loop = m->parts.loop;
	s->name = name;
	m->slots[m->nr_slots++] = s;
	return s;
}

static int slot_create(struct machine_virtio *m, const struct plan_pci *fn,
		       struct virtio_backend *backend, struct err *err)
{
	struct virtio_slot *s = new_slot(m, backend, fn->name, err);
	int ret;

	if (!s)
		return -ENOMEM;
	ret = s->ops->create(s, err);
	if (ret < 0)
		return ret;
	ret = make_eventfds(s, err);
	if (ret < 0)
		return ret;
	s->dev->name = s->name;
	virtio_pci_plug(&s->pci, s->dev, s->parts->guest_ram, s->env, s->kicks, s->vectors,
			fn->bars[0].at);
	ret = s->ops->serve ? s->ops->serve(s, err) : 0;
	if (ret < 0)
		return err_prefix(err, ret, "%s: ", fn->name);
	machine_pci_add(s->parts->pci, fn, &s->pci.fn);
	return 0;
}

static void close_all(const int *fds, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (fds[i] >= 0)
			close(fds[i]);
}

static void destroy_slot(struct virtio_slot *s)
{
	if (s->ops->stop)
		s->ops->stop(s);
	/* Workers end what is in flight, so they go after. */
	virtio_pci_unplug(&s->pci);
	virtio_serve_end(s);
	if (s->ops->forget)
		s->ops->forget(s);
	if (s->error >= 0)
		loop_forget(s->loop, s->error);
	if (s->timer >= 0)
		loop_forget(s->loop, s->timer);
	if (s->own && s->ops->destroy)
		s->ops->destroy(s);
	close_all(&s->error, 1);
	close_all(&s->timer, 1);
	close_all(s->kicks, ARRAY_SIZE(s->kicks));
	close_all(s->vectors, ARRAY_SIZE(s->vectors));
	free(s->own);
	free(s);
}

/* --- all of them --- */

int machine_virtio_create(struct machine_virtio *m, const struct machine_virtio_parts *parts,
			  struct err *err)
{
	int ret = 0;

	*m = (struct machine_virtio)MACHINE_VIRTIO_EMPTY;
	if (!parts->backends || !parts->backends->n)
		return 0;
	m->parts = *parts;
	m->slots = calloc(parts->backends->n, sizeof(struct virtio_slot *));
	if (!m->slots)
		return err_sys(err, ENOMEM, "out of memory for %u virtio devices",
			       parts->backends->n);
	for (unsigned i = 0; ret == 0 && i < parts->plan->nr_pci; i++) {
		const struct plan_pci *fn = &parts->plan->pci[i];
		struct virtio_backend *backend = virtio_backend_of(parts->backends, fn);

		if (backend)
			ret = slot_create(m, fn, backend, err);
	}
	if (ret < 0)
		machine_virtio_destroy(m);
	return ret;
}

void machine_virtio_begin(struct machine_virtio *m)
{
	for (unsigned i = 0; i < m->nr_slots; i++)
		if (m->slots[i]->ops->begin)
			m->slots[i]->ops->begin(m->slots[i]);
}

static struct virtio_slot *slot_find(const struct machine_virtio *m, enum device_kind kind,
				     const char *name)
{
	for (unsigned i = 0; i < m->nr_slots; i++)
		if (m->slots[i]->backend->kind->kind == kind &&
		    (!name || !strcmp(m->slots[i]->name, name)))
			return m->slots[i];
	return NULL;
}

struct virtio_slot *machine_virtio_find(const struct machine_virtio *m, enum device_kind kind)
{
	return slot_find(m, kind, NULL);
}

int machine_virtio_resize(struct machine_virtio *m, enum device_kind kind, const char *name,
			  struct err *err)
{
	struct virtio_slot *s = slot_find(m, kind, name);
	const char *what = device_kind_name(kind);

	if (!s && name)
		return err_set(err, ENODEV, "there is no %s %s; they are %s0 and so on", what, name,
			       what);
	if (!s)
		return err_set(err, ENODEV, "there is no %s", what);
	if (!s->ops->resize)
		return err_set(err, ENOTSUP, "the size of %s is fixed", s->name);
	return s->ops->resize(s, err);
}

uint64_t machine_virtio_work(const struct machine_virtio *m)
{
	uint64_t work = 0;

	for (unsigned i = 0; i < m->nr_slots; i++)
		work += virtio_work(m->slots[i]->dev);
	return work;
}

void machine_virtio_cancel_waits(struct machine_virtio *m)
{
	for (unsigned i = 0; i < m->nr_slots; i++) {
		struct virtio_slot *s = m->slots[i];

		s->ending = true;
		if (s->ops->cancel_waits)
			s->ops->cancel_waits(s);
	}
}

void machine_virtio_destroy(struct machine_virtio *m)
{
	for (unsigned i = 0; i < m->nr_slots; i++)
		destroy_slot(m->slots[i]);
	free(m->slots);
	*m = (struct machine_virtio)MACHINE_VIRTIO_EMPTY;
}
