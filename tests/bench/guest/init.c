/*
 * Process 1 of the guest that lab.sh times: says on the console that userspace is reached, and
 * waits to be killed with its VMM, whose counters are read meanwhile.
 */
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

int main(void)
{
	static const char text[] = "userspace\n";
	int fd;

	mknod("/console", S_IFCHR | 0600, makedev(5, 1));
	fd = open("/console", O_WRONLY);
	if (write(fd, text, sizeof(text) - 1) < 0)
		return 1;
	for (;;)
		pause();
}
