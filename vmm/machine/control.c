/*
 * What --control and the terminal ask of a running machine. A part of machine.c, in a file of its
 * own; on the loop's thread.
 */
#include "vmm/machine/machine.h"

#include <errno.h>
#include <inttypes.h>

static struct virtio_balloon *find_balloon(struct machine *m, struct err *err)
{
	struct virtio_balloon *b = machine_virtio_balloon(&m->virtio);

	if (!b)
		err_set(err, ENODEV, "this guest has no balloon; start it with --balloon 0");
	return b;
}

int machine_balloon(struct machine *m, uint64_t size, struct err *err)
{
	if (!find_balloon(m, err))
		return -ENODEV;
	if (size >= m->parts.plan->ram_size)
		return err_set(err, ERANGE,
			       "that would leave nothing of the guest's %" PRIu64 " MiB; use less",
			       m->parts.plan->ram_size / MIB);
	machine_virtio_set_balloon(&m->virtio, size);
	return 0;
}

uint64_t machine_balloon_actual(struct machine *m)
{
	struct virtio_balloon *b = machine_virtio_balloon(&m->virtio);

	return b ? virtio_balloon_actual(b) : 0;
}

int machine_ask_memory(struct machine *m, struct err *err)
{
	struct virtio_balloon *b = find_balloon(m, err);

	if (!b)
		return -ENODEV;
	if (!virtio_balloon_ask(b))
		return err_set(err, EAGAIN, "the guest's driver has no numbers now");
	return 0;
}

int machine_resize_disk(struct machine *m, const char *name, struct err *err)
{
	return machine_virtio_resize_disk(&m->virtio, name, err);
}

void machine_resize_console(struct machine *m)
{
	machine_virtio_resize(&m->virtio);
}
