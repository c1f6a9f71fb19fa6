/*
 * Runs the command and carries its three streams over the channel, until its status has been told.
 */
#ifndef INIT_SERVE_H
#define INIT_SERVE_H

#include "init/input.h"
#include "init/spec.h"
#include "init/wire.h"

#include <sys/types.h>

#define SERVE_LINGER_MS 1000 /* that processes may hold the command's pipes after its end */
#define SERVE_STUCK_MS	3000 /* after that, for those that cannot be killed */

struct serve {
	struct wire *wire;
	struct input input;
	/*
	 * Whom kill(2) ends when the command has ended and its pipes have not: -1, as process 1,
	 * for all but itself; 0 for the command's own process group, as tests want.
	 */
	pid_t others;
};

/*
 * Sends all frames from CHANNEL_STARTED to CHANNEL_EXIT and waits for CHANNEL_DONE. Returns -errno
 * if the command did not start, with *told false: the caller sends CHANNEL_FAULT; or if the channel
 * broke, with *told true.
 */
int serve_command(struct serve *s, const struct spec *spec, bool *told, struct err *err);

#endif
