/* Requests of --control and of the terminal to a running machine, on the loop's thread. */
#include "vmm/base/quote.h"
#include "vmm/machine/machine.h"
#include "vmm/machine/virtio/balloon.h"

#include <errno.h>

static struct virtio_slot *find_balloon(struct machine *m, struct err *err)
{
	struct virtio_slot *balloon = machine_virtio_find(&m->virtio, DEVICE_BALLOON);

	if (!balloon)
		err_set(err, ENODEV, "this guest has no balloon; start it with --balloon 0");
	return balloon;
}

int machine_balloon(struct machine *m, uint64_t size, struct err *err)
{
	struct virtio_slot *balloon = find_balloon(m, err);

	if (!balloon)
		return -ENODEV;
	if (size >= m->parts.plan->ram_size)
		return err_set(
			err, ERANGE,
			"a balloon of %s would leave nothing of the guest's %s of RAM; use less",
			QUOTED_SIZE(size), QUOTED_SIZE(m->parts.plan->ram_size));
	balloon_set(balloon, size);
	return 0;
}

uint64_t machine_balloon_actual(struct machine *m)
{
	struct virtio_slot *balloon = machine_virtio_find(&m->virtio, DEVICE_BALLOON);

	return balloon ? balloon_actual(balloon) : 0;
}

int machine_ask_memory(struct machine *m, struct err *err)
{
	struct virtio_slot *balloon = find_balloon(m, err);

	if (!balloon)
		return -ENODEV;
	if (!balloon_ask(balloon))
		return err_set(err, EAGAIN,
			       "the guest's balloon driver offers no statistics now; try again");
	return 0;
}

int machine_resize_disk(struct machine *m, const char *name, struct err *err)
{
	return machine_virtio_resize(&m->virtio, DEVICE_DISK, name, err);
}

void machine_resize_console(struct machine *m)
{
	struct err none; /* the caller need not want a sentence */

	(void)machine_virtio_resize(&m->virtio, DEVICE_CONSOLE, NULL, &none);
}
