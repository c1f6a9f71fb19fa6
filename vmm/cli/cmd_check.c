/*
 * straddle check: the report of vm/check.h on standard output, and its answer as exit status.
 */
#include "vmm/cli/cmd.h"
#include "vmm/vm/check.h"

int cmd_check(int argc, char *argv[])
{
	struct config c = CONFIG_EMPTY;
	bool able = false;
	struct err err;
	int status;

	if (cmd_parse(&c, CMD_CHECK, argc, argv, &status)) {
		if (check_host(&c, c.json, stdout, &able, &err) < 0)
			status = complain(&err, STATUS_HOST_ERROR);
		else
			status = able ? 0 : STATUS_HOST_ERROR;
	}
	config_free(&c);
	return status;
}
