/*
 * The init of straddle test: process 1 of a guest whose command is all that matters.
 *
 * The host appends an initramfs to the guest's own: this program as /init, /straddle/spec
 * (init/spec.h) and kernel modules. Init mounts what programs expect, loads the modules, opens the
 * channel to the host (vmm/base/channel.h), makes the root, runs the command, tells its status, and
 * powers off. What goes wrong before the channel is open is said on the console alone; after that
 * in CHANNEL_FAULT, in a sentence for the user.
 *
 * It is linked statically with musl, has less than 100 KiB and no thread, and does without anything
 * that a kernel may lack, as far as that goes.
 */
#include "init/modules.h"
#include "init/root.h"
#include "init/say.h"
#include "init/serve.h"
#include "init/spec.h"
#include "init/wire.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/klog.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <unistd.h>

#define SYSLOG_CONSOLE_LEVEL 8 /* SYSLOG_ACTION_CONSOLE_LEVEL: syslog(2) */
#define CONSOLE_LEVEL	     7 /* all but debug messages */

#define SPEC_PATH "/straddle/spec"

static struct wire wire;
static struct serve serve;

static int read_spec(struct spec *spec, struct err *err)
{
	int fd = open(SPEC_PATH, O_RDONLY | O_CLOEXEC);
	size_t len = 0, size;
	struct stat st;
	ssize_t n = 1;
	char *text;

	if (fd < 0 || fstat(fd, &st) < 0)
		return err_sys(err, errno, "%s cannot be opened", SPEC_PATH);
	size = (size_t)st.st_size;
	text = malloc(size + 1); /* kept: the spec points into it */
	while (text && len < size && (n = read(fd, text + len, size - len)) > 0)
		len += (size_t)n;
	close(fd);
	if (!text || len < size)
		return err_set(err, EIO, "%s cannot be read", SPEC_PATH);
	return spec_parse(spec, text, len, err);
}

/* By vsock if the host listens there, or else by the serial line. */
static int open_channel(const struct spec *spec, struct err *err)
{
	struct err vsock = { "the host gave no vsock port" };

	if (spec->port && wire_open_vsock(&wire, spec->port, &vsock) == 0)
		return 0;
	if (!spec->serial)
		return err_set(err, ENODEV, "%s, and no serial line", vsock.text);
	if (spec->port)
		say("%s; takes /dev/%s", vsock.text, spec->serial);
	return wire_open_serial(&wire, spec->serial, err);
}

/* Greets, makes the root and runs the command. */
static int run_spec(const struct spec *spec, const struct modules *modules, bool *told,
		    struct err *err)
{
	int ret = 0;

	if (modules->failed)
		ret = wire_step(&wire, err, "could not load %u of %u modules: %s", modules->failed,
				modules->failed + modules->loaded, modules->failures);
	if (ret == 0 && spec->root != SPEC_ROOT_NONE)
		ret = wire_step(&wire, err, "makes the root");
	*told = ret < 0;
	if (ret == 0)
		ret = root_make(spec, &wire, err);
	serve.wire = &wire;
	serve.others = -1;
	return ret < 0 ? ret : serve_command(&serve, spec, told, err);
}

static void work(void)
{
	struct modules modules;
	struct err err = { "" };
	struct spec spec;
	bool told = false;

	if (read_spec(&spec, &err) < 0) {
		root_early(NULL);
		say("%s", err.text);
		return;
	}
	root_early(spec.serial);
	modules_load(&modules, &spec);
	if (open_channel(&spec, &err) < 0 || wire_hello(&wire, &err) < 0) {
		say("there is no channel to the host: %s", err.text);
		return;
	}
	if (run_spec(&spec, &modules, &told, &err) == 0)
		return;
	say("%s", err.text);
	if (!told &&
	    wire_last(&wire, CHANNEL_FAULT, err.text, (uint32_t)strlen(err.text), &err) < 0)
		say("%s", err.text);
}

int main(void)
{
	if (getpid() != 1) {
		fprintf(stderr, "This is the init of straddle test: process 1 of its guests.\n");
		return 2;
	}
	/*
	 * "quiet" keeps the kernel's warnings off the console (level 4 and above), where the host
	 * looks for them. From here on they are printed.
	 */
	(void)klogctl(SYSLOG_CONSOLE_LEVEL, NULL, CONSOLE_LEVEL);
	work();
	sync();
	(void)reboot(RB_POWER_OFF);
	return 1; /* the kernel panics, which ends the guest as well */
}
