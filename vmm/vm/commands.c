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

/* Each returns 0, ANSWERED or -errno and a sentence. */
#define ANSWERED 1

static int do_balloon(struct vm *vm, struct control_client *client, const char *arg,
		      struct err *err)
{
	uint64_t size;
	int ret = config_parse_size(arg, &size, err);

	(void)client;
	if (ret < 0)
		return err_prefix(err, ret, "balloon %s: ", arg);
	return machine_balloon(&vm->machine, size, err);
}

static int do_memory(struct vm *vm, struct control_client *client, const char *arg, struct err *err)
{
	int ret = machine_ask_memory(&vm->machine, err);

	(void)arg;
	client->waiting = ret == 0;
	return ret;
}

static int do_resize(struct vm *vm, struct control_client *client, const char *arg, struct err *err)
{
	(void)client;
	return machine_resize_disk(&vm->machine, arg, err);
}

static int do_power_button(struct vm *vm, struct control_client *client, const char *arg,
			   struct err *err)
{
	(void)client;
	(void)arg;
	(void)err;
	machine_power_button(&vm->machine);
	return 0;
}

static int do_quit(struct vm *vm, struct control_client *client, const char *arg, struct err *err)
{
	(void)client;
	(void)arg;
	(void)err;
	if (vm->kept)
		vm_stop(vm);
	else
		machine_stop(&vm->machine);
	return 0;
}

static int do_registers(struct vm *vm, struct control_client *client, const char *arg,
			struct err *err)
{
	char *text = NULL, *end;
	unsigned long cpu = strtoul(arg, &end, 10);
	size_t size;
	FILE *file;
	int ret;

	if (*arg < '0' || *arg > '9' || *end || cpu >= vm->machine.nr_cpus)
		return err_set(err, EINVAL, "registers %s: the guest's CPUs are 0 to %u", arg,
			       vm->machine.nr_cpus - 1);
	file = open_memstream(&text, &size);
	if (!file)
		return err_sys(err, ENOMEM, "out of memory for the answer");
	machine_describe_cpu(&vm->machine, (unsigned)cpu, file);
	ret = fclose(file) == 0 ? ANSWERED : err_sys(err, ENOMEM, "out of memory for the answer");
	if (ret == ANSWERED)
		answer(client, json_pack("{s:b,s:s}", "ok", 1, "text", text));
	free(text);
	return ret;
}

/* The loop does not run meanwhile, so the owner's wish to end is seen here alone. */
static int do_core(struct vm *vm, struct control_client *client, const char *arg, struct err *err)
{
	int ret = vm_write_core(vm, arg, err);

	(void)client;
	if (ret == -EINTR)
		vm_stop(vm);
	return ret;
}

/* A guest that is kept is stopped: it answers nothing, and only then its CPUs can be looked at. */
enum { RUNNING = 1, KEPT = 2 };

static const struct {
	const char *name, *argument;
	unsigned when;
	int (*run)(struct vm *vm, struct control_client *client, const char *arg, struct err *err);
} commands[] = {
	{ "balloon", "SIZE", RUNNING, do_balloon },
	{ "memory", NULL, RUNNING, do_memory },
	{ "resize", "DISK", RUNNING, do_resize },
	{ "power-button", NULL, RUNNING, do_power_button },
	{ "registers", "CPU", KEPT, do_registers },
	{ "core", "FILE", KEPT, do_core },
	{ "quit", NULL, RUNNING | KEPT, do_quit },
};

static int command_dispatch(struct vm *vm, struct control_client *client, char *line,
			    struct err *err)
{
	char *rest = NULL;
	const char *name = strtok_r(line, " \t\r", &rest);
	const char *arg = strtok_r(NULL, " \t\r", &rest);

	for (size_t i = 0; name && i < ARRAY_SIZE(commands); i++) {
		if (strcmp(name, commands[i].name) != 0 ||
		    !(commands[i].when & (vm->kept ? KEPT : RUNNING)))
			continue;
		if (!arg == !commands[i].argument && !strtok_r(NULL, " \t\r", &rest))
			return commands[i].run(vm, client, arg, err);
		return err_set(err, EINVAL, "the command is %s%s%s", name,
			       commands[i].argument ? " " : "",
			       commands[i].argument ? commands[i].argument : "");
	}
	if (vm->kept)
		return err_set(err, EINVAL,
			       "the guest is stopped; the commands are registers CPU, core FILE "
			       "and quit");
	return err_set(err, EINVAL,
		       "the commands are balloon SIZE, memory, resize DISK, power-button and quit");
}

void vm_command(void *to, struct control_client *client, char *line)
{
	struct vm *vm = to;
	struct err err;
	int ret = command_dispatch(vm, client, line, &err);

	if (!client->waiting && ret != ANSWERED)
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
