#include "vmm/test/slurm_command.h"

#include "vmm/base/quote.h"
#include "vmm/host/clock.h"
#include "vmm/test/buffer.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define COMPLAINT_MAX 4096 /* bytes of its standard error that are kept */

enum { FROM_OUTPUT, FROM_ERROR, STREAMS };

struct slurm_command {
	const char *name;
	pid_t pid;
	int fds[STREAMS]; /* our ends of its streams, -1 when closed */
	struct buffer kept[STREAMS];
	struct err *err;
};

static int64_t slurm_command_ms(void)
{
	return (int64_t)(host_clock_ns() / 1000000);
}

/*
 * Starts it. `theirs` are its ends of the pipes. Signals that straddle blocks or ignores would stay
 * so in the program (execve(2)), so they are as in a shell again.
 */
static int spawn_command(struct slurm_command *p, char *const argv[], const int *theirs)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	sigset_t set;
	int code;

	posix_spawn_file_actions_init(&actions);
	posix_spawnattr_init(&attributes);
	posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&actions, theirs[FROM_OUTPUT], STDOUT_FILENO);
	posix_spawn_file_actions_adddup2(&actions, theirs[FROM_ERROR], STDERR_FILENO);
	sigemptyset(&set);
	posix_spawnattr_setsigmask(&attributes, &set);
	sigaddset(&set, SIGPIPE);
	sigaddset(&set, SIGXFSZ);
	posix_spawnattr_setsigdefault(&attributes, &set);
	posix_spawnattr_setpgroup(&attributes, 0);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK |
						      POSIX_SPAWN_SETSIGDEF);
	code = posix_spawnp(&p->pid, argv[0], &actions, &attributes, argv, environ);
	posix_spawnattr_destroy(&attributes);
	posix_spawn_file_actions_destroy(&actions);
	return code;
}

static int start_command(struct slurm_command *p, char *const argv[])
{
	int pipes[STREAMS][2], theirs[STREAMS], code;

	if (pipe2(pipes[FROM_OUTPUT], O_CLOEXEC) < 0)
		return err_sys(p->err, errno, "%s: cannot make a pipe", p->name);
	if (pipe2(pipes[FROM_ERROR], O_CLOEXEC) < 0) {
		code = errno;
		close(pipes[FROM_OUTPUT][0]);
		close(pipes[FROM_OUTPUT][1]);
		return err_sys(p->err, code, "%s: cannot make a pipe", p->name);
	}
	for (int i = 0; i < STREAMS; i++) {
		p->fds[i] = pipes[i][0];
		theirs[i] = pipes[i][1];
	}
	code = spawn_command(p, argv, theirs);
	for (int i = 0; i < STREAMS; i++)
		close(theirs[i]);
	if (code == ENOENT)
		return err_set(p->err, code, "there is no program %s in PATH", p->name);
	return code ? err_sys(p->err, code, "%s cannot be started", p->name) : 0;
}

/* Reads what there is. A stream that has ended is closed. */
static void read_stream(struct slurm_command *p, int i)
{
	static const size_t max[STREAMS] = { SLURM_COMMAND_OUTPUT_MAX, COMPLAINT_MAX };
	char bytes[4096];
	ssize_t n = read(p->fds[i], bytes, sizeof(bytes));

	if (n > 0 && p->kept[i].len + (size_t)n <= max[i])
		buffer_put(&p->kept[i], bytes, (size_t)n);
	if (n > 0 || (n < 0 && errno == EINTR))
		return;
	close(p->fds[i]);
	p->fds[i] = -1;
}

/* Reads both streams to their ends. False: the time is over. */
static bool read_streams(struct slurm_command *p, int64_t end)
{
	while (p->fds[FROM_OUTPUT] >= 0 || p->fds[FROM_ERROR] >= 0) {
		struct pollfd polls[STREAMS];
		int64_t left = end - slurm_command_ms();

		if (left <= 0)
			return false;
		for (int i = 0; i < STREAMS; i++)
			polls[i] = (struct pollfd){ .fd = p->fds[i], .events = POLLIN };
		if (poll(polls, STREAMS, (int)left) <= 0)
			continue;
		for (int i = 0; i < STREAMS; i++)
			if (polls[i].revents)
				read_stream(p, i);
	}
	return true;
}

/* What it complained of: the first line. */
static const char *complaint(struct slurm_command *p)
{
	char *text;

	buffer_put(&p->kept[FROM_ERROR], "", 1);
	text = (char *)p->kept[FROM_ERROR].data;
	if (!text || p->kept[FROM_ERROR].error)
		return "";
	text += strspn(text, "\n");
	text[strcspn(text, "\n")] = '\0';
	return text;
}

/* Judges the status of wait(2). */
static int judge_status(struct slurm_command *p, int status)
{
	const char *text = complaint(p);

	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	if (*text)
		return err_set(p->err, EIO, "%s: %s", p->name, text);
	return err_set(p->err, EIO, "%s ended with %s %d", p->name,
		       WIFEXITED(status) ? "status" : "signal",
		       WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
}

int slurm_command_run(char *const argv[], unsigned seconds, char **output, struct err *err)
{
	struct slurm_command p = { .name = argv[0],
				   .fds = { -1, -1 },
				   .kept = { BUFFER_EMPTY, BUFFER_EMPTY },
				   .err = err };
	int ret = start_command(&p, argv), status = 0;
	pid_t ended;
	bool in_time;

	if (ret == 0) {
		in_time = read_streams(&p, slurm_command_ms() + (int64_t)seconds * 1000);
		if (!in_time)
			kill(-p.pid, SIGKILL);
		while ((ended = waitpid(p.pid, &status, 0)) < 0 && errno == EINTR)
			;
		if (!in_time)
			ret = err_set(err, ETIMEDOUT, "%s did not answer within %u s", p.name,
				      seconds);
		else if (ended < 0)
			ret = err_sys(err, errno, "cannot tell how %s ended", p.name);
		else
			ret = judge_status(&p, status);
	}
	buffer_put(&p.kept[FROM_OUTPUT], "", 1);
	if (ret == 0 && p.kept[FROM_OUTPUT].error)
		ret = err_sys(err, -p.kept[FROM_OUTPUT].error, "what %s printed cannot be kept",
			      p.name);
	if (ret == 0 && output) {
		*output = (char *)p.kept[FROM_OUTPUT].data;
		p.kept[FROM_OUTPUT] = (struct buffer)BUFFER_EMPTY;
	}
	for (int i = 0; i < STREAMS; i++) {
		if (p.fds[i] >= 0)
			close(p.fds[i]);
		buffer_free(&p.kept[i]);
	}
	return ret;
}
