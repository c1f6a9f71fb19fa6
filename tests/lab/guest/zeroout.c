/*
 * zeroout DEVICE OFFSET BYTES: has the block device write zeroes by itself (BLKZEROOUT).
 */
#include <fcntl.h>
#include <linux/fs.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/ioctl.h>

int main(int argc, char *argv[])
{
	uint64_t range[2];
	int fd = argc == 4 ? open(argv[1], O_RDWR) : -1;

	if (fd < 0)
		return 1;
	range[0] = strtoull(argv[2], NULL, 0);
	range[1] = strtoull(argv[3], NULL, 0);
	return ioctl(fd, BLKZEROOUT, range) < 0;
}
