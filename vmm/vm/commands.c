#include "vmm/vm/commands.h"

#include "devices/virtio_balloon.h"
#include "vmm/config/config.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static const char no_memory[] = "{\"ok\":false,\"error\":\"out of memory for the answer\"}";

/* Returns the object as text, which the caller frees, or NULL. Drops the reference to `json`. */
static char *text_of(json_t *json)
{
	char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;

	json_decref(json);
	return text;
}

/* Sends the object as the client's answer. Drops the reference to `json`. */
static void answer(struct control_client *client, json_t *json)
{
	char *text = text_of(json);

	control_answer(client, text ? text : no_memory);
	free(text);
}

/*
 * Sends the end of a command as an answer. A sentence may repeat bytes of the client that are not
 * UTF-8, which JSON cannot hold.
 */
static void command_finish(struct control_client *client, int ret, struct err *err)
{
	for (char *c = err->text; ret < 0 && *c; c++)
		*c = *c < ' ' || *c > '~' ? '?' : *c;
	if (ret < 0)
		answer(client, json_pack("{s:b,s:s}", "ok", 0, "error", err->text));
	else
		answer(client, json_pack("{s:b}", "ok", 1));
}

static int do_balloon(struct machine *m, struct control_client *client, const char *arg,
		      struct err *err)
{
	uint64_t size;
	int ret = config_parse_size(arg, &size, err);

	(void)client;
	if (ret < 0)
		return err_prefix(err, ret, "balloon %s: ", arg);
	return machine_balloon(m, size, err);
}

static int do_memory(struct machine *m, struct control_client *client, const char *arg,
		     struct err *err)
{
	int ret = machine_ask_memory(m, err);

	(void)arg;
	client->waiting = ret == 0;
	return ret;
}

static int do_resize(struct machine *m, struct control_client *client, const char *arg,
		     struct err *err)
{
	(void)client;
	return machine_resize_disk(m, arg, err);
}

static int do_power_button(struct machine *m, struct control_client *client, const char *arg,
			   struct err *err)
{
	(void)client;
	(void)arg;
	(void)err;
	machine_power_button(m);
	return 0;
}

static int do_quit(struct machine *m, struct control_client *client, const char *arg,
		   struct err *err)
{
	(void)client;
	(void)arg;
	(void)err;
	machine_stop(m);
	return 0;
}

static const struct {
	const char *name, *argument;
	int (*run)(struct machine *m, struct control_client *client, const char *arg,
		   struct err *err);
} commands[] = {
	{ "balloon", "SIZE", do_balloon }, { "memory", NULL, do_memory },
	{ "resize", "DISK", do_resize },   { "power-button", NULL, do_power_button },
	{ "quit", NULL, do_quit },
};

static int command_dispatch(struct machine *m, struct control_client *client, char *line,
			    struct err *err)
{
	char *rest = NULL;
	const char *name = strtok_r(line, " \t\r", &rest);
	const char *arg = strtok_r(NULL, " \t\r", &rest);

	for (size_t i = 0; name && i < ARRAY_SIZE(commands); i++) {
		if (strcmp(name, commands[i].name) != 0)
			continue;
		if (!arg == !commands[i].argument && !strtok_r(NULL, " \t\r", &rest))
			return commands[i].run(m, client, arg, err);
		return err_set(err, EINVAL, "the command is %s%s%s", name,
			       commands[i].argument ? " " : "",
			       commands[i].argument ? commands[i].argument : "");
	}
	return err_set(err, EINVAL,
		       "the commands are balloon SIZE, memory, resize DISK, power-button and quit");
}

void vm_command(void *machine, struct control_client *client, char *line)
{
	struct err err;
	int ret = command_dispatch(machine, client, line, &err);

	if (!client->waiting)
		command_finish(client, ret, &err);
}

void vm_command_memory(struct control *control, struct machine *machine, const uint64_t *numbers)
{
	json_t *guest = json_object();
	json_t *json;
	char *text;

	for (unsigned i = 0; numbers && i < VIRTIO_BALLOON_STATS; i++)
		if (numbers[i] != UINT64_MAX)
			json_object_set_new(guest, virtio_balloon_stats[i],
					    json_integer((json_int_t)numbers[i]));
	json = numbers ? json_pack("{s:b,s:I,s:o}", "ok", 1, "balloon",
				   (json_int_t)machine_balloon_actual(machine), "guest", guest)
		       : json_pack("{s:b,s:s}", "ok", 0, "error", "the guest reset itself");
	if (!numbers)
		json_decref(guest);
	text = text_of(json);
	control_answer_waiting(control, text ? text : no_memory);
	free(text);
}
