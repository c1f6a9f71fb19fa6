/*
 * straddle: picks the command.
 */
#include "vmm/cli/cmd.h"

#include "vmm/host/fault.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

static const struct command {
	const char *name;
	int (*run)(int argc, char *argv[]);
	bool acts; /* it must not end because its output's reader is gone */
	const char *help;
} commands[] = {
	{ "run", cmd_run, true, "start a guest" },
	{ "test", cmd_test, true, "run a command in a guest, and say how it ended" },
	{ "plan", cmd_plan, false, "show the memory map that a guest would get; touches nothing" },
	{ "check", cmd_check, false, "say what this host can do" },
	{ "bind", cmd_bind, true,
	  "give PCI devices to vfio-pci, so that they can be passed through" },
	{ "unbind", cmd_unbind, true, "give them back to their drivers" },
};

static void print_usage(FILE *to)
{
	fprintf(to, "straddle runs KVM guests whose memory steps over the addresses that the host\n"
		    "cannot translate, such as the 12 GiB below 1 TiB on AMD hosts.\n\n"
		    "usage: straddle COMMAND [OPTION...]\n\n");
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		fprintf(to, "  %-8s%s\n", commands[i].name, commands[i].help);
	fprintf(to, "\nstraddle COMMAND --help lists the options of a command.\n");
}

/* With 0, 1 or 2 closed, the first file opened would become standard input or output. */
static void fill_standard_fds(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		close(fd);
}

/*
 * Ignores the signals that report errors of a write, so that no command ends half-way: SIGXFSZ, and
 * SIGPIPE if the command acts. The write then fails with EFBIG or EPIPE, which becomes a sentence
 * or an I/O error of the guest.
 */
static int main_run_command(const struct command *c, int argc, char *argv[])
{
	struct err err;

	if (c->acts)
		signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	/* A parent that ignores it passes that on, and then nobody could wait for a child. */
	signal(SIGCHLD, SIG_DFL);
	if (fault_init(&err) < 0)
		return complain(&err, STATUS_HOST_ERROR);
	return c->run(argc, argv);
}

int main(int argc, char *argv[])
{
	struct err err;

	fill_standard_fds();
	if (argc < 2) {
		print_usage(stderr);
		return STATUS_USAGE;
	}
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "help")) {
		print_usage(stdout);
		return 0;
	}
	if (!strcmp(argv[1], "--version")) {
		printf("straddle %s\n", STRADDLE_VERSION);
		return 0;
	}
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		if (!strcmp(argv[1], commands[i].name))
			return main_run_command(&commands[i], argc - 2, argv + 2);
	err_set(&err, EINVAL,
		"'%s' is not a command; use run, test, plan, check, bind or unbind (straddle "
		"--help)",
		argv[1]);
	return complain(&err, STATUS_USAGE);
}
