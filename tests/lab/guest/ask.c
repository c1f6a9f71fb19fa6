// ask SOCKET LINE: sends a line to a Unix socket and prints the line that comes back.
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int main(int argc, char *argv[])
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	char c = '\0';
	int fd;

	if (argc != 3 || strlen(argv[1]) >= sizeof(addr.sun_path))
		return 2;
	strcpy(addr.sun_path, argv[1]);
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	if (connect(fd, (void *)&addr, sizeof(addr)) < 0 || dprintf(fd, "%s\n", argv[2]) < 0)
		return 1;
	while (c != '\n' && read(fd, &c, 1) == 1)
		putchar(c);
	return c != '\n';
}
