/* debug.c: from the path of a request to one of the texts. */
#include "neap/debug.h"

#include <inttypes.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/collector.h"
#include "base/registry.h"
#include "base/releases.h"
#include "neap/gc.h"
#include "neap/heap.h"
#include "neap/snapshot.h"
#include "observe/kernel_book.h"
#include "observe/largest.h"
#include "observe/profile.h"
#include "observe/text.h"

enum { SECONDS_MOST = 300, MAPS_SHOWN = 1000 };

/* ---- JSON ---- */

/* Counters since the start; who asks twice sees what happened between. */
static void events_json(struct neap__text *text)
{
	const struct neap__collector_told *collector =
		atomic_load_explicit(&neap__collector_told, memory_order_acquire);
	struct neap_memstats stats = {.size = sizeof stats};
	if (collector != NULL)
		(void)collector->cycles(&stats);
	uint64_t pages = 0;
	for (int i = 0; i <= NEAP__DELAYS; i++)
		pages += atomic_load_explicit(&neap__releases.pages[i], memory_order_relaxed);
	neap__text_put(text, "\"collections\":%u,\"given_back\":%" PRIu64 "}\n", stats.NumGC,
		       pages * (uint64_t)sysconf(_SC_PAGESIZE));
}

void neap__account_json(struct neap__text *text)
{
	struct neap_account account;
	if (neap_account_process(&account) != NEAP_OK) {
		text->error = NEAP_EINVAL;
		return;
	}
	char lazy[24] = "null";
	if (account.lazy_free != SIZE_MAX)
		snprintf(lazy, sizeof lazy, "%zu", account.lazy_free);
	neap__text_put(
		text,
		"{\"schema\":1,\"rss\":%zu,\"live\":%zu,\"tombstone\":%zu,\"empty\":%zu,\"free_held\":%zu,"
		"\"other\":%zu,\"unexplained\":%td,",
		account.rss, account.live, account.tombstone, account.empty, account.free_held, account.other,
		account.unexplained);
	neap__text_put(text,
		       "\"malloc_live\":%zu,\"malloc_held\":%zu,\"heap_live\":%zu,\"heap_held\":%zu,"
		       "\"metadata\":%zu,\"file\":%zu,\"anonymous\":%zu,\"stacks_and_data\":%zu,"
		       "\"lazy_free\":%s,\"huge_pages\":%zu,\"maps\":%zu,\"entries\":%zu,",
		       account.malloc_live, account.malloc_held, account.heap_live, account.heap_held,
		       account.metadata, account.file, account.anonymous, account.other_anonymous, lazy,
		       account.huge_pages, account.spans, account.objects);
	events_json(text);
}

struct shown_map {
	uintptr_t address;
	const char *noun;
	struct neap__glance glance;
};

struct map_list {
	size_t maps;
	struct neap__largest largest;
	struct shown_map map[MAPS_SHOWN]; /* by the slots of `largest` */
};
_Static_assert((int)MAPS_SHOWN <= (int)NEAP__LARGEST_MOST, "the maps that are shown have places");

static bool list_map(const struct neap__link *link, void *ctx)
{
	struct map_list *list = ctx;
	struct shown_map map = {.address = (uintptr_t)link->object, .noun = link->species->noun};
	link->species->glance(link->object, &map.glance);
	list->maps++;
	uint32_t slot = neap__largest_offer(&list->largest, map.glance.total);
	if (slot != NEAP__NOT_LARGEST)
		list->map[slot] = map;
	return true;
}

static void map_json(struct neap__text *text, const struct shown_map *map)
{
	const struct neap__glance *glance = &map->glance;
	neap__text_put(text, "{\"name\":");
	neap__text_quote(text, glance->name[0] != '\0' ? glance->name : "unnamed");
	neap__text_put(
		text,
		",\"kind\":\"%s\",\"address\":\"0x%" PRIxPTR "\",\"len\":%zu,\"slots\":%zu,"
		"\"tombstone_slots\":%zu,\"live\":%zu,\"tombstone\":%zu,\"empty\":%zu,\"free_held\":%zu,"
		"\"metadata\":%zu,\"total\":%zu,\"exact\":%s}",
		map->noun, map->address, glance->len, glance->slots, glance->tombstone_slots, glance->live,
		glance->tombstone, glance->empty, glance->free_held, glance->metadata, glance->total,
		glance->exact ? "true" : "false");
}

void neap__maps_json(struct neap__text *text)
{
	struct map_list *list = neap__scratch(sizeof *list);
	if (list == NULL) {
		text->error = NEAP_ENOMEM;
		return;
	}
	list->largest.room = MAPS_SHOWN;
	(void)neap__registry_each(list_map, list);
	neap__largest_sort(&list->largest);
	neap__text_put(text, "{\"schema\":1,\"maps\":%zu,\"shown\":[", list->maps);
	for (uint32_t i = 0; i < list->largest.count; i++) {
		neap__text_put(text, i == 0 ? "\n" : ",\n");
		map_json(text, &list->map[list->largest.at[i].slot]);
	}
	neap__text_put(text, "\n]}\n");
	neap__scratch_free(list, sizeof *list);
}

/* ---- Giving back ---- */

static size_t (*compact_callback)(void *ctx);
static void *compact_ctx;

void neap_debug_on_compact(size_t (*compact)(void *ctx), void *ctx)
{
	compact_callback = compact;
	compact_ctx = ctx;
}

size_t neap_debug_compact(void)
{
	struct neap__kernel_book before, after;
	bool known = neap__kernel_book_read(&before, false) == NEAP_OK;
	size_t told = compact_callback != NULL ? compact_callback(compact_ctx) : 0;
	if (known && before.neap_heap > 0) /* else it was never used, and asking would start it */
		told += neap_heap_return();
	malloc_trim(0);
	if (!known || neap__kernel_book_read(&after, false) != NEAP_OK)
		return told;
	return before.rss > after.rss ? before.rss - after.rss : 0;
}

/* ---- Requests ---- */

/* The number after `name=` in a query: -1 when it is not there, -2 when it is no number below a million. */
static long query_number(const char *query, const char *name)
{
	size_t len = strlen(name);
	for (const char *at = query; at != NULL && *at != '\0'; at = strchr(at, '&')) {
		at += *at == '&' || *at == '?';
		if (strncmp(at, name, len) != 0 || at[len] != '=')
			continue;
		char *end;
		long number = strtol(at + len + 1, &end, 10);
		bool digits = at[len + 1] >= '0' && at[len + 1] <= '9';
		return digits && (*end == '&' || *end == '\0') && number < 1000000 ? number : -2;
	}
	return -1;
}

static void sleep_seconds(long seconds)
{
	struct timespec left = {seconds, 0};
	while (nanosleep(&left, &left) != 0)
		;
}

static int profile_request(const char *query, neap_write_fn *write, void *ctx)
{
	long seconds = query_number(query, "seconds"), gc = query_number(query, "gc");
	if (seconds < -1 || seconds == 0 || seconds > SECONDS_MOST)
		return neap__answer_line(400, "seconds must be a number from 1 to 300\n", write, ctx);
	if (gc < -1)
		return neap__answer_line(400, "gc must be 0 or 1\n", write, ctx);
	if (gc > 0)
		(void)neap_debug_compact();
	struct neap_profile *base = NULL, *profile = NULL;
	if (seconds > 0 && (base = neap_profile_take()) != NULL)
		sleep_seconds(seconds);
	int error = NEAP_ENOMEM;
	if ((seconds < 0 || base != NULL) && (profile = neap_profile_take()) != NULL) {
		if (base != NULL)
			neap_profile_subtract(profile, base);
		error = neap_profile_write(profile, write, ctx);
	}
	neap_profile_destroy(base);
	neap_profile_destroy(profile);
	return error == 0	      ? 200
	       : error == NEAP_ENOMEM ? neap__answer_line(503, "out of memory\n", write, ctx)
				      : 500;
}

static int snapshot_request(const char *query, neap_write_fn *write, void *ctx)
{
	(void)query;
	const int error = neap_snapshot_write(write, ctx);
	return error == 0	      ? 200
	       : error == NEAP_ENOMEM ? neap__answer_line(503, "out of memory\n", write, ctx)
				      : 500;
}

static const struct debug_page {
	const char *path, *type;
	void (*text)(struct neap__text *text); /* or */
	int (*answer)(const char *query, neap_write_fn *write, void *ctx);
} pages[] = {
	{"/metrics", "text/plain; version=0.0.4; charset=utf-8", neap__metrics_text, NULL},
	{"/debug/pprof/heap", "application/octet-stream", NULL, profile_request},
	{"/debug/maps", "application/json", neap__maps_json, NULL},
	{"/debug/snapshot", "application/octet-stream", NULL, snapshot_request},
	{"/debug/account", "application/json", neap__account_json, NULL},
	{"/debug/why", "application/json", NULL, neap__why_request},
};

static const struct debug_page *debug_page_of(const char *path)
{
	size_t len = strcspn(path, "?");
	for (size_t i = 0; i < sizeof pages / sizeof pages[0]; i++)
		if (strlen(pages[i].path) == len && memcmp(path, pages[i].path, len) == 0)
			return &pages[i];
	return NULL;
}

const char *neap_debug_type(const char *path)
{
	const struct debug_page *page = debug_page_of(path);
	return page == NULL ? NULL : page->type;
}

int neap_debug_handle(const char *path, neap_write_fn *write, void *ctx)
{
	const struct debug_page *page = debug_page_of(path);
	if (page == NULL)
		return neap__answer_line(404,
					 "no such page; there are /metrics, /debug/pprof/heap, /debug/maps, "
					 "/debug/snapshot, /debug/account, /debug/why\n",
					 write, ctx);
	if (page->text == NULL)
		return page->answer(path + strcspn(path, "?"), write, ctx);
	struct neap__text *text = neap__scratch(sizeof *text);
	if (text == NULL)
		return neap__answer_line(503, "out of memory\n", write, ctx);
	text->write = write;
	text->ctx = ctx;
	page->text(text);
	int error = neap__text_end(text);
	neap__scratch_free(text, sizeof *text);
	return error == 0 ? 200 : 500;
}
