/*
 * dax FILE DISK: memory that is a file (mounted with dax) as the buffer of a disk, whose driver
 * must reach it: writes 1 MiB from there, past the page cache, clears it and reads it back. Prints
 * "same".
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define SIZE (1u << 20)

static void must(int good, const char *what)
{
	if (good)
		return;
	perror(what);
	exit(1);
}

int main(int argc, char *argv[])
{
	int file = argc == 3 ? open(argv[1], O_RDWR | O_CREAT, 0600) : -1;
	int disk = argc == 3 ? open(argv[2], O_RDWR | O_DIRECT) : -1;
	unsigned char *at;

	must(file >= 0 && disk >= 0, "open");
	must(ftruncate(file, SIZE) == 0, "ftruncate");
	at = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	must(at != MAP_FAILED, "mmap");
	for (unsigned i = 0; i < SIZE; i++)
		at[i] = (unsigned char)(i ^ i >> 8 ^ i >> 16);
	must(pwrite(disk, at, SIZE, 0) == SIZE, "write");
	for (unsigned i = 0; i < SIZE; i++)
		at[i] = 0;
	must(pread(disk, at, SIZE, 0) == SIZE, "read");
	for (unsigned i = 0; i < SIZE; i++)
		must(at[i] == (unsigned char)(i ^ i >> 8 ^ i >> 16), "compare");
	must(msync(at, SIZE, MS_SYNC) == 0, "msync");
	puts("same");
	return 0;
}
