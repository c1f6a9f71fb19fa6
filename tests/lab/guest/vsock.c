/*
 * Sockets between guest and host (vsock(7)), and what straddle makes of them on the host: Unix
 * sockets.
 *
 *	vsock listen PORT [WORD]		echoes what one peer sends, to its end
 *	vsock check CID PORT BYTES		sends a pattern, ends, compares the answer
 *	vsock unix-listen PATH			as listen, on a Unix socket, peer after peer
 *	vsock unix-check PATH PORT BYTES	as check, by the socket of --vsock
 *	vsock unix-hold PATH PORT		connects, waits for the end; says both
 *
 * Checks print a word. WORD is said when the port can be connected to.
 *
 * Sending does not wait for what comes back, so that all that may wait on the way is full.
 */
#include <linux/vm_sockets.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHUNK 4096

/* Ends its direction once the peer has ended its own. */
static int echo(int peer)
{
	static char data[16 * CHUNK];
	ssize_t n;

	while ((n = read(peer, data, sizeof(data))) > 0)
		for (ssize_t done = 0, now; done < n; done += now)
			if ((now = write(peer, data + done, (size_t)(n - done))) <= 0)
				return 1;
	shutdown(peer, SHUT_WR);
	return n < 0;
}

static void fill(unsigned char *chunk, long at)
{
	for (unsigned i = 0; i < CHUNK; i++)
		chunk[i] = (unsigned char)(at / CHUNK * 31 + i * 7);
}

static int send_all(int fd, long bytes)
{
	unsigned char out[CHUNK];

	for (long at = 0; at < bytes; at += CHUNK) {
		fill(out, at);
		for (ssize_t done = 0, now; done < CHUNK; done += now)
			if ((now = write(fd, out + done, (size_t)(CHUNK - done))) <= 0)
				return 1;
	}
	return shutdown(fd, SHUT_WR) < 0;
}

/* All of it, and then the end. */
static int check(int fd, long bytes)
{
	unsigned char wanted[CHUNK], in[CHUNK];
	pid_t child = fork();
	int status;

	if (child == 0)
		_exit(send_all(fd, bytes));
	for (long at = 0; at <= bytes; at += CHUNK) {
		size_t got = 0;
		ssize_t n = 1;

		fill(wanted, at);
		while (got < CHUNK && (n = read(fd, in + got, CHUNK - got)) > 0)
			got += (size_t)n;
		if (n < 0 || got != (at < bytes ? CHUNK : 0) || memcmp(in, wanted, got) != 0) {
			printf("differs at %ld\n", at + (long)got);
			return 1;
		}
	}
	waitpid(child, &status, 0);
	printf(status ? "cannot send\n" : "same\n");
	return status != 0;
}

static int listen_guest(unsigned port, const char *word)
{
	struct sockaddr_vm at = { AF_VSOCK, .svm_port = port, .svm_cid = VMADDR_CID_ANY };
	int fd = socket(AF_VSOCK, SOCK_STREAM, 0);

	if (bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0 || listen(fd, 1) < 0)
		return 1;
	if (word)
		printf("lab: vsock %s\n", word);
	return echo(accept(fd, NULL, NULL));
}

static int check_guest(unsigned cid, unsigned port, long bytes)
{
	struct sockaddr_vm at = { AF_VSOCK, .svm_port = port, .svm_cid = cid };
	int fd = socket(AF_VSOCK, SOCK_STREAM, 0);

	if (connect(fd, (struct sockaddr *)&at, sizeof(at)) < 0) {
		perror("connect");
		return 1;
	}
	return check(fd, bytes);
}

static int listen_unix(const char *path)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(at.sun_path, sizeof(at.sun_path), "%s", path);
	if (bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0 || listen(fd, 4) < 0)
		return 1;
	for (;;) {
		int peer = accept(fd, NULL, NULL);

		echo(peer);
		close(peer);
	}
}

/* By the socket of --vsock; -1: refused. */
static int connect_unix(const char *path, const char *port)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	char line[64] = "";

	snprintf(at.sun_path, sizeof(at.sun_path), "%s", path);
	if (connect(fd, (struct sockaddr *)&at, sizeof(at)) < 0) {
		perror("connect");
		return -1;
	}
	dprintf(fd, "CONNECT %s\n", port);
	for (size_t n = 0; n < sizeof(line) - 1 && !strchr(line, '\n'); n++)
		if (read(fd, line + n, 1) != 1) {
			printf("refused\n");
			return -1;
		}
	return strncmp(line, "OK ", 3) == 0 && atol(line + 3) > 0 ? fd : -1;
}

static int check_unix(const char *path, const char *port, long bytes)
{
	int fd = connect_unix(path, port);

	return fd < 0 || check(fd, bytes);
}

static int hold_unix(const char *path, const char *port)
{
	int fd = connect_unix(path, port);
	char byte;

	if (fd < 0)
		return 1;
	printf("connected\n");
	printf(read(fd, &byte, 1) == 0 ? "closed\n" : "alive\n");
	return 0;
}

int main(int argc, char *argv[])
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	if ((argc == 3 || argc == 4) && !strcmp(argv[1], "listen"))
		return listen_guest((unsigned)atoi(argv[2]), argv[3]);
	if (argc == 5 && !strcmp(argv[1], "check"))
		return check_guest((unsigned)atoi(argv[2]), (unsigned)atoi(argv[3]), atol(argv[4]));
	if (argc == 3 && !strcmp(argv[1], "unix-listen"))
		return listen_unix(argv[2]);
	if (argc == 5 && !strcmp(argv[1], "unix-check"))
		return check_unix(argv[2], argv[3], atol(argv[4]));
	if (argc == 4 && !strcmp(argv[1], "unix-hold"))
		return hold_unix(argv[2], argv[3]);
	return 2;
}
