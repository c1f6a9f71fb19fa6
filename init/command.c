#include "init/command.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

/* What a child says of itself on a pipe that its exec closes. */
enum stage { STAGE_DIRECTORY, STAGE_EXEC };
struct failure {
	enum stage stage;
	int code;
};

struct pipes {
	int theirs[3]; /* the child's 0, 1 and 2 */
	int ours[3];
	int told[2]; /* struct failure */
};

static void close_pipes(struct pipes *p)
{
	int *fds = (int *)p;

	for (size_t i = 0; i < sizeof(*p) / sizeof(int); i++)
		if (fds[i] >= 0)
			close(fds[i]);
}

/* Makes one of the three pipes; the child reads the first and writes the others. */
static bool make_pipe(struct pipes *p, unsigned i)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) < 0)
		return false;
	p->theirs[i] = fds[i ? 1 : 0];
	p->ours[i] = fds[i ? 0 : 1];
	return fcntl(p->ours[i], F_SETFL, O_NONBLOCK) == 0;
}

static bool make_pipes(struct pipes *p, bool input)
{
	*p = (struct pipes){ { -1, -1, -1 }, { -1, -1, -1 }, { -1, -1 } };
	if (!input && (p->theirs[0] = open("/dev/null", O_RDONLY | O_CLOEXEC)) < 0)
		return false;
	return (!input || make_pipe(p, 0)) && make_pipe(p, 1) && make_pipe(p, 2) &&
	       pipe2(p->told, O_CLOEXEC) == 0;
}

/* --- in the child --- */

static void make_environment(const struct spec *spec)
{
	static const char *const defaults[][2] = {
		{ "PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" },
		{ "HOME", "/root" },
		{ "USER", "root" },
		{ "LOGNAME", "root" },
		{ "SHELL", "/bin/sh" },
		{ "TERM", "dumb" }, /* its output is a pipe */
	};

	(void)clearenv();
	for (size_t i = 0; i < sizeof(defaults) / sizeof(defaults[0]); i++)
		(void)setenv(defaults[i][0], defaults[i][1], 1);
	for (const char *env = NULL; (env = spec_next(spec, "env", env));)
		(void)putenv((char *)env);
}

static char **make_arguments(const struct spec *spec)
{
	char **args = calloc(spec->nr_args + 1, sizeof(*args)), **next = args;

	for (const char *arg = NULL; args && (arg = spec_next(spec, "arg", arg));)
		*next++ = (char *)arg;
	return args;
}

/* Init ignores SIGPIPE and blocks SIGCHLD; a program expects neither. */
static void reset_signals(void)
{
	sigset_t none;

	(void)sigemptyset(&none);
	(void)signal(SIGPIPE, SIG_DFL);
	(void)signal(SIGCHLD, SIG_DFL);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
}

static void __attribute__((noreturn)) tell_failure(int fd, enum stage stage)
{
	const struct failure f = { stage, errno };

	(void)!write(fd, &f, sizeof(f));
	_exit(127);
}

static void __attribute__((noreturn))
run_child(struct pipes *p, const struct spec *spec, const struct builtin *builtin)
{
	char **args = make_arguments(spec);
	int status;

	(void)setsid();
	for (int i = 0; i < 3; i++)
		if (!args || dup2(p->theirs[i], i) < 0) /* above 2: init holds 0 to 2 itself */
			tell_failure(p->told[1], STAGE_EXEC);
	reset_signals();
	(void)umask(022);
	if (chdir(spec->dir ? spec->dir : "/") < 0)
		tell_failure(p->told[1], STAGE_DIRECTORY);
	make_environment(spec);
	if (!builtin) {
		(void)execvp(args[0], args);
		tell_failure(p->told[1], STAGE_EXEC);
	}
	close_pipes(p); /* no exec closes them, and a pipe to itself would never end */
	status = builtin->run(args);
	if (fflush(stdout) || fflush(stderr))
		status = 1;
	_exit(status);
}

/* --- in init --- */

/* Why it does not run; ENOENT of a file that is there is about the program that it names. */
static int start_failed(const struct failure *f, const struct spec *spec, struct err *err)
{
	const char *hint = "";

	if (f->stage == STAGE_DIRECTORY)
		return err_sys(err, f->code, "cannot change to the directory %s", spec->dir);
	if (f->code == ENOENT && strchr(spec->command, '/') && access(spec->command, F_OK) == 0)
		hint = " (the interpreter or dynamic loader that it names is not in this root)";
	return err_set(err, f->code, "cannot execute %s: %s%s", spec->command, strerror(f->code),
		       hint);
}

int command_start(struct command *c, const struct spec *spec, const struct builtin *builtin,
		  struct err *err)
{
	struct failure f;
	struct pipes p;
	ssize_t n;

	if (!make_pipes(&p, spec->input) || (c->pid = fork()) < 0) {
		int code = errno;

		close_pipes(&p);
		return err_sys(err, code, "cannot make a process for %s", spec->command);
	}
	if (!c->pid)
		run_child(&p, spec, builtin);
	close(p.told[1]);
	p.told[1] = -1;
	do
		n = read(p.told[0], &f, sizeof(f));
	while (n < 0 && errno == EINTR);
	if (n == sizeof(f)) {
		(void)waitpid(c->pid, NULL, 0);
		close_pipes(&p);
		return start_failed(&f, spec, err);
	}
	c->in = p.ours[0];
	c->outs[0] = p.ours[1];
	c->outs[1] = p.ours[2];
	p.ours[0] = p.ours[1] = p.ours[2] = -1;
	close_pipes(&p);
	return 0;
}
