/* neap/http.h: a small HTTP server for what neap/debug.h knows, and a live page. libneap-http, on libmicrohttpd.
 *
 *     struct neap_http *http = neap_http_start(&(struct neap_http_options){.token = getenv("TOKEN")}, NULL);
 *
 * It listens on the loopback interface or on a Unix socket unless told otherwise. Besides the pages of neap/debug.h:
 *
 *     /debug/neap           a page for a browser: resident memory over time by part, and the maps
 *     POST /debug/compact   neap_debug_compact; needs the token as "Authorization: Bearer TOKEN"
 *
 * What clients can do to the program is bounded: so many connections, so many seconds of silence, so many bytes of
 * header. Each connection has a thread of its own with all signals blocked. Requests whose Host is a name other than
 * localhost are refused, so that no page of another site reaches it by way of the browser's name service.
 */
#ifndef NEAP_HTTP_H
#define NEAP_HTTP_H

#include "neap/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* All zero means the defaults. */
struct neap_http_options {
	/* "127.0.0.1:6464" (the default), "[::1]:6464", "0.0.0.0:80", "unix:/run/x.sock". Port 0: any free one. Numbers
	 * only, no names. A Unix socket is made with mode 0600; one that a dead process left is replaced.
	 */
	const char *address;
	const char *token;	  /* NULL: no POST is accepted; copied */
	unsigned connections;	  /* at most; 0: 32 */
	unsigned timeout_seconds; /* of silence; 0: 10 */
};

struct neap_http;

/* Starts serving. On failure NULL, and in `ret_error` (may be NULL), a buffer of 256 bytes, one line that names the
 * address and the reason. The caller owns the handle.
 */
NEAP_API struct neap_http *neap_http_start(const struct neap_http_options *options, char *ret_error);
/* Ends open connections, removes a Unix socket. Waits for requests that are being answered. NULL is allowed. */
NEAP_API void neap_http_stop(struct neap_http *http);
/* The TCP port that it listens on; 0 for a Unix socket. */
NEAP_API unsigned neap_http_port(const struct neap_http *http);

#ifdef __cplusplus
}
#endif

#endif
