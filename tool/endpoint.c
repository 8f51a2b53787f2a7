/* endpoint.c: a small HTTP/1.0 client, and the search for the socket that a process listens on.
 *
 * A process's own sockets are the links in /proc/PID/fd; which of them listen, and where, stands in the tables of its
 * network namespace. Each that listens is asked for /debug/account, until one answers as Neap does.
 */
#include "endpoint.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "command.h"

/* ---- Asking ---- */

static int endpoint_failed(char *error, const struct endpoint *endpoint, const char *reason)
{
	snprintf(error, ENDPOINT_ERROR, "%s: %s", endpoint->address, reason);
	return -1;
}

static int connect_socket(const struct endpoint *endpoint, unsigned seconds)
{
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
		struct sockaddr_un local;
	} name = {.any = {0}};
	socklen_t len = 0;
	char host[128];
	snprintf(host, sizeof host, "%s", endpoint->address);
	char *colon = strrchr(host, ':');
	if (strncmp(host, "unix:", 5) == 0) {
		name.local.sun_family = AF_UNIX;
		snprintf(name.local.sun_path, sizeof name.local.sun_path, "%.107s", host + 5);
		len = sizeof name.local;
	} else if (colon != NULL) {
		*colon = '\0';
		in_port_t port = htons((uint16_t)atoi(colon + 1));
		bool six = host[0] == '[' && colon > host + 1;
		if (six)
			colon[-1] = '\0';
		if (six && inet_pton(AF_INET6, host + 1, &name.v6.sin6_addr) == 1) {
			name.v6.sin6_family = AF_INET6;
			name.v6.sin6_port = port;
			len = sizeof name.v6;
		} else if (inet_pton(AF_INET, strcmp(host, "localhost") == 0 ? "127.0.0.1" : host,
				     &name.v4.sin_addr) == 1) {
			name.v4.sin_family = AF_INET;
			name.v4.sin_port = port;
			len = sizeof name.v4;
		}
	}
	if (len == 0) {
		errno = EINVAL;
		return -1;
	}
	int fd = socket(name.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct timeval patience = {seconds, 0};
	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
	if (connect(fd, &name.any, len) == 0)
		return fd;
	int reason = errno;
	close(fd);
	errno = reason;
	return -1;
}

int endpoint_ask(const struct endpoint *endpoint, const char *method, const char *path, const char *token,
		 unsigned seconds, struct text *body, char *error)
{
	char request[1024], chunk[16384];
	int fd = connect_socket(endpoint, seconds);
	if (fd < 0)
		return endpoint_failed(error, endpoint, strerror(errno));
	int len = snprintf(request, sizeof request, "%s %s HTTP/1.0\r\nHost: localhost\r\n%s%.200s%s\r\n",
			   method, path, token != NULL ? "Authorization: Bearer " : "",
			   token != NULL ? token : "", token != NULL ? "\r\n" : "");
	struct text answer = {0};
	ssize_t got = send(fd, request, (size_t)len, MSG_NOSIGNAL);
	while (got > 0 && (got = recv(fd, chunk, sizeof chunk, 0)) > 0)
		text_add(&answer, chunk, (size_t)got);
	int reason = errno, status = 0;
	close(fd);
	const char *head_end = answer.at == NULL ? NULL : strstr(answer.at, "\r\n\r\n");
	if (got < 0 || head_end == NULL || sscanf(answer.at, "HTTP/1.%*d %d", &status) != 1) {
		text_free(&answer);
		return endpoint_failed(error, endpoint, got < 0 ? strerror(reason) : "no answer in HTTP");
	}
	size_t head = (size_t)(head_end + 4 - answer.at);
	text_add(body, answer.at + head, answer.len - head);
	text_free(&answer);
	return status;
}

/* ---- Finding ---- */

enum { SOCKETS_MOST = 4096 };

struct sockets {
	pid_t pid;
	size_t n;
	unsigned long inode[SOCKETS_MOST];
};

/* 0, or an errno value. */
static int list_sockets(pid_t pid, struct sockets *ret)
{
	char path[64], link[64];
	ret->pid = pid;
	ret->n = 0;
	snprintf(path, sizeof path, "/proc/%d/fd", (int)pid);
	DIR *files = opendir(path);
	if (files == NULL)
		return errno;
	for (struct dirent *entry; (entry = readdir(files)) != NULL && ret->n < SOCKETS_MOST;) {
		char file[320];
		snprintf(file, sizeof file, "%s/%s", path, entry->d_name);
		ssize_t len = readlink(file, link, sizeof link - 1);
		link[len > 0 ? len : 0] = '\0';
		if (sscanf(link, "socket:[%lu]", &ret->inode[ret->n]) == 1)
			ret->n++;
	}
	closedir(files);
	return 0;
}

static bool owns(const struct sockets *sockets, unsigned long inode)
{
	for (size_t i = 0; i < sockets->n; i++)
		if (sockets->inode[i] == inode)
			return true;
	return false;
}

static bool answers(struct endpoint *endpoint)
{
	char error[ENDPOINT_ERROR];
	struct text body = {0};
	bool neap = endpoint_ask(endpoint, "GET", "/debug/account", NULL, 2, &body, error) == 200 &&
		    strncmp(body.at, "{\"schema\":1,\"rss\":", 18) == 0;
	text_free(&body);
	return neap;
}

/* A row of /proc/net/tcp or tcp6 in state "listen" (0A). */
static bool tcp_row(const char *line, bool six, const struct sockets *sockets, struct endpoint *ret)
{
	char local[40];
	unsigned port, state;
	unsigned long inode;
	if (sscanf(line, " %*d: %39[0-9A-Fa-f]:%x %*[0-9A-Fa-f]:%*x %x %*s %*s %*s %*d %*d %lu", local, &port,
		   &state, &inode) != 4 ||
	    state != 0x0a || !owns(sockets, inode))
		return false;
	if (six) {
		snprintf(ret->address, sizeof ret->address, "[::1]:%u", port);
	} else {
		unsigned address = (unsigned)strtoul(local, NULL, 16);
		address = address == 0 ? htonl(INADDR_LOOPBACK) : address;
		char text[INET_ADDRSTRLEN];
		inet_ntop(AF_INET, &address, text, sizeof text);
		snprintf(ret->address, sizeof ret->address, "%s:%u", text, port);
	}
	return answers(ret);
}

/* A row of /proc/net/unix with the flag "listens". */
static bool unix_row(const char *line, const struct sockets *sockets, struct endpoint *ret)
{
	char path[108];
	unsigned flags;
	unsigned long inode;
	if (sscanf(line, "%*x: %*x %*x %x %*x %*x %lu %107s", &flags, &inode, path) != 3 ||
	    (flags & 0x10000) == 0 || path[0] != '/' || !owns(sockets, inode))
		return false;
	snprintf(ret->address, sizeof ret->address, "unix:%s", path);
	return answers(ret);
}

static bool search_table(const struct sockets *sockets, const char *table, struct endpoint *ret)
{
	char path[64], line[512];
	bool found = false;
	snprintf(path, sizeof path, "/proc/%d/net/%s", (int)sockets->pid, table);
	FILE *file = fopen(path, "re");
	if (file == NULL)
		return false;
	while (!found && fgets(line, sizeof line, file) != NULL)
		found = strcmp(table, "unix") == 0 ? unix_row(line, sockets, ret)
						   : tcp_row(line, strcmp(table, "tcp6") == 0, sockets, ret);
	fclose(file);
	return found;
}

/* "unix:/run/x.sock", or a host and a port. */
static bool is_endpoint_address(const char *target)
{
	const char *colon = strrchr(target, ':');
	if (colon == NULL || colon == target || strlen(target) >= sizeof((struct endpoint *)0)->address)
		return false;
	if (strncmp(target, "unix:", 5) == 0)
		return target[5] != '\0';
	char *end;
	long port = strtol(colon + 1, &end, 10);
	return isdigit((unsigned char)colon[1]) && *end == '\0' && port >= 1 && port <= UINT16_MAX;
}

int endpoint_find(const char *target, struct endpoint *ret, char *error)
{
	*ret = (struct endpoint){.pid = 0};
	if (strspn(target, "0123456789") != strlen(target) || *target == '\0') {
		if (!is_endpoint_address(target)) {
			snprintf(error, ENDPOINT_ERROR,
				 "%.100s: neither a process id nor an address like 127.0.0.1:6464", target);
			return EXIT_USAGE;
		}
		snprintf(ret->address, sizeof ret->address, "%s", target);
		return EXIT_CLEAN;
	}
	static const char *const tables[] = {"tcp", "tcp6", "unix"};
	struct sockets sockets;
	ret->pid = (pid_t)strtol(target, NULL, 10);
	int reason = list_sockets(ret->pid, &sockets);
	if (reason != 0) {
		snprintf(error, ENDPOINT_ERROR, "process %.20s: %s", target,
			 reason == ENOENT		       ? "no such process"
			 : reason == EACCES || reason == EPERM ? "may not be read; run as its user or as root"
							       : strerror(reason));
		return EXIT_NO_TARGET;
	}
	for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++)
		if (search_table(&sockets, tables[i], ret))
			return EXIT_CLEAN;
	ret->address[0] = '\0';
	snprintf(error, ENDPOINT_ERROR,
		 "process %.20s has no debug endpoint: start one in it with neap_http_start (neap/http.h)",
		 target);
	return EXIT_NO_TARGET;
}
