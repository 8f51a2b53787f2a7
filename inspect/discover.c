/* discover.c: finds the maps. See maps.h.
 *
 * Headers on the heap are looked for in the one size class that they can have, and only where the pointer
 * mask is a header's: three pointers in an hmap, one in a Swiss map. Headers of maps that do not escape lie
 * on stacks, where every word may begin one.
 *
 * A live target changes under the reader. When a header's map almost fits (the count is a little off), its
 * memory is read again; when it still does not fit, once more in a short stop (maps_again.c); and when that does not
 * help, it is reported as torn rather than dropped or guessed.
 */
#include <stdlib.h>
#include <string.h>

#include "maps.h"

enum {
	SAMPLED_SLOTS = 24, /* enough to separate types whose groups have one shape */
	SAMPLED_HASHES = 8,
	HASHES_CONFIRM = 2,
	RETRIES = 3,
	MASK_WORDS = 64,
	IMPOSSIBLE = -1000000,
	SCORE_CONTRADICTED = IMPOSSIBLE / 2, /* better than no type: the map is one, by all else */
	SCORE_CONFIRMED = 10000,
};

/* A header's words that are pointers, bit by bit. */
enum {
	MASK_CLASSIC = 1 << 2 | 1 << 3 | 1 << 5,
	MASK_CLASSIC_CLEARS = 1 << 2 | 1 << 3 | 1 << 6,
	MASK_SWISS = 1 << 2,
};

struct counting {
	const struct go_map_type *type;
	struct map_counts *counts;
};

static bool has_bytes(const uint8_t *bytes, size_t size)
{
	for (; size >= 8; bytes += 8, size -= 8) {
		uint64_t word;
		memcpy(&word, bytes, sizeof word);
		if (word != 0)
			return true;
	}
	for (size_t i = 0; i < size; i++)
		if (bytes[i] != 0)
			return true;
	return false;
}

static void count_block(void *context, uint64_t address, uint64_t size, bool old)
{
	(void)address;
	struct counting *counting = context;
	counting->counts->block_bytes += size;
	counting->counts->old_bytes += old ? size : 0;
}

static void count_group(void *context, const struct go_group *group)
{
	struct counting *counting = context;
	struct map_counts *counts = counting->counts;
	counts->groups++;
	counts->slots += GO_GROUP_SLOTS;
	if (group->depth > counts->longest_chain)
		counts->longest_chain = group->depth;
	uint64_t of[GO_SLOT_STALE + 1] = {0};
	for (unsigned slot = 0; slot < GO_GROUP_SLOTS; slot++) {
		enum go_slot state = group->slots[slot];
		of[state]++;
		if (state == GO_SLOT_TOMBSTONE || state == GO_SLOT_EMPTY)
			counts->ghosts += has_bytes(go_slot_key(counting->type, group->bytes, slot),
						    counting->type->key_size);
	}
	counts->live += of[GO_SLOT_LIVE];
	counts->old_live += group->old ? of[GO_SLOT_LIVE] : 0;
	counts->tombstones += of[GO_SLOT_TOMBSTONE];
	counts->empty += of[GO_SLOT_EMPTY];
	counts->moved += of[GO_SLOT_MOVED];
	counts->stale += of[GO_SLOT_STALE];
}

bool maps_try(struct go_process *process, const struct go_map_header *header, const struct go_map_type *type,
	      struct map_counts *ret)
{
	*ret = (struct map_counts){0};
	struct counting counting = {type, ret};
	struct go_map_visitor visitor = {.context = &counting, .block = count_block, .group = count_group};
	return go_map_walk(process, header, type, &visitor);
}

bool maps_agree(const struct go_process *process, const struct go_map_header *header,
		const struct map_counts *counts, bool still)
{
	still |= !process->target->changing;
	return counts->live == header->count ||
	       (still && header->writing && counts->live + 1 >= header->count &&
		counts->live <= header->count + 1);
}

/* How far a live count may be off before "written while it was read" stops being the explanation. */
static bool nearly(uint64_t live, uint64_t count)
{
	uint64_t distance = live > count ? live - count : count - live;
	return count > 64 && distance <= 64 + count / 20;
}

/* The groups' pointer mask, where the heap keeps one, must be the type's. */
static bool mask_fits(struct go_process *process, uint64_t groups, const struct go_map_type *type)
{
	uint32_t index;
	uint64_t mask;
	struct go_span *span = go_heap_object(&process->heap, groups, &index);
	const uint8_t *want = go_type_mask(process, type->group);
	if (span == NULL || span->noscan || want == NULL || !go_object_mask(process, span, index, &mask))
		return true;
	uint64_t words = type->group_size / 8, pointers = go_type_pointer_bytes(process, type->group) / 8;
	for (uint64_t i = 0; i < words && i < MASK_WORDS && i < span->elem_size / 8; i++) {
		bool is = (mask >> i & 1) != 0, should = i < pointers && (want[i / 8] >> (i % 8) & 1) != 0;
		if (is != should)
			return false;
	}
	return true;
}

/* Scores the contents of a map by sampling live slots. */
struct sampling {
	struct go_process *process;
	const struct go_map_type *type;
	int score;
	unsigned left;
	bool enough;
};

static bool indirect_fits(struct sampling *sampling, const uint8_t *slot, uint64_t type)
{
	uint64_t address, stored;
	struct go_span *span;
	memcpy(&address, slot, sizeof address);
	uint64_t size = go_heap_data(sampling->process, address, &span, &stored);
	bool pointers = go_type_pointer_bytes(sampling->process, type) != 0;
	return size == go_heap_round(sampling->process, go_type_size(sampling->process, type), pointers);
}

static bool slot_fits(struct sampling *sampling, const uint8_t *bytes, uint64_t type, bool indirect)
{
	return indirect ? indirect_fits(sampling, bytes, type)
			: go_content_fits(sampling->process, type, bytes, &sampling->score);
}

static void sample_group(void *context, const struct go_group *group)
{
	struct sampling *sampling = context;
	const struct go_map_type *type = sampling->type;
	for (unsigned slot = 0; slot < GO_GROUP_SLOTS && sampling->left > 0; slot++) {
		if (group->slots[slot] != GO_SLOT_LIVE)
			continue;
		sampling->left--;
		if (!slot_fits(sampling, go_slot_key(type, group->bytes, slot), type->key,
			       type->key_indirect) ||
		    !slot_fits(sampling, go_slot_elem(type, group->bytes, slot), type->elem,
			       type->elem_indirect)) {
			sampling->score = IMPOSSIBLE;
			sampling->left = 0;
		}
	}
	sampling->enough = sampling->left == 0;
}

static int score_contents(struct go_process *process, const struct go_map_header *header,
			  const struct go_map_type *type)
{
	struct sampling sampling = {process, type, 0, SAMPLED_SLOTS, false};
	struct go_map_visitor visitor = {
		.context = &sampling, .group = sample_group, .enough = &sampling.enough};
	(void)go_map_walk(process, header, type, &visitor);
	return sampling.score;
}

/* What the hashes of the keys say when these are taken as the type's. No other evidence is as strong: every key of
   another type contradicts, but for one in 128. Of a map that is being written to, a few may be off. */
static int score_hashes(struct go_process *process, const struct go_hash_key *key,
			const struct go_map_header *header, const struct go_map_type *type)
{
	uint64_t checked, agreed;
	go_hash_check(process, key, header, type, SAMPLED_HASHES, &checked, &agreed);
	if (agreed * 2 < checked)
		return SCORE_CONTRADICTED;
	return checked >= HASHES_CONFIRM ? SCORE_CONFIRMED : 0;
}

static void try_type(struct go_process *process, const struct go_hash_key *key,
		     const struct go_map_header *header, uint64_t groups, const struct go_map_type *type,
		     const struct map_counts *counts, bool exact, struct map_trial *trial)
{
	if (!mask_fits(process, groups, type))
		return;
	int score = score_contents(process, header, type);
	if (score <= IMPOSSIBLE)
		return;
	score += score_hashes(process, key, header, type);
	if (trial->best == NULL || score > trial->score) {
		trial->best = type;
		trial->counts = *counts;
		trial->exact = exact;
		trial->score = score;
		trial->candidates = 1;
	} else if (score == trial->score) {
		trial->candidates++;
	}
}

struct map_trial maps_try_types(struct go_process *process, const struct maps *maps,
				const struct go_map_header *header, enum map_effort effort)
{
	const struct go_map_types *types = &maps->types;
	struct map_trial trial = {0};
	struct go_span *span;
	uint64_t groups = go_map_first_groups(process, header), stored = 0;
	(void)go_heap_data(process, groups, &span, &stored);
	const struct go_map_type *walked = NULL;
	struct map_counts counts = {0};
	bool fits = false, exact = false;
	for (size_t i = 0; types->list != NULL && i < types->count; i++) {
		const struct go_map_type *type = &types->list[i];
		if ((stored != 0 && type->group != stored) ||
		    (span != NULL && span->noscan == type->pointers))
			continue;
		if (walked == NULL || !go_map_type_same_layout(walked, type)) {
			fits = maps_try(process, header, type, &counts);
			exact = fits && maps_agree(process, header, &counts, effort == MAP_STILL);
			walked = type;
		}
		bool near = fits && !exact && nearly(counts.live, header->count);
		trial.near_miss |= near;
		if (exact || (effort == MAP_ACCEPT_TORN && near))
			try_type(process, &maps->hash_key, header, groups, type, &counts, exact, &trial);
	}
	return trial;
}

/* Reads a map again: its header, its arrays, and of a Swiss map the tables too. */
static void forget_object(struct go_process *process, uint64_t address)
{
	uint32_t index;
	const struct go_span *span = go_heap_object(&process->heap, address, &index);
	if (span != NULL)
		image_forget(process->image, go_span_object(span, index), span->elem_size);
}

static void forget_map(struct go_process *process, const struct go_map_header *header)
{
	forget_object(process, header->address);
	forget_object(process, header->buckets);
	forget_object(process, header->old_buckets);
	for (uint64_t i = 0; i < header->directory_length; i++) {
		uint64_t table, groups;
		if (!image_word(process->image, header->directory + i * 8, &table) ||
		    go_heap_span(&process->heap, table) == NULL)
			break;
		if (image_word(process->image, table + 16, &groups))
			forget_object(process, groups);
		forget_object(process, table);
	}
	forget_object(process, header->directory);
}

static bool is_tiny(const struct go_process *process, const struct go_map_header *header)
{
	return header->count == 0 || (process->layout.maps == GO_MAP_SWISS && header->directory_length == 0);
}

static enum map_confidence judge(struct go_process *process, const struct go_map_header *header,
				 const struct map_trial *trial)
{
	struct go_span *span;
	uint64_t stored;
	(void)go_heap_data(process, go_map_first_groups(process, header), &span, &stored);
	if (stored != 0)
		return trial->candidates == 1 ? MAP_HEADER : MAP_AMBIGUOUS;
	if (is_tiny(process, header))
		return MAP_UNCONFIRMED;
	if (trial->score < SCORE_CONTRADICTED / 2)
		return MAP_AMBIGUOUS; /* none of the types that fit is its type */
	return trial->candidates == 1 ? MAP_INFERRED : MAP_AMBIGUOUS;
}

/* A map without an array: only its holder can tell that it is one. */
static bool is_bare(const struct go_map_header *header)
{
	return header->buckets == 0 && header->directory == 0;
}

void maps_add(struct go_process *process, struct maps *maps, const struct go_map_header *header,
	      const struct map_trial *trial, uint64_t object)
{
	maps->list = make_room(maps->list, maps->count, &maps->capacity, sizeof *maps->list);
	struct found_map *map = &maps->list[maps->count++];
	*map = (struct found_map){.header = *header,
				  .type = trial->best,
				  .candidates = trial->candidates,
				  .object = object,
				  .counts = trial->counts,
				  .growing = header->old_buckets != 0};
	if (trial->best != NULL)
		map->confidence = judge(process, header, trial);
	map->torn = trial->best != NULL && !trial->exact;
	process->torn += map->torn;
}

static bool try_header(struct go_process *process, struct maps *maps, uint64_t address, uint64_t object)
{
	struct go_map_header header;
	struct map_trial trial = {0};
	if (!go_map_header(process, address, &header))
		return false;
	if (is_bare(&header)) {
		if (object != GO_NO_OBJECT)
			maps_add(process, maps, &header, &trial, object);
		return object != GO_NO_OBJECT;
	}
	for (int attempt = 0; attempt <= RETRIES; attempt++) {
		trial = maps_try_types(process, maps, &header,
				       attempt == RETRIES ? MAP_ACCEPT_TORN : MAP_EXACT);
		if (trial.best != NULL || !trial.near_miss || !process->target->changing)
			break;
		forget_map(process, &header);
		if (!go_map_header(process, address, &header))
			return false;
	}
	if (trial.best == NULL && object != GO_NO_OBJECT && header.count > 0)
		maps_suspect(process, maps, &header);
	/* on a stack, where no mask helps, only a map with entries counts */
	if (trial.best == NULL || (object == GO_NO_OBJECT && is_tiny(process, &header)))
		return false;
	maps_add(process, maps, &header, &trial, object);
	return true;
}

static void scan_heap(struct go_process *process, struct maps *maps)
{
	const struct go_layout *layout = &process->layout;
	bool classic = layout->maps == GO_MAP_CLASSIC;
	uint64_t size = classic ? layout->hmap_size : layout->swiss_size, mask;
	uint64_t want = !classic ? MASK_SWISS : layout->hmap_size > 48 ? MASK_CLASSIC_CLEARS : MASK_CLASSIC;
	for (size_t i = 0; i < process->heap.span_count; i++) {
		struct go_span *span = &process->heap.spans[i];
		if (span->noscan || span->elem_size != go_heap_round(process, size, true))
			continue;
		if (go_span_memory(process, span) == NULL) {
			process->torn++;
			continue;
		}
		for (uint32_t index = 0; index < span->count; index++)
			if (go_span_allocated(span, index) && go_object_mask(process, span, index, &mask) &&
			    mask == want)
				try_header(process, maps, go_span_object(span, index), span->first + index);
	}
}

static void scan_stacks(struct go_process *process, struct maps *maps)
{
	bool classic = process->layout.maps == GO_MAP_CLASSIC;
	uint64_t size = classic ? process->layout.hmap_size : process->layout.swiss_size;
	for (size_t i = 0; i < process->stacks.count; i++) {
		const struct go_stack *stack = &process->stacks.list[i];
		for (uint64_t at = stack->sp; at + size <= stack->high; at += 8) {
			uint64_t count, groups;
			memcpy(&count, stack->memory + (at - stack->sp), sizeof count);
			memcpy(&groups, stack->memory + (at - stack->sp) + 16, sizeof groups);
			if (count != 0 && groups != 0 && try_header(process, maps, at, GO_NO_OBJECT))
				at += size - 8;
		}
	}
}

void maps_discover(struct go_process *process, struct maps *maps)
{
	scan_heap(process, maps);
	scan_stacks(process, maps);
}
