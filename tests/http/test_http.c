/* test_http.c: what the debug endpoint answers, and that slow, many and malformed clients change nothing. */
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "neap/gc.h"
#include "neap/http.h"
#include "neap/map.h"

static struct neap_http *server;
static const char token[] = "s3cret";

static int connect_to(unsigned port)
{
	struct sockaddr_in name = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	struct timeval patience = {20, 0};
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&name, sizeof name), 0);
	return fd;
}

static void send_all(int fd, const char *bytes, size_t size)
{
	while (size > 0) {
		ssize_t sent = send(fd, bytes, size, MSG_NOSIGNAL);
		if (sent <= 0)
			return; /* the server hung up: the answer will tell */
		bytes += sent;
		size -= (size_t)sent;
	}
}

/* Everything until the server hangs up. */
static char answer[4 << 20];
static size_t receive_all(int fd)
{
	size_t len = 0;
	for (ssize_t got; len < sizeof answer - 1;) {
		got = recv(fd, answer + len, sizeof answer - 1 - len, 0);
		if (got == 0 ||
		    (got < 0 &&
		     errno != EINTR)) /* the collector's signal ends a recv that has a time limit */
			break;
		len += got > 0 ? (size_t)got : 0;
	}
	answer[len] = '\0';
	close(fd);
	return len;
}

/* The status of the answer; its text is in `answer`. */
static int ask_with(const char *method, const char *path, const char *host, const char *headers)
{
	char request[1024];
	int len =
		snprintf(request, sizeof request, "%s %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n%s\r\n",
			 method, path, host, headers);
	int fd = connect_to(neap_http_port(server));
	send_all(fd, request, (size_t)len);
	receive_all(fd);
	int status = 0;
	assert_int_equal(sscanf(answer, "HTTP/1.1 %d", &status), 1);
	return status;
}

static int ask(const char *method, const char *path)
{
	return ask_with(method, path, "localhost", "");
}

static int start(void **state)
{
	(void)state;
	char error[256];
	server = neap_http_start(
		&(struct neap_http_options){
			.address = "127.0.0.1:0", .token = token, .connections = 16, .timeout_seconds = 1},
		error);
	if (server == NULL)
		print_error("%s\n", error);
	return server == NULL;
}

static int stop(void **state)
{
	(void)state;
	neap_http_stop(server);
	return 0;
}

static void pages_are_there(void **state)
{
	(void)state;
	static const struct neap_map_type type = {
		.size = sizeof type, .key_size = 8, .key_align = 8, .value_align = 1};
	struct neap_map *map = neap_map_create(&type, &(struct neap_map_options){.name = "visible"});
	assert_non_null(map);
	assert_int_equal(ask("GET", "/metrics"), 200);
	assert_non_null(strstr(answer, "Content-Type: text/plain; version=0.0.4"));
	assert_non_null(strstr(answer, "neap_map_instances{map=\"visible\",kind=\"map\"} 1"));
	assert_int_equal(ask("GET", "/debug/maps"), 200);
	assert_non_null(strstr(answer, "\"name\":\"visible\""));
	assert_int_equal(ask("GET", "/debug/account"), 200);
	assert_int_equal(ask("GET", "/debug/pprof/heap"), 200);
	const char *body = strstr(answer, "\r\n\r\n") + 4;
	assert_memory_equal(body, "\x1f\x8b", 2);
	assert_int_equal(ask("GET", "/debug/pprof/heap?seconds=1"), 200);
	assert_int_equal(ask("GET", "/debug/pprof/heap?gc=1"), 200);
	assert_int_equal(ask("GET", "/debug/snapshot"), 200);
	assert_non_null(strstr(answer, "Content-Type: application/octet-stream"));
	body = strstr(answer, "\r\n\r\n") + 4;
	assert_memory_equal(body, "NEAPSTRM", 8);
	assert_int_equal(ask("GET", "/debug/why?address=0x10"), 404);
	assert_non_null(strstr(answer, "no collector runs in this program"));
	assert_int_equal(ask("GET", "/debug/why?address=oops"), 400);
	assert_int_equal(ask("GET", "/debug/neap"), 200);
	assert_non_null(strstr(answer, "/debug/neap/live.js"));
	assert_non_null(strstr(answer, "Content-Security-Policy: default-src 'none'"));
	assert_int_equal(ask("GET", "/debug/neap/live.js"), 200);
	assert_int_equal(ask("GET", "/debug/neap/uplot.js"), 200);
	assert_int_equal(ask("HEAD", "/metrics"), 200);
	assert_null(strstr(answer, "neap_maps"));
	neap_map_destroy(map);
}

static void wrong_requests_are_refused(void **state)
{
	(void)state;
	assert_int_equal(ask("GET", "/"), 404);
	assert_int_equal(ask("GET", "/debug/neap/../../etc/passwd"), 404);
	assert_int_equal(ask("GET", "/debug/pprof/heap?seconds=abc"), 400);
	assert_int_equal(ask("GET", "/debug/pprof/heap?seconds=1000"), 400);
	assert_int_equal(ask("DELETE", "/metrics"), 405);
	assert_int_equal(ask("POST", "/metrics"), 405);
	assert_int_equal(ask_with("GET", "/metrics", "evil.example", ""), 403);
	assert_int_equal(ask_with("GET", "/metrics", "localhost.evil.example", ""), 403);
	assert_int_equal(ask_with("GET", "/metrics", "127.0.0.1:8080", ""), 200);
}

static void posting_needs_the_token(void **state)
{
	(void)state;
	assert_int_equal(ask("POST", "/debug/compact"), 401);
	assert_int_equal(ask_with("POST", "/debug/compact", "localhost", "Authorization: Bearer wrong\r\n"),
			 401);
	assert_int_equal(ask_with("POST", "/debug/compact", "localhost", "Authorization: Bearer s3cre\r\n"),
			 401);
	assert_int_equal(
		ask_with("POST", "/debug/compact", "localhost", "Authorization: Bearer s3crets3cret\r\n"),
		401);
	assert_int_equal(ask_with("POST", "/debug/compact", "localhost", "Authorization: Bearer \r\n"), 401);
	assert_int_equal(ask_with("POST", "/debug/compact", "localhost",
				  "Authorization: Bearer s3cret\r\nContent-Length: 5\r\n\r\nhello"),
			 200);
	assert_non_null(strstr(answer, "\"returned\":"));
	assert_int_equal(ask("GET", "/debug/compact"), 404);
}

static void garbage_does_no_harm(void **state)
{
	(void)state;
	static const char *const garbage[] = {"\r\n\r\n\r\n",
					      "GET",
					      "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
					      "GET /metrics HTTP/9.9\r\n\r\n",
					      "GET \x01\xff HTTP/1.1\r\nHost: x\r\n\r\n",
					      "GET /%zz%00 HTTP/1.1\r\nHost: localhost\r\n\r\n",
					      "POST /debug/compact HTTP/1.1\r\nContent-Length: -1\r\n\r\n"};
	for (size_t i = 0; i < sizeof garbage / sizeof garbage[0]; i++) {
		int fd = connect_to(neap_http_port(server));
		send_all(fd, garbage[i], strlen(garbage[i]));
		shutdown(fd, SHUT_WR);
		receive_all(fd);
	}
	/* A head without end. */
	static char long_head[1 << 20];
	memset(long_head, 'a', sizeof long_head);
	memcpy(long_head, "GET /metrics HTTP/1.1\r\nX: ", 26);
	int fd = connect_to(neap_http_port(server));
	send_all(fd, long_head, sizeof long_head);
	receive_all(fd);
	assert_int_equal(ask("GET", "/metrics"), 200);
}

static void slow_clients_are_dropped_and_block_nobody(void **state)
{
	(void)state;
	enum { SLOW = 8 };
	int slow[SLOW];
	for (int i = 0; i < SLOW; i++) {
		slow[i] = connect_to(neap_http_port(server));
		send_all(slow[i], "GET /met", 8);
	}
	assert_int_equal(ask("GET", "/metrics"), 200);
	for (int i = 0; i < SLOW; i++) /* ends when the server hangs up, after a second */
		receive_all(slow[i]);
}

static void many_clients_are_turned_away(void **state)
{
	(void)state;
	enum { MANY = 60 };
	int many[MANY];
	for (int i = 0; i < MANY; i++)
		many[i] = connect_to(neap_http_port(server));
	for (int i = 0; i < MANY; i++)
		close(many[i]);
	int status = 0;
	for (int tries = 0; tries < 50 && status != 200; tries++) { /* the places become free again */
		int fd = connect_to(neap_http_port(server));
		send_all(fd, "GET /metrics HTTP/1.0\r\n\r\n", 25);
		receive_all(fd);
		if (sscanf(answer, "HTTP/1.%*d %d", &status) != 1)
			usleep(100000);
	}
	assert_int_equal(status, 200);
}

static void addresses_are_checked(void **state)
{
	(void)state;
	static const char *const wrong[] = {"",
					    "localhost",
					    "127.0.0.1",
					    "127.0.0.1:",
					    "127.0.0.1:x",
					    "1.2.3:99999",
					    "name.example:80",
					    "unix:",
					    "[::1:80",
					    "127.0.0.1:65536"};
	char error[256];
	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		assert_null(neap_http_start(&(struct neap_http_options){.address = wrong[i]}, error));
		assert_non_null(strstr(error, wrong[i]));
	}
	char taken[64];
	snprintf(taken, sizeof taken, "127.0.0.1:%u", neap_http_port(server));
	assert_null(neap_http_start(&(struct neap_http_options){.address = taken}, error));
	assert_non_null(strstr(error, taken));
	assert_non_null(strstr(error, "in use"));
	assert_null(neap_http_start(&(struct neap_http_options){.address = taken}, NULL));
}

static void a_unix_socket_is_private_and_replaced(void **state)
{
	(void)state;
	char path[64], address[80], error[256];
	snprintf(path, sizeof path, "/tmp/neap-http-test-%d.sock", (int)getpid());
	snprintf(address, sizeof address, "unix:%s", path);
	/* A file that a dead process left. */
	struct sockaddr_un name = {.sun_family = AF_UNIX};
	strcpy(name.sun_path, path);
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&name, sizeof name), 0);
	close(fd);
	struct neap_http *local = neap_http_start(&(struct neap_http_options){.address = address}, error);
	assert_non_null(local);
	struct stat file;
	assert_int_equal(stat(path, &file), 0);
	assert_int_equal(file.st_mode & 0777, 0600);
	assert_int_equal(neap_http_port(local), 0);
	assert_null(neap_http_start(&(struct neap_http_options){.address = address},
				    error)); /* somebody answers */
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&name, sizeof name), 0);
	send_all(fd, "POST /debug/compact HTTP/1.0\r\n\r\n", 32);
	receive_all(fd);
	assert_non_null(strstr(answer, " 403 ")); /* no token was set: POST is off */
	neap_http_stop(local);
	assert_int_not_equal(stat(path, &file), 0);
}

struct kept {
	uint64_t number;
	struct kept *next;
};
NEAP_TYPE(kept_type, struct kept, next);
static struct kept *kept;

/* The path that asks for what keeps the second of two objects. */
static __attribute__((noinline)) void make_kept(char *path, size_t size)
{
	kept = neap_gc_alloc(&kept_type);
	assert_non_null(kept);
	neap_store(&kept->next, neap_gc_alloc(&kept_type));
	snprintf(path, size, "/debug/why?address=%p", (void *)kept->next);
}

static __attribute__((noinline, no_sanitize_address)) void scrub(void)
{
	char junk[16384];
	memset(junk, 0, sizeof junk);
	__asm__ volatile("" ::"r"(junk) : "memory"); /* somebody might read it */
}

/* A thread of the server asks, which has never heard of the collector and blocks all signals. */
static void what_keeps_an_object_is_told(void **state)
{
	(void)state;
	static char path[80];
#if defined(__SANITIZE_THREAD__)
	skip(); /* it holds the collector's signals back */
#endif
	make_kept(path, sizeof path);
	scrub();
	assert_int_equal(ask("GET", path), 200);
	assert_non_null(strstr(answer, "\"root\":\"static\""));
	assert_non_null(strstr(answer, "\"type\":\"struct kept\",\"offset\":8}"));
	neap_gc_collect(); /* the server's thread stands in nobody's way */
	assert_non_null(kept->next);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pages_are_there),
		cmocka_unit_test(wrong_requests_are_refused),
		cmocka_unit_test(posting_needs_the_token),
		cmocka_unit_test(garbage_does_no_harm),
		cmocka_unit_test(slow_clients_are_dropped_and_block_nobody),
		cmocka_unit_test(many_clients_are_turned_away),
		cmocka_unit_test(addresses_are_checked),
		cmocka_unit_test(a_unix_socket_is_private_and_replaced),
		cmocka_unit_test(what_keeps_an_object_is_told),
	};
	return cmocka_run_group_tests(tests, start, stop);
}
