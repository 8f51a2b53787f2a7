/* listen.h: sockets that wait for clients. */
#ifndef NEAP_HTTP_LISTEN_H
#define NEAP_HTTP_LISTEN_H

enum { LISTEN_ERROR = 256 };

struct listener {
	int fd;
	unsigned port;	/* 0: a Unix socket */
	char path[108]; /* of that */
};

/* Opens what neap/http.h calls an address. 0, or -1 and a line in `error` (LISTEN_ERROR bytes). */
int listen_on(const char *address, struct listener *ret, char *error);

#endif
