/*
 * kexec now|panic KERNEL INITRD CMDLINE: another kernel takes over, at once or when this one
 * panics, from files that the kernel itself loads (kexec_file_load).
 */
#include <fcntl.h>
#include <linux/kexec.h>
#include <stdio.h>
#include <string.h>
#include <sys/reboot.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(int argc, char *argv[])
{
	if (argc != 5)
		return 2;

	unsigned long flags = !strcmp(argv[1], "panic") ? KEXEC_FILE_ON_CRASH : 0;
	int kernel = open(argv[2], O_RDONLY), initrd = open(argv[3], O_RDONLY);

	if (kernel < 0 || initrd < 0 ||
	    syscall(SYS_kexec_file_load, kernel, initrd, strlen(argv[4]) + 1, argv[4], flags)) {
		perror("kexec");
		return 1;
	}
	if (!flags && reboot(RB_KEXEC))
		perror("kexec");
	return 0;
}
