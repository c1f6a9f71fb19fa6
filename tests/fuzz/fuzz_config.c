/*
 * The configuration: any command line and any file parse, or are refused with one printable
 * sentence; and what config_check lets pass, the planner never calls nonsense.
 *
 * Input: one byte (bits 0-1 the command, bit 2 a file follows), then the arguments, one a line; the
 * file begins with the first empty line.
 */
#include "vmm/config/config.h"
#include "vmm/plan/plan.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define ARGS_MAX 64

static void broken(const char *what, const struct err *err)
{
	fprintf(stderr, "%s: %s\n", what, err->text);
	abort();
}

static void check_refusal(int ret, const struct err *err)
{
	if (ret != -EINVAL && ret != -ENOMEM)
		broken("refused with another code than EINVAL", err);
	if (!err->text[0])
		broken("refused without a sentence", err);
	for (const char *p = err->text; *p; p++)
		if (*p < ' ' || *p > '~')
			broken("a sentence that is not printable", err);
}

/* Each device that is named exists, with BARs that its place among them chooses. */
static void find_devices(struct host_facts *host, const struct config *c)
{
	host->nr_pci = c->nr_vfio;
	for (unsigned i = 0; i < c->nr_vfio; i++) {
		struct host_pci *d = &host->pci[i];

		d->index = i;
		snprintf(d->name, sizeof(d->name), "0000:%02x:00.0", i);
		d->bars[0] = (struct bar_shape){ UINT64_C(64) << i % 8 * 5, .wide = true };
		d->bars[0].prefetch = i % 3;
		d->bars[2] = (struct bar_shape){ 32, .io = i % 2 };
		d->rom_size = 2 * KIB << i % 4;
	}
}

static void check_accepted(const struct config *c)
{
	static struct host_facts amd = { .vendor = HOST_AMD, .family = 0x19, .phys_bits = 52 };
	static struct plan plan;
	struct err err = { "" };
	int ret;

	find_devices(&amd, c);
	if (!c->cpus || c->cpus > CPUS_MAX || c->cpus != c->sockets * c->cores * c->threads)
		broken("CPUs that do not multiply", &err);
	ret = plan_build(&plan, c, c->has_host ? &c->host : &amd, &err);
	if (ret != 0 && ret != -ERANGE)
		broken("the planner finds nonsense in what config_check accepted", &err);
	if (ret == 0 && plan_check(&plan, &err) != 0)
		broken("the planner breaks its own rules", &err);
}

/* Cuts the arguments off `text`, up to an empty line or the end. *rest is what follows. */
static int split_args(char *text, char *argv[], char **rest)
{
	int argc = 0;

	while (text && *text && *text != '\n' && argc < ARGS_MAX)
		argv[argc++] = strsep(&text, "\n");
	*rest = text;
	return argc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const enum config_command commands[] = { CMD_RUN, CMD_PLAN, CMD_CHECK, CMD_BIND };
	enum config_command cmd = commands[size ? data[0] & 3 : 0];
	struct config c = CONFIG_EMPTY;
	struct err err = { "" };
	char *argv[ARGS_MAX], *text, *file;
	int argc, ret;

	text = calloc(1, size + 1);
	if (!size || !text)
		goto out;
	memcpy(text, data + 1, size - 1);
	argc = split_args(text, argv, &file);
	ret = config_parse(&c, cmd, argc, argv, &err);
	if (ret == 0 && data[0] & 4 && file) {
		size_t len = size - 1 - (size_t)(file - text);
		/* Not terminated: the parser must keep to the length. */
		char *exact = malloc(len ? len : 1);

		memcpy(exact, file, len);
		ret = config_parse_file(&c, cmd, "vm.conf", exact, len, &err);
		free(exact);
	}
	if (ret == 0)
		ret = config_check(&c, cmd, &err);
	if (ret == 0 && cmd != CMD_BIND)
		check_accepted(&c);
	else if (ret != 0)
		check_refusal(ret, &err);
out:
	config_free(&c);
	free(text);
	return 0;
}
