/* listen.c: from "127.0.0.1:6464" or "unix:PATH" to a listening socket. */
#include "listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { BACKLOG = 32 };

static int listen_fail(char *error, const char *address, const char *reason, int fd)
{
	snprintf(error, LISTEN_ERROR, "%.100s: %s", address, reason);
	if (fd >= 0)
		close(fd);
	return -1;
}

/* A socket file that nobody answers on is left over from a process that ended. */
static void remove_left_over(const struct sockaddr_un *name)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	if (connect(fd, (const struct sockaddr *)name, sizeof *name) != 0 && errno == ECONNREFUSED)
		unlink(name->sun_path);
	close(fd);
}

static int listen_unix(const char *address, const char *path, struct listener *ret, char *error)
{
	struct sockaddr_un name = {.sun_family = AF_UNIX};
	if (strlen(path) >= sizeof name.sun_path || *path == '\0')
		return listen_fail(error, address, "a path of 1 to 107 bytes is needed", -1);
	memcpy(name.sun_path, path, strlen(path) + 1);
	memcpy(ret->path, path, strlen(path) + 1);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return listen_fail(error, address, strerror(errno), -1);
	remove_left_over(&name);
	/* fchmod before bind sets the mode of the file: nobody can connect in between. */
	if (fchmod(fd, 0600) != 0 || bind(fd, (struct sockaddr *)&name, sizeof name) != 0)
		return listen_fail(error, address, strerror(errno), fd);
	if (chmod(path, 0600) != 0 || listen(fd, BACKLOG) != 0) {
		int reason = errno;
		unlink(path);
		return listen_fail(error, address, strerror(reason), fd);
	}
	ret->fd = fd;
	return 0;
}

/* Splits "host:port" or "[host]:port". */
static int split(const char *address, char *host, size_t size, const char **ret_port)
{
	const char *colon = strrchr(address, ':');
	if (colon == NULL || colon[1] == '\0' || strspn(colon + 1, "0123456789") != strlen(colon + 1) ||
	    strlen(colon + 1) > 5)
		return -1;
	size_t len = (size_t)(colon - address);
	if (len >= 2 && address[0] == '[' && colon[-1] == ']') {
		address++;
		len -= 2;
	}
	if (len == 0 || len >= size)
		return -1;
	memcpy(host, address, len);
	host[len] = '\0';
	*ret_port = colon + 1;
	return 0;
}

static unsigned port_of(int fd)
{
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	} name;
	socklen_t len = sizeof name;
	if (getsockname(fd, &name.any, &len) != 0)
		return 0;
	return ntohs(name.any.sa_family == AF_INET6 ? name.v6.sin6_port : name.v4.sin_port);
}

int listen_on(const char *address, struct listener *ret, char *error)
{
	static const struct addrinfo numbers = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE,
						.ai_socktype = SOCK_STREAM};
	char host[64];
	const char *port;
	struct addrinfo *found;
	*ret = (struct listener){.fd = -1};
	if (strncmp(address, "unix:", 5) == 0)
		return listen_unix(address, address + 5, ret, error);
	if (split(address, host, sizeof host, &port) != 0 || atoi(port) > 65535 ||
	    getaddrinfo(host, port, &numbers, &found) != 0)
		return listen_fail(error, address,
				   "not an address like 127.0.0.1:6464, [::1]:6464, unix:/path", -1);
	int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
	if (fd >= 0)
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	if (fd < 0 || bind(fd, found->ai_addr, found->ai_addrlen) != 0 || listen(fd, BACKLOG) != 0) {
		int reason = errno;
		freeaddrinfo(found);
		return listen_fail(error, address, strerror(reason), fd);
	}
	freeaddrinfo(found);
	ret->fd = fd;
	ret->port = port_of(fd);
	return 0;
}
