/*
 * The virtio console: a line of characters (vmm/backends/line.h), on the main loop; room comes on
 * the line's writer.
 */
#include "devices/virtio_console.h"
#include "vmm/machine/virtio/serve.h"

#include <errno.h>

static struct console *line_of(const struct virtio_slot *s)
{
	return s->parts->console;
}

static unsigned console_count(const struct config *c)
{
	return c->console.kind != SERIAL_NONE;
}

static void port_put(void *to, uint8_t byte)
{
	console_put(to, byte);
}

static bool port_ready(void *to)
{
	return console_ready(to);
}

static void port_resume(void *to)
{
	console_resume(to);
}

static int console_create(struct virtio_slot *s, struct err *err)
{
	const struct console_port port = { port_put, port_ready, port_resume, line_of(s) };
	struct virtio_console *console = virtio_slot_own(s, sizeof(*console), err);
	unsigned columns, rows;

	if (!console)
		return -ENOMEM;
	console_size(line_of(s), &columns, &rows);
	s->dev = &console->dev;
	virtio_console_init(console, &port, (uint16_t)columns, (uint16_t)rows);
	return 0;
}

static size_t console_typed(void *to, const uint8_t *data, size_t n)
{
	struct virtio_slot *s = to;

	return virtio_console_input(s->own, data, n);
}

static void console_has_room(void *to)
{
	struct virtio_slot *s = to;

	virtio_console_room(s->own);
}

static void console_quits(void *to)
{
	const struct virtio_slot *s = to;

	s->parts->quit(s->parts->to);
}

static int console_serve(struct virtio_slot *s, struct err *err)
{
	return virtio_serve_here(s, err);
}

/* A file is made empty here: not before it is certain that the guest starts. */
static void console_begin(struct virtio_slot *s)
{
	const struct console_user user = { console_typed, console_has_room, console_quits, s };

	console_attach(line_of(s), &user);
}

static void console_stop(struct virtio_slot *s)
{
	console_attach(line_of(s), NULL);
}

static int console_resize(struct virtio_slot *s, struct err *err)
{
	unsigned columns, rows;

	(void)err;
	console_size(line_of(s), &columns, &rows);
	virtio_console_resize(s->own, (uint16_t)columns, (uint16_t)rows);
	return 0;
}

static const struct virtio_kind_ops console_ops = {
	.create = console_create,
	.serve = console_serve,
	.begin = console_begin,
	.stop = console_stop,
	.resize = console_resize,
};

const struct virtio_kind virtio_kind_console = {
	.kind = DEVICE_CONSOLE,
	.count = console_count,
	.ops = &console_ops,
};
