/* interner.c: one copy of each string, found again by content; equal strings get equal pointers.
 *
 * The strings live in the interner's own buffer and the map borrows them: a set whose keys point elsewhere. A
 * look-up needs no allocation.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NEAP_MAP_NAME  names
#define NEAP_MAP_KEY   struct neap_str
#define NEAP_MAP_KIND  NEAP_KEY_STR
#define NEAP_MAP_VALUE const char *
#include <neap/map_typed.h>

struct interner {
	struct neap_map *map;
	char *buffer;
	size_t used, size;
};

/* The interned copy of `text`, or NULL when there is no memory or the buffer is full. */
static const char *intern(struct interner *interner, const char *text)
{
	uint32_t len = (uint32_t)strlen(text);
	const char **known = names_get(interner->map, (struct neap_str){text, len, 0});
	if (known != NULL)
		return *known;
	if (interner->size - interner->used < len + 1u)
		return NULL;
	char *copy = memcpy(interner->buffer + interner->used, text, len + 1u);
	if (names_put(interner->map, (struct neap_str){copy, len, 0}, copy) != NEAP_OK)
		return NULL;
	interner->used += len + 1u;
	return copy;
}

int main(void)
{
	char buffer[256];
	struct interner interner = {names_create(NULL), buffer, 0, sizeof buffer};
	if (interner.map == NULL)
		return EXIT_FAILURE;
	char other[] = "neap";
	const char *a = intern(&interner, "neap"), *b = intern(&interner, "tide"),
		   *c = intern(&interner, other);
	printf("\"neap\" twice: %s; \"neap\" and \"tide\": %s; %zu strings, %zu bytes\n",
	       a == c ? "same" : "different", a == b ? "same" : "different", neap_map_len(interner.map),
	       interner.used);
	names_destroy(interner.map);
	return a == c && a != b ? EXIT_SUCCESS : EXIT_FAILURE;
}
