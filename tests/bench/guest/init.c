/*
 * Process 1 of the guest that lab.sh times: says on the console that userspace is reached, and
 * waits to be killed with its VMM, whose counters are read meanwhile; or, with "reset" on the
 * kernel's command line, which the kernel passes on, resets the guest.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

int main(int argc, char *argv[])
{
	static const char text[] = "userspace\n";
	int fd;

	mknod("/console", S_IFCHR | 0600, makedev(5, 1));
	fd = open("/console", O_WRONLY);
	if (write(fd, text, sizeof(text) - 1) < 0)
		return 1;
	for (int i = 1; i < argc; i++)
		if (!strcmp(argv[i], "reset"))
			reboot(RB_AUTOBOOT);
	for (;;)
		pause();
}
