#include "vmm/host/program.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define FIRST_FD 3
#define END_MS	 2000 /* for what a program does on its signal */

static bool find_in(const char *name, const char *folders, char path[PROGRAM_PATH])
{
	while (folders && *folders) {
		int len = (int)strcspn(folders, ":");

		if (len &&
		    snprintf(path, PROGRAM_PATH, "%.*s/%s", len, folders, name) < PROGRAM_PATH &&
		    access(path, X_OK) == 0)
			return true;
		folders += len + (folders[len] == ':');
	}
	return false;
}

bool program_find(const char *name, const char *folders, char path[PROGRAM_PATH])
{
	return find_in(name, getenv("PATH"), path) || find_in(name, folders, path);
}

/* --- the child --- */

/* What the child tells of its failure. The pipe is closed without a word by a successful exec. */
struct report {
	int code;
	bool unready;
};

/* The numbers of all descriptors may overlap, so they are first moved out of the way. */
static int place_fds(const struct program_spec *spec, int said)
{
	int high[PROGRAM_FDS], above = FIRST_FD + (int)spec->nr_fds;

	said = fcntl(said, F_DUPFD_CLOEXEC, above);
	for (unsigned i = 0; i < spec->nr_fds; i++)
		high[i] = fcntl(spec->fds[i], F_DUPFD_CLOEXEC, above);
	/* As standard input this is empty, because all three share the offset, at the end. */
	for (int i = 0; i < FIRST_FD; i++)
		if (dup2(said, i) < 0)
			return errno;
	for (unsigned i = 0; i < spec->nr_fds; i++)
		if (dup2(high[i], FIRST_FD + (int)i) < 0)
			return errno;
	/* Those that straddle was started with; Linux before 5.11 cannot. */
	(void)syscall(SYS_close_range, above, ~0u, CLOSE_RANGE_CLOEXEC);
	return 0;
}

/* Signals that are ignored or blocked stay so over exec. */
static void restore_signals(void)
{
	sigset_t none;

	signal(SIGPIPE, SIG_DFL);
	signal(SIGXFSZ, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/* PR_SET_PDEATHSIG comes last, because what `ready` does may clear it. */
static int become(const struct program_spec *spec, int said, pid_t parent)
{
	int code = place_fds(spec, said);

	if (code)
		return code;
	if (prctl(PR_SET_PDEATHSIG, spec->signal ? spec->signal : SIGKILL) < 0)
		return errno;
	if (getppid() != parent) /* it has died already */
		_exit(127);
	execv(spec->path, (char *const *)spec->argv);
	return errno;
}

static void program_child(const struct program_spec *spec, int said, int to, pid_t parent)
{
	struct report report = { 0 };

	setpgid(0, 0);
	to = fcntl(to, F_DUPFD_CLOEXEC, FIRST_FD + (int)spec->nr_fds);
	if (spec->ready)
		report.code = spec->ready(spec->to);
	report.unready = report.code != 0;
	restore_signals();
	if (!report.code)
		report.code = become(spec, said, parent);
	(void)!write(to, &report, sizeof(report));
	_exit(127);
}

/* --- the start --- */

/* Waits for exec. Of a child that died before it without a word program_tell() tells. */
static struct report await_exec(int from)
{
	struct report report = { 0 };
	ssize_t n;

	do
		n = read(from, &report, sizeof(report));
	while (n < 0 && errno == EINTR);
	if (n < 0)
		report = (struct report){ .code = errno };
	return report;
}

static int program_refused(const struct program_spec *spec, const struct report *report,
			   struct err *err)
{
	if (!report->unready)
		return err_sys(err, report->code, "%s: %s does not start", spec->what, spec->path);
	err_set(err, report->code, "%s: %s (%s)", spec->what,
		spec->unready ? spec->unready : "cannot prepare the program",
		strerror(report->code));
	return -ECHILD;
}

/* Returns 0 or what failed in this process. The child is there if p->pid is positive. */
static const char *program_fork(struct program *p, const struct program_spec *spec,
				struct report *report)
{
	pid_t parent = getpid();
	int ends[2];

	p->said = memfd_create("straddle-said", MFD_CLOEXEC);
	if (p->said < 0)
		return "cannot make a file in memory";
	if (pipe2(ends, O_CLOEXEC) < 0)
		return "cannot make a pipe";
	p->pid = fork();
	if (p->pid == 0)
		program_child(spec, p->said, ends[1], parent);
	if (p->pid > 0) {
		close(ends[1]);
		*report = await_exec(ends[0]);
		close(ends[0]);
		p->fd = (int)syscall(SYS_pidfd_open, p->pid, 0);
		return p->fd < 0 ? "cannot watch a program" : NULL;
	}
	report->code = errno;
	close(ends[0]);
	close(ends[1]);
	errno = report->code;
	return "cannot make a process";
}

int program_start(struct program *p, const struct program_spec *spec, struct err *err)
{
	struct report report = { 0 };
	const char *failed;
	int ret = 0;

	*p = (struct program){ .what = spec->what, .fd = -1, .said = -1 };
	snprintf(p->path, sizeof(p->path), "%s", spec->path);
	failed = program_fork(p, spec, &report);
	if (failed)
		ret = err_sys(err, errno, "%s: %s", spec->what, failed);
	else if (report.code)
		ret = program_refused(spec, &report, err);
	if (ret < 0)
		program_end(p);
	else
		p->signal = spec->signal;
	return ret;
}

/* --- the end --- */

static bool has_ended(const struct program *p, int ms)
{
	struct pollfd ended = { p->fd, POLLIN, 0 };

	return poll(&ended, 1, ms) > 0;
}

/* Reads up to size - 1 bytes of the end of what the program wrote. */
static void read_said(const struct program *p, bool tail, char *words, size_t size)
{
	off_t len = lseek(p->said, 0, SEEK_END);
	ssize_t n;

	n = pread(p->said, words, size - 1,
		  tail && len > (off_t)size - 1 ? len - (off_t)(size - 1) : 0);
	words[n > 0 ? n : 0] = '\0';
}

/* The last line that is not empty; `text` is changed. */
static const char *last_line(char *text)
{
	size_t len = strlen(text);
	char *line;

	while (len && strchr(" \t\r\n", text[len - 1]))
		text[--len] = '\0';
	line = strrchr(text, '\n');
	return line ? line + 1 : text;
}

bool program_tell(const struct program *p, int ms, struct err *err)
{
	siginfo_t how = { 0 };
	char words[512], end[64];
	const char *line;

	if (p->pid <= 0 || !has_ended(p, ms) ||
	    waitid(P_PID, (id_t)p->pid, &how, WEXITED | WNOHANG | WNOWAIT) < 0)
		return false;
	read_said(p, true, words, sizeof(words));
	line = last_line(words);
	snprintf(end, sizeof(end), how.si_code == CLD_EXITED ? "with status %d" : "by signal %d",
		 how.si_status);
	err_set(err, ECHILD, "%s: %s ended %s%s%s", p->what, p->path, end,
		*line ? "; its last words: " : "", line);
	return true;
}

void program_end(struct program *p)
{
	if (p->pid > 0) {
		if (p->signal && p->signal != SIGKILL && kill(-p->pid, p->signal) == 0)
			(void)has_ended(p, END_MS);
		/* The group is there until its leader is waited for. */
		if (kill(-p->pid, SIGKILL) < 0)
			kill(p->pid, SIGKILL);
		while (waitpid(p->pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
	if (p->what && p->fd >= 0)
		close(p->fd);
	if (p->what && p->said >= 0)
		close(p->said);
	*p = (struct program){ .pid = 0 };
}

int program_ask(const struct program_spec *spec, int ms, char *words, size_t size, struct err *err)
{
	struct program p;
	int ret = program_start(&p, spec, err);

	*words = '\0';
	if (ret < 0)
		return ret;
	(void)has_ended(&p, ms);
	read_said(&p, false, words, size);
	program_end(&p);
	return 0;
}
