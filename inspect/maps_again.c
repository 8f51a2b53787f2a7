/* maps_again.c: what did not fit together is read again, in short stops of the process.
 *
 *   torn      a map whose type is known and whose count is a little off
 *   suspect   a header that leads nowhere: it was half written, or its array is younger than the list of spans
 *
 * Nothing is judged in a stop, and hardly anything is looked for:
 *
 *   rehearse   while the process runs: a suspect that nearly fits by now is torn; what a torn map consists of is read, and
 *              the pieces are noted
 *   stop       map by map, as long as there is time: its pieces with one call, then what they lead to and was not among them
 *   judge      while the process runs again
 *
 * All stops of a look together have a limit (target_stop_left). A map that takes more than is left of it stays torn.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "freeze.h"
#include "maps.h"

enum { SUSPECTS_LIMIT = 256, STOPS = 4, HEADER_MAX = 64 };

/* What it takes to read a map in the stop, seconds a byte. */
#define SECONDS_PER_BYTE 0.5e-9

/* Of a processor, that a process uses before "it did not change" is believed; and how long that is waited for. */
#define SIFT_MOMENT_SECONDS 0.05 /* goroutines take turns of 10 ms */
#define SIFT_WAIT_SECONDS   1.0

/* A header that leads nowhere: half written, or its array is younger than the list of spans. Or it is no map at all: in a
   process that runs, one that stays as it is for a moment is none. */
void maps_suspect(struct go_process *process, struct maps *maps, const struct go_map_header *header)
{
	uint64_t array = process->layout.maps == GO_MAP_CLASSIC ? header->buckets : header->directory;
	if (maps->suspect_count == SUSPECTS_LIMIT || (!header->writing && !process->target->changing) ||
	    go_heap_arena(process, array, false) == NULL)
		return;
	maps->suspects = make_room(maps->suspects, maps->suspect_count, &maps->suspect_capacity,
				   sizeof *maps->suspects);
	maps->suspects[maps->suspect_count++] = *header;
}

/* Marks the suspects whose header is another now; returns how many are marked. */
static size_t mark_changed(struct go_process *process, struct maps *maps, bool *changed)
{
	size_t kept = 0, size = process->layout.maps == GO_MAP_CLASSIC ? process->layout.hmap_size
								       : process->layout.swiss_size;
	uint8_t now[HEADER_MAX];
	for (size_t i = 0; i < maps->suspect_count; i++) {
		const void *then = image_at(process->image, maps->suspects[i].address, size);
		changed[i] |= then != NULL && size <= sizeof now &&
			      target_read(process->target, maps->suspects[i].address, now, size) &&
			      memcmp(then, now, size) != 0;
		kept += changed[i];
	}
	return kept;
}

/* On a busy machine the process may not have run since. It had its moment when it used a processor for a while, or when no
   thread of it wants to run. */
void maps_sift_suspects(struct go_process *process, struct maps *maps)
{
	if (process->target->mode == TARGET_CLONED || maps->suspect_count == 0)
		return;
	bool *changed = take(maps->suspect_count, sizeof *changed), ready = true;
	double start = target_processor_seconds(process->target, &ready),
	       limit = monotonic_seconds() + SIFT_WAIT_SECONDS;
	while (mark_changed(process, maps, changed) < maps->suspect_count && ready &&
	       monotonic_seconds() < limit &&
	       target_processor_seconds(process->target, &ready) - start < SIFT_MOMENT_SECONDS)
		nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
	size_t kept = 0;
	for (size_t i = 0; i < maps->suspect_count; i++)
		if (changed[i])
			maps->suspects[kept++] = maps->suspects[i];
	maps->suspect_count = kept;
	free(changed);
}

/* One map, or suspect, that is read in the stop. */
struct reading {
	uint64_t address;
	const struct go_map_type *type; /* NULL for a suspect: then every type that could be is followed */
	size_t index;			/* in maps.list, or in maps.suspects */
	size_t first, end;		/* its pieces, from the rehearsal */
	bool read;
};

struct plan {
	struct reading *list;
	size_t count, capacity;
	double seconds; /* that reading it takes */
};

static void begin_moment(struct go_process *process)
{
	process->heap.moment = (uint8_t)image_new_moment(process->image);
}

/* Everything that the map consists of, as it is at this moment. */
static void read_map(struct go_process *process, const struct go_map_types *types,
		     const struct reading *reading)
{
	const struct go_map_visitor visitor = {.reads_only = true};
	const struct go_map_type *walked = NULL;
	struct go_map_header header;
	go_heap_look_again(process, reading->address);
	image_renew(process->image, reading->address, HEADER_MAX);
	if (!go_map_header(process, reading->address, &header))
		return;
	if (reading->type != NULL) {
		(void)go_map_walk(process, &header, reading->type, &visitor);
		return;
	}
	for (size_t i = 0; i < types->count; i++) {
		if (walked == NULL || !go_map_type_same_layout(walked, &types->list[i]))
			(void)go_map_walk(process, &header, &types->list[i], &visitor);
		walked = &types->list[i];
	}
}

/* Finds what a suspect is; it is one no longer when that succeeds. */
static bool try_suspect(struct go_process *process, struct maps *maps, uint64_t address,
			enum map_effort effort)
{
	struct go_map_header header;
	uint32_t index;
	const struct go_span *span = go_heap_object(&process->heap, address, &index);
	if (span == NULL || !go_map_header(process, address, &header))
		return false;
	struct map_trial trial = maps_try_types(process, maps, &header, effort);
	if (trial.best != NULL)
		maps_add(process, maps, &header, &trial, span->first + index);
	return trial.best != NULL;
}

/* A suspect whose array was only too young is a map by now, though it keeps changing. */
static void try_suspects(struct go_process *process, struct maps *maps)
{
	size_t left = 0;
	for (size_t i = 0; i < maps->suspect_count; i++) {
		go_heap_look_again(process, maps->suspects[i].address);
		image_renew(process->image, maps->suspects[i].address, HEADER_MAX);
		if (!try_suspect(process, maps, maps->suspects[i].address, MAP_ACCEPT_TORN))
			maps->suspects[left++] = maps->suspects[i];
	}
	maps->suspect_count = left;
}

static void rehearse(struct go_process *process, const struct maps *maps, struct plan *plan,
		     struct reading reading)
{
	reading.first = image_pieces(process->image);
	read_map(process, &maps->types, &reading);
	reading.end = image_pieces(process->image);
	plan->seconds +=
		(double)image_piece_bytes(process->image, reading.first, reading.end) * SECONDS_PER_BYTE;
	plan->list = make_room(plan->list, plan->count, &plan->capacity, sizeof *plan->list);
	plan->list[plan->count++] = reading;
}

/* Suspects first, and no more than fits into the stop. */
static struct plan make_plan(struct go_process *process, const struct maps *maps)
{
	struct plan plan = {0};
	double left = target_stop_left(process->target, NULL);
	for (size_t i = 0; i < maps->suspect_count && plan.seconds < left; i++)
		rehearse(process, maps, &plan,
			 (struct reading){.address = maps->suspects[i].address, .index = i});
	for (size_t i = 0; i < maps->count && plan.seconds < left; i++) {
		const struct found_map *map = &maps->list[i];
		if (map->torn)
			rehearse(process, maps, &plan,
				 (struct reading){
					 .address = map->header.address, .type = map->type, .index = i});
	}
	return plan;
}

static bool read_in_stop(struct go_process *process, const struct maps *maps, struct plan *plan)
{
	struct freeze freeze;
	struct problem ignored = {0};
	if (plan->count == 0 || target_stop(process->target, &freeze, &ignored) != 0)
		return false;
	begin_moment(process);
	for (size_t i = 0; i < plan->count; i++) {
		struct reading *reading = &plan->list[i];
		uint64_t bytes = image_piece_bytes(process->image, reading->first, reading->end);
		if (target_stop_left(process->target, &freeze) < (double)bytes * SECONDS_PER_BYTE)
			continue;
		image_renew_pieces(process->image, reading->first, reading->end);
		read_map(process, &maps->types, reading);
		reading->read = true;
	}
	target_go_on(process->target, &freeze);
	return true;
}

static bool mend(struct go_process *process, struct found_map *map)
{
	struct go_map_header header;
	struct map_counts counts;
	if (!go_map_header(process, map->header.address, &header) ||
	    !maps_try(process, &header, map->type, &counts) || !maps_agree(process, &header, &counts, true))
		return false;
	map->header = header;
	map->counts = counts;
	map->growing = header.old_buckets != 0;
	map->torn = false;
	process->torn--;
	return true;
}

/* True when another stop may be of use: a map was read in the midst of a change, or there was no time for all. */
static bool judge(struct go_process *process, struct maps *maps, const struct plan *plan)
{
	size_t mended = 0, caught = 0, left = 0;
	for (size_t i = 0; i < plan->count; i++) {
		const struct reading *reading = &plan->list[i];
		bool torn = reading->type != NULL;
		if (!reading->read)
			continue;
		bool is = torn ? mend(process, &maps->list[reading->index])
			       : try_suspect(process, maps, reading->address, MAP_STILL);
		if (is && !torn)
			maps->suspects[reading->index].address = 0;
		mended += is;
		caught += torn && !is;
	}
	for (size_t i = 0; i < maps->suspect_count; i++)
		if (maps->suspects[i].address != 0)
			maps->suspects[left++] = maps->suspects[i];
	maps->suspect_count = left;
	for (size_t i = 0; i < maps->count; i++)
		left += maps->list[i].torn;
	return caught > 0 || (mended > 0 && left > 0);
}

/* Rehearsal, stop and judgement; true when another may be of use. */
static bool read_once_more(struct go_process *process, struct maps *maps)
{
	if (target_ranges_again(process->target))
		image_extend(process->image);
	begin_moment(process);
	try_suspects(process, maps);
	begin_moment(process);
	struct plan plan = make_plan(process, maps);
	bool more = read_in_stop(process, maps, &plan) && judge(process, maps, &plan);
	process->heap.moment = 0;
	go_heap_number(&process->heap);
	free(plan.list);
	return more;
}

/* Several short stops rather than a long one; together they are no longer than one may be. */
void maps_read_again(struct go_process *process, struct maps *maps)
{
	bool any = maps->suspect_count > 0;
	for (size_t i = 0; i < maps->count; i++)
		any |= maps->list[i].torn;
	if (!any || !process->target->changing)
		return;
	for (int stop = 0; stop < STOPS && target_stop_left(process->target, NULL) > 0; stop++)
		if (!read_once_more(process, maps))
			return;
}
