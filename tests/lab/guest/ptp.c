/*
 * ptp DEVICE: what a PTP clock says, in nanoseconds since 1970.
 */
#include <fcntl.h>
#include <stdio.h>
#include <time.h>

int main(int argc, char *argv[])
{
	struct timespec now;
	int fd = argc == 2 ? open(argv[1], O_RDONLY) : -1;

	/* A clock of a descriptor: clock_getres(2), "Dynamic clocks". */
	if (fd < 0 || clock_gettime((clockid_t)(~(unsigned)fd << 3 | 3), &now) < 0)
		return 1;
	printf("%lld%09ld\n", (long long)now.tv_sec, now.tv_nsec);
	return 0;
}
