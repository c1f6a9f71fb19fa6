/*
 * pair RUNS COMMAND [ARGUMENT]... -- COMMAND [ARGUMENT]...: times two commands, from before the
 * fork to the end of the process as its parent sees it, which includes the kernel's teardown of
 * address space and VM. They alternate, and who goes first alternates as well, so that a machine
 * that gets slower does so for both. Prints, in microseconds, tabs between:
 *
 *	median of the first, of the second, minimum of the first, of the second, median ratio
 *
 * Both must exit 0. Their input and output is /dev/null, their error output is ours.
 */
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

#define WARM_UP	 3
#define RUNS_MAX 1000

extern char **environ;

static double now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e6 + (double)ts.tv_nsec / 1e3;
}

static double time_us(char *argv[])
{
	posix_spawn_file_actions_t actions;
	double start;
	int code, status;
	pid_t pid;

	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
	start = now_us();
	code = posix_spawnp(&pid, argv[0], &actions, NULL, argv, environ);
	if (code) {
		fprintf(stderr, "pair: %s: %s\n", argv[0], strerror(code));
		exit(EXIT_FAILURE);
	}
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	start = now_us() - start;
	posix_spawn_file_actions_destroy(&actions);
	if (!WIFEXITED(status) || WEXITSTATUS(status)) {
		fprintf(stderr, "pair: %s ended with %s %d\n", argv[0],
			WIFEXITED(status) ? "status" : "signal",
			WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
		exit(EXIT_FAILURE);
	}
	return start;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Sorts. */
static double median(double *values, int n)
{
	qsort(values, (size_t)n, sizeof(*values), compare);
	return (values[(n - 1) / 2] + values[n / 2]) / 2;
}

int main(int argc, char *argv[])
{
	static double times[2][RUNS_MAX];
	int runs = argc > 1 ? atoi(argv[1]) : 0, split = 2;
	char **commands[2];
	double middle[2];

	while (split < argc && strcmp(argv[split], "--") != 0)
		split++;
	if (runs < 1 || runs > RUNS_MAX || split == 2 || split >= argc - 1) {
		fprintf(stderr,
			"usage: pair RUNS COMMAND [ARGUMENT]... -- COMMAND [ARGUMENT]...\n");
		return EXIT_FAILURE;
	}
	argv[split] = NULL;
	commands[0] = argv + 2;
	commands[1] = argv + split + 1;
	for (int i = -WARM_UP; i < runs; i++) {
		for (int j = 0; j < 2; j++) {
			int which = (i & 1) ^ j;
			double us = time_us(commands[which]);

			if (i >= 0)
				times[which][i] = us;
		}
	}
	for (int i = 0; i < 2; i++)
		middle[i] = median(times[i], runs);
	printf("%.0f\t%.0f\t%.0f\t%.0f\t%.3f\n", middle[0], middle[1], times[0][0], times[1][0],
	       middle[1] / middle[0]);
	return EXIT_SUCCESS;
}
