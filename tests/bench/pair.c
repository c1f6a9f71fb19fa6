/*
 * pair RUNS COMMAND [ARGUMENT]... -- COMMAND [ARGUMENT]...: times two commands that each print
 * something and exit 0. From before the fork to
 *
 *	first	the first byte of output
 *	end	the end of the process as its parent sees it, which includes the kernel's teardown
 *
 * They alternate, and who goes first alternates as well, so that a machine that gets slower does so
 * for both. Prints a line for each of the two times: its name, then in microseconds the median of
 * the first command, of the second, the minimum of the first, of the second, and the ratio of the
 * medians; tabs between.
 */
#include "tests/bench/median.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define WARM_UP	 3
#define RUNS_MAX 1000

extern char **environ;

static double now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e6 + (double)ts.tv_nsec / 1e3;
}

enum { FIRST, END, TIMES };

static void fail(const char *what, const char *why)
{
	fprintf(stderr, "pair: %s: %s\n", what, why);
	exit(EXIT_FAILURE);
}

/* Reads until the other end is closed. */
static void drain(int fd, const char *what, double *first)
{
	char byte[64];
	ssize_t n;

	*first = 0;
	while ((n = read(fd, byte, sizeof(byte))) != 0) {
		if (n < 0 && errno != EINTR)
			fail(what, strerror(errno));
		if (n > 0 && *first == 0)
			*first = now_us();
	}
	if (*first == 0)
		fail(what, "printed nothing");
}

static void time_us(char *argv[], double times[TIMES])
{
	posix_spawn_file_actions_t actions;
	int code, status, out[2];
	double start;
	pid_t pid;

	if (pipe2(out, O_CLOEXEC) < 0)
		fail("pipe", strerror(errno));
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&actions, out[1], 1);
	start = now_us();
	code = posix_spawnp(&pid, argv[0], &actions, NULL, argv, environ);
	if (code)
		fail(argv[0], strerror(code));
	close(out[1]);
	drain(out[0], argv[0], &times[FIRST]);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	times[END] = now_us() - start;
	times[FIRST] -= start;
	close(out[0]);
	posix_spawn_file_actions_destroy(&actions);
	if (!WIFEXITED(status) || WEXITSTATUS(status))
		fail(argv[0], "did not exit with status 0");
}

/* times[t][c][i]: time t of command c in run i. */
static double times[TIMES][2][RUNS_MAX];

static void measure(char **commands[2], int runs)
{
	for (int i = -WARM_UP; i < runs; i++) {
		for (int j = 0; j < 2; j++) {
			int which = (i & 1) ^ j;
			double one[TIMES];

			time_us(commands[which], one);
			for (int t = 0; t < TIMES && i >= 0; t++)
				times[t][which][i] = one[t];
		}
	}
}

int main(int argc, char *argv[])
{
	static const char *const names[] = { [FIRST] = "first", [END] = "end" };
	int runs = argc > 1 ? atoi(argv[1]) : 0, split = 2;

	while (split < argc && strcmp(argv[split], "--") != 0)
		split++;
	if (runs < 1 || runs > RUNS_MAX || split == 2 || split >= argc - 1) {
		fprintf(stderr,
			"usage: pair RUNS COMMAND [ARGUMENT]... -- COMMAND [ARGUMENT]...\n");
		return EXIT_FAILURE;
	}
	argv[split] = NULL;
	measure((char **[]){ argv + 2, argv + split + 1 }, runs);
	for (int t = 0; t < TIMES; t++) {
		double a = median(times[t][0], runs), b = median(times[t][1], runs);

		printf("%s\t%.0f\t%.0f\t%.0f\t%.0f\t%.3f\n", names[t], a, b, times[t][0][0],
		       times[t][1][0], b / a);
	}
	return EXIT_SUCCESS;
}
