/* page_cache.c: a cache that keeps nothing alive, and notes about objects of somebody else.
 *
 * Pages are decoded when they are asked for and shared by all who hold them. The cache knows each by a weak reference:
 * as long as anybody uses a page, asking for it again gives the same one; when nobody does, the collector takes it, and the
 * next request decodes it anew. Views are counted in a weak map: a note lives as long as its page, and may even lead
 * back to it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <neap/weak_map.h>

#define NEAP_MAP_NAME  cache
#define NEAP_MAP_KEY   unsigned
#define NEAP_MAP_VALUE struct neap_weak *
#include <neap/map_typed.h>

enum { PAGES = 2000, BYTES = 4000, IN_USE = 20 };

struct page {
	unsigned number;
	unsigned char *bytes; /* decoded */
};
NEAP_TYPE(page_type, struct page, bytes);

/* What the statistics module says about a page of the cache's. */
struct note {
	struct page *about;
	unsigned views;
};
NEAP_TYPE(note_type, struct note, about);

static unsigned decoded;

static void *checked(void *object)
{
	if (object == NULL) {
		fprintf(stderr, "page_cache: no memory\n");
		exit(1);
	}
	return object;
}

static struct page *decode(unsigned number)
{
	struct page *page = checked(neap_gc_alloc(&page_type));
	page->number = number;
	page->bytes = checked(neap_gc_alloc_data(BYTES));
	memset(page->bytes, (int)(number & 0xff), BYTES);
	decoded++;
	return page;
}

/* The page, from the cache if anybody still has it. The caller's pointer is what keeps it. */
static struct page *page_of(struct neap_map *cache, unsigned number)
{
	struct neap_weak **known = cache_get(cache, number);
	struct page *page = known != NULL ? neap_weak_get(*known) : NULL;
	if (page != NULL)
		return page;
	page = decode(number);
	struct neap_weak *weak = checked(neap_weak_create(page));
	if (known != NULL) {
		neap_weak_destroy(*known);
		*known = weak;
	} else if (cache_put(cache, number, weak) != 0) {
		exit(1);
	}
	return page;
}

static void count_view(struct neap_weak_map *notes, struct page *page)
{
	struct note *note = neap_weak_map_get(notes, page);
	if (note == NULL) {
		note = checked(neap_gc_alloc(&note_type));
		note->about =
			page; /* does not keep it: a note is kept by its page, not the other way round */
		if (neap_weak_map_put(notes, page, note) != NEAP_OK)
			exit(1);
	}
	note->views++;
}

static struct page *in_use[IN_USE]; /* what the program works with; static data is a root */

static __attribute__((noinline)) void browse(struct neap_map *cache, struct neap_weak_map *notes)
{
	for (unsigned round = 0; round < 3; round++)
		for (unsigned number = 0; number < PAGES; number++) {
			struct page *page = page_of(cache, number);
			count_view(notes, page);
			if (number % (PAGES / IN_USE) == 0)
				in_use[number / (PAGES / IN_USE)] = page;
		}
}

/* References to pages that are gone, which nobody asked for again. */
static bool is_gone(const void *number, void *value, void *ctx)
{
	struct neap_weak **weak = value;
	(void)number;
	(void)ctx;
	bool gone = neap_weak_get(*weak) == NULL;
	if (gone)
		neap_weak_destroy(*weak);
	return gone;
}

static __attribute__((noinline)) int report(struct neap_map *cache, struct neap_weak_map *notes)
{
	unsigned views = 0;
	for (unsigned i = 0; i < IN_USE; i++) {
		const struct note *note = neap_weak_map_get(notes, in_use[i]);
		if (note == NULL || note->about != in_use[i])
			return 1;
		views += note->views;
	}
	size_t dropped = neap_map_delete_if(cache, is_gone, NULL), left = neap_map_len(cache);
	printf("%u pages decoded; %zu in the cache, %zu dropped; %zu notes, %u views of the pages in use\n",
	       decoded, left, dropped, neap_weak_map_len(notes), views);
	/* Stacks are read conservatively: a stray word may keep a page or two. */
	return left >= IN_USE && left <= IN_USE + 5 && neap_weak_map_len(notes) <= left && views == 3 * IN_USE
		       ? 0
		       : 1;
}

static struct neap_weak_map *notes;

int main(void)
{
	struct neap_map *cache = checked(cache_create(NULL));
	notes = checked(neap_weak_map_create(NULL));
	browse(cache, notes);
	neap_gc_collect();
	int failed = report(cache, notes);
	neap_map_destroy(cache);
	return failed;
}
