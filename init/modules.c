#include "init/modules.h"
#include "init/say.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Returns NULL or why it cannot be loaded; load_module() of kernel/module/main.c has the codes. */
static const char *load_module(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), code = 0;

	if (fd < 0)
		return strerror(errno);
	if (syscall(SYS_finit_module, fd, "", 0) < 0)
		code = errno;
	close(fd);
	switch (code) {
	case 0:
	case EEXIST:
		return NULL;
	case ENOENT:
		return "it needs a symbol that no module before it has";
	case ENOEXEC:
		return "it is not of this kernel, or compressed";
	default:
		return strerror(code);
	}
}

static void remember(struct modules *m, const char *path, const char *why)
{
	const char *slash = strrchr(path, '/');
	size_t len = strlen(m->failures);

	snprintf(m->failures + len, sizeof(m->failures) - len, "%s%s: %s", len ? ", " : "",
		 slash ? slash + 1 : path, why);
	say("module %s cannot be loaded: %s", path, why);
}

void modules_load(struct modules *m, const struct spec *spec)
{
	*m = (struct modules){ 0 };
	for (const char *path = NULL; (path = spec_next(spec, "module", path));) {
		const char *why = load_module(path);

		if (why) {
			remember(m, path, why);
			m->failed++;
		} else {
			m->loaded++;
		}
	}
}
