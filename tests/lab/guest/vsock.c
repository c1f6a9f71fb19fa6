/*
 * Sockets between guest and host (vsock(7)).
 *
 *	vsock listen PORT		echoes what one peer sends, to its end
 *	vsock check CID PORT BYTES	sends a pattern and compares what comes back; prints a word
 */
#include <linux/vm_sockets.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define CHUNK 4096

static int echo(unsigned port)
{
	struct sockaddr_vm at = { AF_VSOCK, .svm_port = port, .svm_cid = VMADDR_CID_ANY };
	int fd = socket(AF_VSOCK, SOCK_STREAM, 0), peer;
	char data[CHUNK];
	ssize_t n;

	if (bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0 || listen(fd, 1) < 0)
		return 1;
	peer = accept(fd, NULL, NULL);
	while ((n = read(peer, data, sizeof(data))) > 0)
		if (write(peer, data, (size_t)n) != n)
			return 1;
	return n < 0;
}

static int check(unsigned cid, unsigned port, long bytes)
{
	struct sockaddr_vm at = { AF_VSOCK, .svm_port = port, .svm_cid = cid };
	int fd = socket(AF_VSOCK, SOCK_STREAM, 0);
	unsigned char out[CHUNK], in[CHUNK];

	if (connect(fd, (struct sockaddr *)&at, sizeof(at)) < 0) {
		perror("connect");
		return 1;
	}
	for (long at_byte = 0; at_byte < bytes; at_byte += CHUNK) {
		size_t got = 0;

		for (unsigned i = 0; i < CHUNK; i++)
			out[i] = (unsigned char)(at_byte / CHUNK * 31 + i * 7);
		if (write(fd, out, CHUNK) != CHUNK)
			return 1;
		while (got < CHUNK) {
			ssize_t n = read(fd, in + got, CHUNK - got);

			if (n <= 0)
				return 1;
			got += (size_t)n;
		}
		if (memcmp(in, out, CHUNK) != 0)
			return 1;
	}
	printf("same\n");
	return 0;
}

int main(int argc, char *argv[])
{
	if (argc == 3 && !strcmp(argv[1], "listen"))
		return echo((unsigned)atoi(argv[2]));
	if (argc == 5 && !strcmp(argv[1], "check"))
		return check((unsigned)atoi(argv[2]), (unsigned)atoi(argv[3]), atol(argv[4]));
	return 2;
}
