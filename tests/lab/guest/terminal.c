// terminal ROWS COLUMNS COMMAND...: runs it on a terminal of that size, which SIGUSR1 makes one row
// and one column larger. What it prints is printed. Status: the command's.
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

static int master;
static struct winsize size;

static void grow(int signal)
{
	(void)signal;
	size.ws_row++;
	size.ws_col++;
	ioctl(master, TIOCSWINSZ, &size);
}

int main(int argc, char *argv[])
{
	char bytes[4096];
	int status;
	ssize_t n;
	pid_t child;

	if (argc < 4)
		return 2;
	size.ws_row = (unsigned short)atoi(argv[1]);
	size.ws_col = (unsigned short)atoi(argv[2]);
	signal(SIGUSR1, grow);
	child = forkpty(&master, NULL, NULL, &size);
	if (child == 0) {
		execvp(argv[3], argv + 3);
		_exit(127);
	}
	while ((n = read(master, bytes, sizeof(bytes))) > 0)
		if (write(1, bytes, (size_t)n) != n)
			return 1;
	if (child < 0 || waitpid(child, &status, 0) < 0)
		return 1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
