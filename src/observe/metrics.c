/* metrics.c: the state of the program as Prometheus text, version 0.0.4.
 *
 * Names mirror those that people know: neap_memstats_* is go_memstats_* for Neap's heap, process_* is what every
 * client library has. Maps are summed up by name, because two series must not have the same labels; the NAMES_MOST
 * names that hold most bytes have series of their own, all others share one with the name "(other)". So a page has at
 * most 9 * 257 series of maps, however many there are.
 */
#include <dirent.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/registry.h"
#include "base/releases.h"
#include "neap/heap.h"
#include "observe/kernel_book.h"
#include "observe/largest.h"
#include "observe/metrics.h"
#include "observe/profile.h"
#include "observe/sites.h"
#include "observe/text.h"

enum {
	NAMES_MOST = 256,
	SPARE_NAMES = 1024 /* of maps that are made between counting and looking */
};

struct named_sum {
	char name[64];
	const char *noun;
	uint64_t maps, len, slots, tombstone_slots;
	uint64_t live, tombstone, empty, free_held, metadata;
};

struct metrics {
	struct neap__text *text;
	struct neap_account account;
	uint64_t maps;
	uint32_t names, room, mask; /* of `sum`; of `slot` */
	uint32_t *slot;		    /* hash of name and noun -> number of the sum + 1 */
	struct named_sum *sum;
	struct named_sum rest; /* of all names that are not shown */
	struct neap__largest largest;
	const struct named_sum *shown[NAMES_MOST + 1]; /* the rest, if any, is the last */
	unsigned shown_count;
};

/* ---- Maps by name ---- */

static struct named_sum *sum_for(struct metrics *metrics, const char *name, const char *noun)
{
	uint32_t hash = 2166136261u;
	for (const char *at = name; *at != '\0'; at++)
		hash = (hash ^ (uint8_t)*at) * 16777619u;
	hash ^= (uint32_t)noun[0] * 0x9e3779b9u;
	uint32_t at = (hash ^ hash >> 16) & metrics->mask;
	for (; metrics->slot[at] != 0; at = (at + 1) & metrics->mask) {
		struct named_sum *sum = &metrics->sum[metrics->slot[at] - 1];
		if (sum->noun == noun && strcmp(sum->name, name) == 0)
			return sum;
	}
	if (metrics->names == metrics->room)
		return &metrics->rest;
	struct named_sum *sum = &metrics->sum[metrics->names];
	metrics->slot[at] = ++metrics->names;
	memcpy(sum->name, name, strlen(name) + 1);
	sum->noun = noun;
	return sum;
}

static uint64_t bytes_under_name(const struct named_sum *sum)
{
	return sum->live + sum->tombstone + sum->empty + sum->free_held + sum->metadata;
}

static void add_to_rest(struct named_sum *rest, const struct named_sum *sum)
{
	rest->maps += sum->maps;
	rest->len += sum->len;
	rest->slots += sum->slots;
	rest->tombstone_slots += sum->tombstone_slots;
	rest->live += sum->live;
	rest->tombstone += sum->tombstone;
	rest->empty += sum->empty;
	rest->free_held += sum->free_held;
	rest->metadata += sum->metadata;
}

/* Divides the names into those that are shown and the rest. */
static void choose_names(struct metrics *metrics)
{
	metrics->largest.room = NAMES_MOST;
	for (uint32_t i = 0; i < metrics->names; i++) {
		const struct named_sum *lighter = &metrics->sum[i];
		uint32_t slot = neap__largest_offer(&metrics->largest, bytes_under_name(lighter));
		if (slot != NEAP__NOT_LARGEST) {
			lighter = metrics->shown[slot];
			metrics->shown[slot] = &metrics->sum[i];
		}
		if (lighter != NULL)
			add_to_rest(&metrics->rest, lighter);
	}
	metrics->shown_count = metrics->largest.count;
	if (metrics->rest.maps == 0)
		return;
	memcpy(metrics->rest.name, "(other)", sizeof "(other)");
	metrics->rest.noun = "any";
	metrics->shown[metrics->shown_count++] = &metrics->rest;
}

static void sum_map(const struct neap__link *link, const struct neap__glance *glance, bool on_heap, void *ctx)
{
	(void)on_heap;
	struct metrics *metrics = ctx;
	struct named_sum *sum =
		sum_for(metrics, glance->name[0] != '\0' ? glance->name : "unnamed", link->species->noun);
	metrics->maps++;
	sum->maps++;
	sum->len += glance->len;
	sum->slots += glance->slots;
	sum->tombstone_slots += glance->tombstone_slots;
	sum->live += glance->live;
	sum->tombstone += glance->tombstone;
	sum->empty += glance->empty;
	sum->free_held += glance->free_held;
	sum->metadata += glance->metadata;
}

/* ---- Families ---- */

void neap__metric_family(struct neap__text *text, const char *name, const char *type, const char *help)
{
	neap__text_put(text, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

void neap__metric(struct neap__text *text, const char *name, const char *type, const char *help,
		  double number)
{
	neap__metric_family(text, name, type, help);
	neap__text_put(text, "%s %.17g\n", name, number);
}

void neap__metric_labelled(struct neap__text *text, const char *name, const char *label, const char *is,
			   double number)
{
	neap__text_put(text, "%s{%s=\"%s\"} %.17g\n", name, label, is, number);
}

static void of_map(struct neap__text *text, const char *name, const struct named_sum *sum, const char *label,
		   const char *is, uint64_t number)
{
	neap__text_put(text, "%s{map=", name);
	neap__text_quote(text, sum->name);
	neap__text_put(text, ",kind=\"%s\"", sum->noun);
	if (label != NULL)
		neap__text_put(text, ",%s=\"%s\"", label, is);
	neap__text_put(text, "} %" PRIu64 "\n", number);
}

static void map_families(const struct metrics *metrics)
{
	struct neap__text *text = metrics->text;
	unsigned count = metrics->shown_count;
	neap__metric(text, "neap_maps", "gauge", "Maps that exist.", (double)metrics->maps);
	if (count == 0)
		return;
	neap__metric_family(text, "neap_map_instances", "gauge", "Maps of this name.");
	for (unsigned i = 0; i < count; i++)
		of_map(text, "neap_map_instances", metrics->shown[i], NULL, NULL, metrics->shown[i]->maps);
	neap__metric_family(text, "neap_map_slots", "gauge", "Slots of the maps of this name by state.");
	for (unsigned i = 0; i < count; i++) {
		const struct named_sum *sum = metrics->shown[i];
		uint64_t used = sum->len + sum->tombstone_slots;
		of_map(text, "neap_map_slots", sum, "state", "live", sum->len);
		of_map(text, "neap_map_slots", sum, "state", "tombstone", sum->tombstone_slots);
		of_map(text, "neap_map_slots", sum, "state", "empty",
		       sum->slots > used ? sum->slots - used : 0);
	}
	neap__metric_family(text, "neap_map_bytes", "gauge", "Bytes of the maps of this name by part.");
	for (unsigned i = 0; i < count; i++) {
		const struct named_sum *sum = metrics->shown[i];
		of_map(text, "neap_map_bytes", sum, "part", "live", sum->live);
		of_map(text, "neap_map_bytes", sum, "part", "tombstone", sum->tombstone);
		of_map(text, "neap_map_bytes", sum, "part", "empty", sum->empty);
		of_map(text, "neap_map_bytes", sum, "part", "free_held", sum->free_held);
		of_map(text, "neap_map_bytes", sum, "part", "metadata", sum->metadata);
	}
}

static void account_families(const struct metrics *metrics)
{
	struct neap__text *text = metrics->text;
	const struct neap_account *account = &metrics->account;
	static const char resident[] = "neap_resident_bytes";
	neap__metric_family(text, resident, "gauge",
			    "Resident memory by part; the parts add up to process_resident_memory_bytes.");
	neap__metric_labelled(text, resident, "part", "live", (double)account->live);
	neap__metric_labelled(text, resident, "part", "tombstone", (double)account->tombstone);
	neap__metric_labelled(text, resident, "part", "empty", (double)account->empty);
	neap__metric_labelled(text, resident, "part", "free_held", (double)account->free_held);
	neap__metric_labelled(text, resident, "part", "other", (double)account->other);
	neap__metric_labelled(text, resident, "part", "unexplained", (double)account->unexplained);
	neap__metric_family(text, "neap_malloc_bytes", "gauge",
			    "Of these, malloc's blocks that belong to no map, by state.");
	neap__metric_labelled(text, "neap_malloc_bytes", "state", "live", (double)account->malloc_live);
	neap__metric_labelled(text, "neap_malloc_bytes", "state", "free_held", (double)account->malloc_held);
	if (account->lazy_free != SIZE_MAX)
		neap__metric(text, "neap_lazy_free_bytes", "gauge",
			     "Freed with MADV_FREE, resident until memory gets short.",
			     (double)account->lazy_free);
	neap__metric(text, "neap_huge_page_bytes", "gauge", "Anonymous memory in huge pages.",
		     (double)account->huge_pages);
}

static void heap_families(struct neap__text *text, const struct neap_account *account)
{
	struct neap_heap_stats heap = {.size = sizeof heap};
	if (account->heap_live + account->heap_held > 0) /* else asking would start it */
		(void)neap_heap_stats(&heap);
	double in_use = (double)(heap.live_bytes + heap.free_held_bytes);
	neap__metric(text, "neap_memstats_heap_alloc_bytes", "gauge", "Bytes in blocks that were not freed.",
		     (double)heap.live_bytes);
	neap__metric(text, "neap_memstats_heap_inuse_bytes", "gauge",
		     "Resident bytes of the heap, its books left out.", in_use);
	neap__metric(text, "neap_memstats_heap_idle_bytes", "gauge",
		     "Resident bytes of the heap in no block.", (double)heap.free_held_bytes);
	neap__metric(text, "neap_memstats_heap_released_bytes", "gauge",
		     "Address space that was used and given back.", (double)heap.returned_bytes);
	neap__metric(text, "neap_memstats_heap_sys_bytes", "gauge",
		     "Address space of the heap, used now or once.", in_use + (double)heap.returned_bytes);
	neap__metric(text, "neap_memstats_heap_objects", "gauge", "Blocks that were not freed.",
		     (double)heap.live_blocks);
	neap__metric(text, "neap_memstats_mallocs_total", "counter", "Blocks allocated.",
		     (double)heap.mallocs);
	neap__metric(text, "neap_memstats_frees_total", "counter", "Blocks freed.", (double)heap.frees);
	neap__metric(text, "neap_memstats_other_sys_bytes", "gauge", "The heap's books.",
		     (double)heap.metadata_bytes);
	neap__metric(text, "neap_memstats_sys_bytes", "gauge", "Resident bytes of the heap with its books.",
		     in_use + (double)heap.metadata_bytes);
	neap__metric(text, "neap_memstats_returned_bytes_total", "counter",
		     "Bytes given back to the system, each time.", (double)heap.total_returned_bytes);
}

static void release_family(struct neap__text *text)
{
	static const char name[] = "neap_delete_to_release_seconds";
	uint64_t pages = 0;
	neap__metric_family(text, name, "histogram",
			    "Pages given back, by the time since the last free on them.");
	for (int i = 0; i < NEAP__DELAYS; i++) {
		pages += atomic_load_explicit(&neap__releases.pages[i], memory_order_relaxed);
		neap__text_put(text, "%s_bucket{le=\"%g\"} %" PRIu64 "\n", name,
			       neap__delay_bound[i] / 1000.0, pages);
	}
	pages += atomic_load_explicit(&neap__releases.pages[NEAP__DELAYS], memory_order_relaxed);
	neap__text_put(text, "%s_bucket{le=\"+Inf\"} %" PRIu64 "\n", name, pages);
	neap__text_put(text, "%s_sum %.17g\n%s_count %" PRIu64 "\n", name,
		       (double)atomic_load_explicit(&neap__releases.page_ms, memory_order_relaxed) / 1000.0,
		       name, pages);
}

static void profile_families(struct neap__text *text)
{
	struct neap__sampling_stats stats;
	neap__sampling_stats_get(&stats);
	neap__metric(text, "neap_profile_rate_bytes", "gauge", "Mean bytes between two samples; 0 when off.",
		     (double)neap_profile_rate());
	neap__metric(text, "neap_profile_samples_total", "counter", "Allocations sampled.",
		     (double)stats.samples);
	neap__metric(text, "neap_profile_lost_total", "counter", "Samples that found no room.",
		     (double)stats.lost);
	neap__metric(text, "neap_profile_unwinder_walks_total", "counter",
		     "Walks of a stack that took the whole unwinder.",
		     (double)atomic_load_explicit(&neap__unwinder_walks, memory_order_relaxed));
}

/* ---- The process ---- */

struct process_times {
	uint64_t start_ticks, boot_seconds, virtual_bytes;
};

static void stat_line(const char *line, void *ctx)
{
	struct process_times *times = ctx;
	const char *at = strrchr(line, ')'); /* the command before it may hold anything */
	for (int field = 2; at != NULL && field < 22; field++)
		at = strchr(at + 1, ' ');
	if (at == NULL)
		return;
	char *end;
	times->start_ticks = strtoull(at, &end, 10);
	times->virtual_bytes = strtoull(end, NULL, 10);
}

static void boot_line(const char *line, void *ctx)
{
	if (strncmp(line, "btime ", 6) == 0)
		((struct process_times *)ctx)->boot_seconds = strtoull(line + 6, NULL, 10);
}

static unsigned open_files(void)
{
	unsigned count = 0;
	DIR *files = opendir("/proc/self/fd");
	if (files == NULL)
		return 0;
	while (readdir(files) != NULL)
		count++;
	closedir(files);
	return count > 3 ? count - 3 : 0; /* ".", "..", and the folder that is being read */
}

static void process_families(struct neap__text *text, const struct neap_account *account)
{
	struct process_times times = {0};
	struct timespec used = {0};
	struct rlimit files = {0};
	(void)neap__each_line("/proc/self/stat", stat_line, &times);
	(void)neap__each_line("/proc/stat", boot_line, &times);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
	getrlimit(RLIMIT_NOFILE, &files);
	neap__metric(text, "process_resident_memory_bytes", "gauge", "Resident memory size in bytes.",
		     (double)account->rss);
	neap__metric(text, "process_virtual_memory_bytes", "gauge", "Virtual memory size in bytes.",
		     (double)times.virtual_bytes);
	neap__metric(text, "process_cpu_seconds_total", "counter",
		     "Total user and system CPU time spent in seconds.",
		     (double)used.tv_sec + (double)used.tv_nsec / 1e9);
	neap__metric(text, "process_start_time_seconds", "gauge",
		     "Start time of the process since unix epoch in seconds.",
		     (double)times.boot_seconds + (double)times.start_ticks / (double)sysconf(_SC_CLK_TCK));
	neap__metric(text, "process_open_fds", "gauge", "Number of open file descriptors.", open_files());
	neap__metric(text, "process_max_fds", "gauge", "Maximum number of open file descriptors.",
		     (double)files.rlim_cur);
}

/* One block for the books of a page: what is not used of it costs nothing. */
static struct metrics *metrics_create(struct neap__text *text, size_t *ret_size)
{
	uint32_t room = (uint32_t)neap__registry_count() + SPARE_NAMES, slots = 1;
	while (slots < 2 * room)
		slots *= 2;
	size_t slot_bytes = slots * sizeof(uint32_t);
	*ret_size = sizeof(struct metrics) + room * sizeof(struct named_sum) + slot_bytes;
	struct metrics *metrics = neap__scratch(*ret_size);
	if (metrics == NULL)
		return NULL;
	metrics->text = text;
	metrics->room = room;
	metrics->mask = slots - 1;
	metrics->sum = (struct named_sum *)(metrics + 1);
	metrics->slot = (uint32_t *)(metrics->sum + room);
	return metrics;
}

void neap__metrics_text(struct neap__text *text)
{
	size_t size;
	struct metrics *metrics = metrics_create(text, &size);
	if (metrics == NULL) {
		text->error = NEAP_ENOMEM;
		return;
	}
	if (neap__account_census(&metrics->account, sum_map, metrics) != NEAP_OK)
		metrics->account = (struct neap_account){0};
	choose_names(metrics);
	account_families(metrics);
	heap_families(text, &metrics->account);
	map_families(metrics);
	release_family(text);
	neap__collector_metrics(text);
	profile_families(text);
	process_families(text, &metrics->account);
	neap__scratch_free(metrics, size);
}
