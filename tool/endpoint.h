/* endpoint.h: talking to the debug endpoint of a running program. */
#ifndef NEAP_TOOL_ENDPOINT_H
#define NEAP_TOOL_ENDPOINT_H

#include <stdbool.h>
#include <sys/types.h>

#include "lab/text.h"

struct endpoint {
	char address[128]; /* "127.0.0.1:6464" or "unix:/run/x.sock" */
	pid_t pid;	   /* 0: given by its address */
};

enum { ENDPOINT_ERROR = 256 };

/* Finds the endpoint of a process by its listening sockets, or takes an address as it is. 0, or an exit code (no
 * process, no permission, no endpoint) and a line in `error`.
 */
int endpoint_find(const char *target, struct endpoint *ret, char *error);

/* The status of the answer, whose body is added to `body`; -1 and a line in `error` when there was none within
 * `seconds`. `token` may be NULL.
 */
int endpoint_ask(const struct endpoint *endpoint, const char *method, const char *path, const char *token,
		 unsigned seconds, struct text *body, char *error);

#endif
