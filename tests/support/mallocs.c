/* mallocs.c: a program that serves the debug endpoint and knows nothing but malloc. Tests only.
 *
 * usage: mallocs SECONDS     keeps 50,000 blocks of 200 bytes of 200,000; every call of malloc's kin must work on the way
 */
#include <errno.h>
#include <malloc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "neap/http.h"
#include "neap/profile.h"

enum { BLOCKS = 200000, SIZE = 200 };

static void need(int condition, const char *what)
{
	if (condition)
		return;
	fprintf(stderr, "mallocs: %s\n", what);
	exit(1);
}

/* Not inlined and not static, so that it is not put beside main, where pprof finds no names. */
__attribute__((noinline)) void load_with_malloc(char **blocks);

void load_with_malloc(char **blocks)
{
	for (int i = 0; i < BLOCKS; i++) {
		blocks[i] = malloc(SIZE);
		need(blocks[i] != NULL, "malloc");
		memset(blocks[i], 1, SIZE);
	}
}

static void use_the_others(void)
{
	const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	void *block = NULL, *whole = pvalloc(1), *paged = valloc(100), *aligned = aligned_alloc(64, 128);
	need(posix_memalign(&block, 3, 8) == EINVAL, "posix_memalign takes any alignment");
	need(posix_memalign(&block, 256, 8) == 0 && (uintptr_t)block % 256 == 0, "posix_memalign");
	need(whole != NULL && (uintptr_t)whole % page == 0 && malloc_usable_size(whole) >= page, "pvalloc");
	need(paged != NULL && (uintptr_t)paged % page == 0, "valloc");
	need(aligned != NULL && (uintptr_t)aligned % 64 == 0, "aligned_alloc");
	char *zeroed = calloc(10, 10), *longer = reallocarray(NULL, 10, 10);
	need(zeroed != NULL && zeroed[99] == 0 && longer != NULL, "calloc");
	strcpy(longer, "kept");
	longer = realloc(longer, 100000);
	need(longer != NULL && strcmp(longer, "kept") == 0, "realloc");
	void *const all[] = {block, whole, paged, aligned, zeroed, longer};
	for (size_t i = 0; i < sizeof all / sizeof *all; i++)
		free(all[i]);
}

int main(int argc, char **argv)
{
	static char *blocks[BLOCKS];
	char error[256];
	need(neap_profile_start(0) == NEAP_OK, "neap_profile_start");
	struct neap_http *http =
		neap_http_start(&(struct neap_http_options){.address = "127.0.0.1:0"}, error);
	need(http != NULL, error);
	load_with_malloc(blocks);
	for (int i = 0; i < BLOCKS; i++)
		if (i % 4 != 0)
			free(blocks[i]);
	use_the_others();
	printf("listening on port %u\n", neap_http_port(http));
	fflush(stdout);
	sleep(argc > 1 ? (unsigned)atoi(argv[1]) : 60);
	neap_http_stop(http);
	return 0;
}
