#include "vmm/cli/cmd.h"

#include "vmm/host/image.h"
#include "vmm/host/nodes.h"
#include "vmm/plan/topology.h"
#include "vmm/test/verdict.h"
#include "vmm/vm/prepare.h"

#include <stdlib.h>

int complain(const struct err *err, enum status status)
{
	fprintf(stderr, "straddle: %s\n", err->text);
	return status;
}

static const char statuses[] = "\nExit status of straddle run:\n"
			       "  0  the guest powered off, or was ended by Ctrl-A X or quit\n"
			       "  1  error of the host, or inside straddle\n"
			       "  2  wrong usage, or a plan that is not possible\n"
			       "  3  the guest crashed (KVM internal error; triple fault before "
			       "it said anything)\n"
			       "  4  the guest's kernel panicked (pvpanic, or its line on a "
			       "console)\n"
			       "  5  the guest reset itself, with --no-reboot\n"
			       "  6  the guest did not end within --timeout\n"
			       "  (v << 1) | 1  the guest wrote v to the --debug-exit port; N + v "
			       "with base=N\n"
			       "  128 + n  signal n; SIGTERM first presses the power button, a "
			       "second one or\n"
			       "           --stop-timeout ends the guest\n";

static void print_verdicts(void)
{
	printf("\nExit status of straddle test, with files 0 if all cases passed, else 1:\n"
	       "  0 to %d  %s\n",
	       VERDICT_COMMAND_MAX, verdict_help(VERDICT_COMMAND));
	for (enum verdict v = VERDICT_COMMAND + 1; v < VERDICTS; v++)
		printf("  %d  %s: %s\n", verdict_status(v, 0), verdict_word(v), verdict_help(v));
}

static void print_help(enum config_command cmd)
{
	static const struct {
		enum config_command cmd;
		const char *text;
	} titles[] = {
		{ CMD_RUN, "usage: straddle run --kernel FILE [OPTION...]\n\n"
			   "Starts a guest; Ctrl-A X quits, Ctrl-A H lists the keys.\n" },
		{ CMD_TEST,
		  "usage: straddle test --kernel FILE [OPTION...] -- COMMAND [ARG...]\n"
		  "       straddle test FILE|DIR... [OPTION...]\n\n"
		  "Boots a guest, runs the command in it, and ends with its status.\n"
		  "Built-in commands: @facts, @memory, @cat, @status N (docs/test.md).\n"
		  "FILE has cases, DIR files *.test of them (docs/suites.md); options apply to\n"
		  "all, and TAP goes to standard output.\n" },
		{ CMD_PLAN,
		  "usage: straddle plan [OPTION...]\n\n"
		  "Shows the memory map that straddle run would use; touches nothing.\n" },
		{ CMD_CHECK, "usage: straddle check [OPTION...]\n\n"
			     "Says what this host can do, a line each. Status 0: it runs stock "
			     "kernels,\nand the guest of --vfio or --memory would start.\n" },
		{ CMD_BIND, "usage: straddle bind DEVICE...\n\n"
			    "Gives PCI devices, such as 0000:41:00.0, to vfio-pci; refuses those "
			    "that are in use.\n" },
		{ CMD_UNBIND, "usage: straddle unbind DEVICE...\n\n"
			      "Gives PCI devices back to the drivers that the kernel chooses. If a "
			      "guest has one,\nit is asked to release the device first.\n" },
	};
	size_t len = config_help(cmd, NULL, 0);
	char *text = malloc(len + 1);

	if (!text)
		return;
	config_help(cmd, text, len + 1);
	for (size_t i = 0; i < ARRAY_SIZE(titles); i++)
		if (titles[i].cmd == cmd)
			printf("%s\n", titles[i].text);
	printf("%s%s", text, cmd == CMD_RUN ? statuses : "");
	if (cmd == CMD_TEST)
		print_verdicts();
	free(text);
}

int cmd_parse_file(struct config *c, enum config_command cmd, struct err *err)
{
	struct image file;
	int ret;

	if (!c->config_file)
		return 0;
	ret = image_open(&file, "--config", c->config_file, err);

	if (ret < 0)
		return ret;
	ret = config_parse_file(c, cmd, c->config_file, (const char *)file.data, file.len, err);
	image_close(&file);
	return ret;
}

int cmd_settle(struct config *c, enum config_command cmd, struct err *err)
{
	struct host_nodes nodes;
	int ret = 0;

	if (c->numa_host && !c->has_host && !c->plan_file) {
		host_nodes_probe("", &nodes);
		ret = config_copy_nodes(c, &nodes, err);
	}
	return ret < 0 ? ret : config_check(c, cmd, err);
}

bool cmd_parse(struct config *c, enum config_command cmd, int argc, char *argv[], int *status)
{
	struct err err;
	int ret = config_parse(c, cmd, argc, argv, &err);

	*status = STATUS_USAGE;
	if (ret < 0)
		goto fail;
	if (c->help) {
		print_help(cmd);
		*status = 0;
		return false;
	}
	if (c->version) {
		printf("straddle %s\n", STRADDLE_VERSION);
		*status = 0;
		return false;
	}
	ret = cmd_parse_file(c, cmd, &err);
	if (ret < 0)
		goto fail;
	ret = cmd_settle(c, cmd, &err);
	if (ret < 0)
		goto fail;
	return true;

fail:
	complain(&err, STATUS_USAGE);
	return false;
}

int cmd_make_plan(struct plan *p, const struct config *c, struct host_facts *host, struct err *err)
{
	struct err wide;
	int ret = vm_make_plan(p, c, host, err);

	if (ret == 0 && topology_is_wide(p, &wide))
		fprintf(stderr, "straddle: %s\n", wide.text);
	return ret;
}
