/* server.c: requests and answers. What they say comes from neap_debug_handle.
 *
 * An answer is collected whole before its first byte is sent: the walk over the maps then never waits for a slow
 * client, and a failure in the middle is a status instead of a broken body. Collecting stops at BODY_MOST.
 *
 * Not done: TLS and user names. Whoever needs those puts a proxy in front, or mounts neap_debug_handle in a server
 * of his own.
 */
#include <microhttpd.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "listen.h"
#include "neap/debug.h"
#include "neap/http.h"
#include "page.h"

enum {
	CONNECTIONS = 32,
	TIMEOUT = 10,		  /* seconds */
	HEADERS_MOST = 32 << 10,  /* bytes of a request's head */
	BODY_MOST = 256 << 20,	  /* bytes of an answer: a profile of a million maps is 150 MB */
	THREAD_STACK = 512 << 10, /* bytes */
};

struct neap_http {
	struct MHD_Daemon *daemon;
	struct listener listener;
	char *token;
	unsigned timeout;
};

/* ---- Bodies ---- */

struct body {
	char *bytes;
	size_t len, room;
};

static int body_append(void *ctx, const void *bytes, size_t size)
{
	struct body *body = ctx;
	if (size > BODY_MOST - body->len)
		return NEAP_ETOOBIG;
	if (size > body->room - body->len) {
		size_t room = body->room * 2 > body->len + size ? body->room * 2 : body->len + size + 4096;
		char *grown = realloc(body->bytes, room);
		if (grown == NULL)
			return NEAP_ENOMEM;
		body->bytes = grown;
		body->room = room;
	}
	memcpy(body->bytes + body->len, bytes, size);
	body->len += size;
	return 0;
}

static enum MHD_Result send_response(struct MHD_Connection *connection, unsigned status, const char *type,
				     struct MHD_Response *response)
{
	if (response == NULL)
		return MHD_NO;
	MHD_add_response_header(response, "Content-Type", type);
	MHD_add_response_header(response, "Cache-Control", "no-store");
	MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
	MHD_add_response_header(
		response, "Content-Security-Policy",
		"default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:");
	if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
		MHD_add_response_header(response, "Allow", "GET, HEAD");
	enum MHD_Result sent = MHD_queue_response(connection, status, response);
	MHD_destroy_response(response);
	return sent;
}

static const char plain[] = "text/plain; charset=utf-8";

static enum MHD_Result send_line(struct MHD_Connection *connection, unsigned status, const char *line)
{
	return send_response(connection, status, plain,
			     MHD_create_response_from_buffer(strlen(line), (void *)(uintptr_t)line,
							     MHD_RESPMEM_MUST_COPY));
}

/* ---- Pages ---- */

static const struct page_file {
	const char *path, *type;
	const struct asset *file;
} files[] = {
	{"/debug/neap", "text/html; charset=utf-8", &asset_live_html},
	{"/debug/neap/live.js", "text/javascript; charset=utf-8", &asset_live_js},
	{"/debug/neap/live.css", "text/css; charset=utf-8", &asset_live_css},
	{"/debug/neap/uplot.js", "text/javascript; charset=utf-8", &asset_live_uplot_js},
	{"/debug/neap/uplot.css", "text/css; charset=utf-8", &asset_live_uplot_css},
};

/* What neap_debug_handle understands in a query. */
static const char *const understood[] = {"seconds", "gc", "address"};

static enum MHD_Result answer_get(const struct neap_http *http, struct MHD_Connection *connection,
				  const char *path)
{
	for (size_t i = 0; i < sizeof files / sizeof files[0]; i++)
		if (strcmp(path, files[i].path) == 0)
			return send_response(
				connection, MHD_HTTP_OK, files[i].type,
				MHD_create_response_from_buffer(files[i].file->len,
								(void *)(uintptr_t)files[i].file->bytes,
								MHD_RESPMEM_PERSISTENT));

	char target[512];
	int len = snprintf(target, sizeof target, "%s", path);
	for (size_t i = 0; i < sizeof understood / sizeof *understood && len < (int)sizeof target; i++) {
		const char *value =
			MHD_lookup_connection_value(connection, MHD_GET_ARGUMENT_KIND, understood[i]);
		if (value != NULL)
			len += snprintf(target + len, sizeof target - (size_t)len, "%c%s=%s",
					strchr(target, '?') == NULL ? '?' : '&', understood[i], value);
	}
	if (len >= (int)sizeof target)
		return send_line(connection, MHD_HTTP_URI_TOO_LONG, "the path is longer than 500 bytes\n");
	if (strstr(target, "seconds=") != NULL) /* the silence of the wait is ours */
		MHD_set_connection_option(connection, MHD_CONNECTION_OPTION_TIMEOUT, http->timeout + 600u);
	struct body body = {0};
	int status = neap_debug_handle(target, body_append, &body);
	const char *type = status == 200 ? neap_debug_type(target) : plain;
	if (status == 500) {
		free(body.bytes);
		return send_line(connection, 500,
				 "the answer could not be made: out of memory, or over 256 MB\n");
	}
	return send_response(connection, (unsigned)status, type,
			     MHD_create_response_from_buffer(body.len, body.bytes, MHD_RESPMEM_MUST_FREE));
}

/* Compares in a time that does not tell how much was right. */
static bool same_token(const char *token, const char *header)
{
	static const char scheme[] = "Bearer ";
	if (token == NULL || header == NULL || strncmp(header, scheme, sizeof scheme - 1) != 0)
		return false;
	header += sizeof scheme - 1;
	size_t len = strlen(token), got = strlen(header);
	unsigned wrong = len != got;
	for (size_t i = 0; i < got; i++)
		wrong |= (unsigned)(unsigned char)header[i] ^
			 (unsigned)(unsigned char)token[i % (len > 0 ? len : 1)];
	return wrong == 0 && len > 0;
}

static enum MHD_Result answer_post(const struct neap_http *http, struct MHD_Connection *connection,
				   const char *path)
{
	if (strcmp(path, "/debug/compact") != 0)
		return send_line(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "this page is read with GET\n");
	if (http->token == NULL)
		return send_line(connection, MHD_HTTP_FORBIDDEN,
				 "the program has set no token: POST is off\n");
	const char *header = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Authorization");
	if (!same_token(http->token, header))
		return send_line(connection, MHD_HTTP_UNAUTHORIZED,
				 "wrong or missing token: send 'Authorization: Bearer TOKEN'\n");
	char line[64];
	snprintf(line, sizeof line, "{\"schema\":1,\"returned\":%zu}\n", neap_debug_compact());
	return send_response(connection, MHD_HTTP_OK, "application/json",
			     MHD_create_response_from_buffer(strlen(line), line, MHD_RESPMEM_MUST_COPY));
}

/* ---- Requests ---- */

/* No Host, localhost, or a number: a name would be somebody else's idea of where this program is. */
static bool host_allowed(const char *host)
{
	if (host == NULL || *host == '\0')
		return true;
	size_t len = strcspn(host, ":");
	if (*host == '[' || (len == 9 && strncmp(host, "localhost", 9) == 0))
		return true;
	return strspn(host, "0123456789.") == len;
}

static enum MHD_Result answer(void *cls, struct MHD_Connection *connection, const char *path,
			      const char *method, const char *version, const char *upload,
			      size_t *upload_size, void **state)
{
	(void)version, (void)upload;
	static int seen;
	struct neap_http *http = cls;
	if (*state == NULL) { /* the head is here; the body, if any, follows */
		*state = &seen;
		return MHD_YES;
	}
	if (*upload_size != 0) { /* bodies are read and dropped */
		*upload_size = 0;
		return MHD_YES;
	}
	if (!host_allowed(MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Host")))
		return send_line(connection, MHD_HTTP_FORBIDDEN,
				 "Host must be localhost or an address in numbers\n");
	if (strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0)
		return answer_get(http, connection, path);
	if (strcmp(method, "POST") == 0)
		return answer_post(http, connection, path);
	return send_line(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "GET, HEAD and POST are understood\n");
}

/* ---- Life ---- */

static void keep_quiet(void *cls, const char *format, va_list arguments)
{
	(void)cls, (void)format,
		(void)arguments; /* a library does not print; a client's mistake is its own */
}

/* The threads that it starts inherit the mask: the program's signals stay the program's. */
static struct MHD_Daemon *start_daemon(struct neap_http *http, const struct neap_http_options *options)
{
	sigset_t all, before;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	unsigned connections = options->connections != 0 ? options->connections : CONNECTIONS;
	struct MHD_Daemon *daemon = MHD_start_daemon(
		MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_THREAD_PER_CONNECTION | MHD_USE_POLL, 0, NULL, NULL,
		answer, http, MHD_OPTION_LISTEN_SOCKET, http->listener.fd, MHD_OPTION_CONNECTION_LIMIT,
		connections, MHD_OPTION_CONNECTION_TIMEOUT, http->timeout, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
		(size_t)HEADERS_MOST, MHD_OPTION_THREAD_STACK_SIZE, (size_t)THREAD_STACK,
		MHD_OPTION_EXTERNAL_LOGGER, keep_quiet, NULL, MHD_OPTION_END);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return daemon;
}

struct neap_http *neap_http_start(const struct neap_http_options *options, char *ret_error)
{
	static const struct neap_http_options defaults;
	char error[LISTEN_ERROR] = "out of memory";
	if (options == NULL)
		options = &defaults;
	struct neap_http *http = calloc(1, sizeof *http);
	bool ready = http != NULL;
	if (ready) {
		http->listener.fd = -1;
		http->timeout = options->timeout_seconds != 0 ? options->timeout_seconds : TIMEOUT;
		http->token = options->token == NULL ? NULL : strdup(options->token);
		ready = options->token == NULL || http->token != NULL;
	}
	const char *address = options->address != NULL ? options->address : "127.0.0.1:6464";
	ready = ready && listen_on(address, &http->listener, error) == 0;
	if (ready && (http->daemon = start_daemon(http, options)) == NULL) {
		snprintf(error, sizeof error, "%.100s: the server could not be started", address);
		ready = false;
	}
	if (ready)
		return http;
	if (ret_error != NULL)
		memcpy(ret_error, error, sizeof error);
	neap_http_stop(http);
	return NULL;
}

void neap_http_stop(struct neap_http *http)
{
	if (http == NULL)
		return;
	if (http->daemon != NULL)
		MHD_stop_daemon(http->daemon); /* closes the socket */
	else if (http->listener.fd >= 0)
		close(http->listener.fd);
	if (http->listener.fd >= 0 && http->listener.path[0] != '\0')
		unlink(http->listener.path);
	free(http->token);
	free(http);
}

unsigned neap_http_port(const struct neap_http *http)
{
	return http->listener.port;
}
