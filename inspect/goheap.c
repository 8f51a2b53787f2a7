/* goheap.c: finding and reading the spans. See goheap.h; goptr.c tells which words are pointers.
 *
 * A stripped program has no symbol for the heap. Its span table, a slice of pointers to span records, is
 * then found by looking at every slice among the global variables: most of 512 sampled elements must be
 * span records. The records themselves contradict or confirm the layout: the element size that a record
 * states must be the one of its size class, which no other word of memory repeats by chance.
 */
#include "goheap.h"

#include <assert.h>

#include <stdlib.h>
#include <string.h>

#include "goprocess.h"

enum {
	SPAN_DEAD = 0,
	SPAN_IN_USE = 1,
	SPAN_MANUAL = 2, /* stacks and the runtime's own */
	SAMPLE = 512,
	SAMPLE_BAD_LIMIT = 4,
	LARGE_PAGES_LIMIT = 1 << 27,
};

#define SPAN_LIMIT (1ull << 26) /* spans of a 512 GiB heap of single pages */

/* The runtime's size classes; the same in every version from 1.19 to 1.27. */
static const uint16_t class_size[] = {
	0,     8,     16,    24,    32,	   48,	  64,	 80,	96,    112,   128,   144,  160,	  176,
	192,   208,   224,   240,   256,   288,	  320,	 352,	384,   416,   448,   480,  512,	  576,
	640,   704,   768,   896,   1024,  1152,  1280,	 1408,	1536,  1792,  2048,  2304, 2688,  3072,
	3200,  3456,  4096,  4864,  5376,  6144,  6528,	 6784,	6912,  8192,  9472,  9728, 10240, 10880,
	12288, 13568, 14336, 16384, 18432, 19072, 20480, 21760, 24576, 27264, 28672, 32768};
static_assert(sizeof class_size / sizeof *class_size == GO_SIZE_CLASSES, "one size per class");

static uint64_t number_at(const uint8_t *bytes, uint32_t offset, unsigned width)
{
	uint64_t number = 0;
	memcpy(&number, bytes + offset, width);
	return number;
}

enum span_judgement { JUDGED_BAD, JUDGED_DEAD, JUDGED_GOOD };

static enum span_judgement judge_span(const struct go_layout *layout, const uint8_t *record)
{
	uint64_t base = number_at(record, layout->mspan_base, 8);
	uint64_t pages = number_at(record, layout->mspan_pages, 8);
	uint8_t state = record[layout->mspan_state];
	if (base % GO_PAGE != 0 || base >> GO_ADDRESS_BITS != 0 || state > SPAN_MANUAL ||
	    pages > LARGE_PAGES_LIMIT)
		return JUDGED_BAD;
	return state != SPAN_DEAD && base != 0 && pages != 0 ? JUDGED_GOOD : JUDGED_DEAD;
}

static const uint8_t *span_record(struct go_process *process, uint64_t table, uint64_t index)
{
	uint64_t address;
	if (!image_word(process->image, table + 8 * index, &address) || address < TARGET_PAGE ||
	    (address & 7) != 0)
		return NULL;
	return image_at(process->image, address, process->layout.mspan_size);
}

static bool is_span_table(struct go_process *process, uint64_t table, uint64_t count, uint64_t capacity)
{
	if (table < TARGET_PAGE || (table & 7) != 0 || count < 8 || count > capacity || capacity > SPAN_LIMIT)
		return false;
	unsigned good = 0, bad = 0;
	for (uint64_t i = 0; i < SAMPLE && bad <= SAMPLE_BAD_LIMIT; i++) {
		const uint8_t *record = span_record(process, table, (count - 1) * i / (SAMPLE - 1));
		if (record == NULL)
			return false;
		enum span_judgement judgement = judge_span(&process->layout, record);
		good += judgement == JUDGED_GOOD;
		bad += judgement == JUDGED_BAD;
	}
	return good >= SAMPLE_BAD_LIMIT && bad == 0;
}

static uint64_t find_mheap(struct go_process *process)
{
	struct go_heap *heap = &process->heap;
	uint64_t symbol = program_symbol(process->program, "runtime.mheap_");
	heap->found_by = "symbol";
	const void *said =
		symbol == 0 ? NULL : image_at(process->image, symbol + process->layout.mheap_allspans, 24);
	if (said != NULL) {
		uint64_t slice[3];
		memcpy(slice, said, sizeof slice);
		if (is_span_table(process, slice[0], slice[1], slice[2]))
			return symbol;
	}
	heap->found_by = "scan";
	const struct go_module *module = &process->module;
	const uint8_t *globals =
		image_at(process->image, module->globals, module->globals_end - module->globals);
	for (uint64_t at = 0; globals != NULL && at + 24 <= module->globals_end - module->globals; at += 8) {
		uint64_t slice[3];
		memcpy(slice, globals + at, sizeof slice);
		if (is_span_table(process, slice[0], slice[1], slice[2]))
			return module->globals + at - process->layout.mheap_allspans;
	}
	return symbol;
}

bool go_span_take(struct go_process *process, const uint8_t *record, struct go_span *ret)
{
	const struct go_layout *layout = &process->layout;
	unsigned width = layout->mspan_nelems - layout->mspan_freeindex; /* the two fields are neighbours */
	uint64_t count = number_at(record, layout->mspan_nelems, width);
	uint64_t freeindex = number_at(record, layout->mspan_freeindex, width);
	uint8_t class = record[layout->mspan_class];
	*ret = (struct go_span){
		.base = number_at(record, layout->mspan_base, 8),
		.pages = number_at(record, layout->mspan_pages, 8),
		.elem_size = number_at(record, layout->mspan_elem_size, 8),
		.specials = number_at(record, layout->mspan_specials, 8),
		.size_class = class >> 1,
		.noscan = (class & 1) != 0,
	};
	if (layout->mspan_large_type != 0 && ret->size_class == 0)
		ret->large_type = number_at(record, layout->mspan_large_type, 8);
	uint64_t size = ret->pages * GO_PAGE;
	if (ret->size_class >= GO_SIZE_CLASSES || ret->elem_size == 0 || ret->elem_size > size ||
	    count == 0 || count > size / ret->elem_size || !image_covers(process->image, ret->base, size))
		return false;
	if (ret->size_class == 0 ? count != 1 : ret->elem_size != class_size[ret->size_class])
		return false;
	ret->count = (uint32_t)count;
	ret->freeindex = (uint32_t)(freeindex < count ? freeindex : count);
	if (ret->size_class != 0)
		ret->magic = UINT32_MAX / (uint32_t)ret->elem_size + 1;
	ret->alloc_bits =
		image_at(process->image, number_at(record, layout->mspan_alloc_bits, 8), (count + 7) / 8);
	return true;
}

static int compare_spans(const void *left, const void *right)
{
	const struct go_span *a = left, *b = right;
	return a->base < b->base ? -1 : a->base > b->base;
}

/* A span that overlaps the one before was read while the heap changed. */
static void drop_overlaps(struct go_process *process)
{
	struct go_heap *heap = &process->heap;
	size_t kept = 0;
	for (size_t i = 0; i < heap->span_count; i++) {
		const struct go_span *before = kept == 0 ? NULL : &heap->spans[kept - 1];
		if (before != NULL && heap->spans[i].base < before->base + before->pages * GO_PAGE)
			process->torn++;
		else
			heap->spans[kept++] = heap->spans[i];
	}
	heap->span_count = kept;
}

static struct go_arena *arena_of(const struct go_heap *heap, uint64_t address)
{
	int32_t index = address >> GO_ADDRESS_BITS != 0 ? 0 : heap->arena_index[address >> GO_ARENA_SHIFT];
	return index == 0 ? NULL : &heap->arenas[index - 1];
}

struct go_arena *go_heap_arena(struct go_process *process, uint64_t address, bool sure)
{
	struct go_heap *heap = &process->heap;
	uint64_t table, record = 0;
	/* The runtime's table covers all 48 bits: the index of an arena is offset by half of the space. */
	const uint64_t half = 1ull << GO_ADDRESS_BITS;
	if (address >> GO_ADDRESS_BITS != 0)
		return NULL;
	if (arena_of(heap, address) != NULL)
		return arena_of(heap, address);
	if (image_word(process->image, heap->mheap + process->layout.mheap_arenas, &table))
		(void)target_read(process->target, table + 8 * ((address + half) >> GO_ARENA_SHIFT), &record,
				  sizeof record);
	if (record == 0 && !sure)
		return NULL;
	heap->arenas =
		make_room(heap->arenas, heap->arena_count, &heap->arena_capacity, sizeof *heap->arenas);
	heap->arenas[heap->arena_count++] =
		(struct go_arena){.base = address >> GO_ARENA_SHIFT << GO_ARENA_SHIFT,
				  .record = record,
				  .page_span = take(GO_ARENA_PAGES, sizeof(uint32_t))};
	heap->arena_index[address >> GO_ARENA_SHIFT] = (int32_t)heap->arena_count;
	return arena_of(heap, address);
}

static void mark_pages(struct go_process *process, uint64_t base, uint64_t pages, uint32_t number)
{
	for (uint64_t address = base; address < base + pages * GO_PAGE; address += GO_PAGE) {
		struct go_arena *arena = go_heap_arena(process, address, true);
		if (arena == NULL)
			continue;
		uint32_t *slot = &arena->page_span[address / GO_PAGE % GO_ARENA_PAGES];
		if (*slot == 0 || number != GO_PAGE_MANUAL)
			*slot = number;
	}
}

void go_heap_number(struct go_heap *heap)
{
	uint64_t blocks = (heap->object_count >> GO_SPAN_INDEX_SHIFT) + 1, block = 0;
	free(heap->span_index);
	heap->span_index = take(blocks, sizeof *heap->span_index);
	for (size_t i = 0; i < heap->span_count; i++) {
		uint64_t end = heap->spans[i].first + heap->spans[i].count;
		for (; block << GO_SPAN_INDEX_SHIFT < end; block++)
			heap->span_index[block] = (uint32_t)i;
	}
}

static void index_spans(struct go_process *process)
{
	struct go_heap *heap = &process->heap;
	for (size_t i = 0; i < heap->span_count; i++) {
		struct go_span *span = &heap->spans[i];
		span->first = heap->object_count;
		heap->object_count += span->count;
		heap->in_use_bytes += span->pages * GO_PAGE;
		mark_pages(process, span->base, span->pages, (uint32_t)i + 1);
	}
	go_heap_number(heap);
}

bool go_span_in_use(const struct go_process *process, const uint8_t *record)
{
	return record[process->layout.mspan_state] == SPAN_IN_USE;
}

static void take_manual(struct go_process *process, const uint8_t *record)
{
	uint64_t base = number_at(record, process->layout.mspan_base, 8);
	uint64_t pages = number_at(record, process->layout.mspan_pages, 8);
	if (base % GO_PAGE == 0 && base >> GO_ADDRESS_BITS == 0 && pages <= LARGE_PAGES_LIMIT &&
	    image_covers(process->image, base, pages * GO_PAGE))
		mark_pages(process, base, pages, GO_PAGE_MANUAL);
}

static int read_spans(struct go_process *process, uint64_t table, uint64_t count, struct problem *problem)
{
	struct go_heap *heap = &process->heap;
	heap->span_capacity = count + GO_SPANS_LATE;
	heap->spans = take(heap->span_capacity, sizeof *heap->spans);
	heap->arena_index = take(1ull << (GO_ADDRESS_BITS - GO_ARENA_SHIFT), sizeof *heap->arena_index);
	uint64_t unreadable = 0;
	for (uint64_t i = 0; i < count; i++) {
		const uint8_t *record = span_record(process, table, i);
		if (record == NULL)
			unreadable++;
		else if (record[process->layout.mspan_state] == SPAN_MANUAL)
			take_manual(process, record);
		else if (record[process->layout.mspan_state] != SPAN_IN_USE)
			continue;
		else if (go_span_take(process, record, &heap->spans[heap->span_count]))
			heap->span_count++;
		else
			heap->misfits++;
	}
	/* A few spans change hands while they are read; a wrong layout fails on nearly all. */
	if (heap->span_count == 0 || unreadable > count / 10 || heap->misfits > heap->span_count / 20 + 4)
		return problem_set(
			problem, PROBLEM_FEATURE,
			"%s: the heap does not have the layout that this version is believed to have: of "
			"%llu spans %llu fit, %llu contradict it and %llu can't be read",
			process->version.text, (unsigned long long)count,
			(unsigned long long)heap->span_count, (unsigned long long)heap->misfits,
			(unsigned long long)unreadable);
	process->torn += heap->misfits + unreadable;
	return 0;
}

/* All objects with pointers will be looked at; of those without, only a few keys. Neighbours are read together. */
static void preload(struct go_process *process)
{
	struct go_heap *heap = &process->heap;
	uint64_t start = 0, end = 0;
	for (size_t i = 0; i < heap->span_count; i++) {
		const struct go_span *span = &heap->spans[i];
		if (span->noscan)
			continue;
		if (span->base != end) {
			image_preload(process->image, start, end - start);
			start = span->base;
		}
		end = span->base + span->pages * GO_PAGE;
	}
	image_preload(process->image, start, end - start);
	image_read_small(process->image);
}

int go_heap_load(struct go_process *process, struct problem *problem)
{
	struct go_heap *heap = &process->heap;
	heap->mheap = find_mheap(process);
	const void *slice_at =
		heap->mheap == 0 ? NULL
				 : image_at(process->image, heap->mheap + process->layout.mheap_allspans, 24);
	if (slice_at == NULL)
		return problem_set(problem, PROBLEM_FEATURE, "%s: the heap's span table was not found",
				   process->version.text);
	uint64_t slice[3];
	memcpy(slice, slice_at, sizeof slice);
	if (!is_span_table(process, slice[0], slice[1], slice[2]))
		return problem_set(problem, PROBLEM_FEATURE,
				   "%s: no span table at 0x%llx, where the layout says",
				   process->version.text,
				   (unsigned long long)heap->mheap + process->layout.mheap_allspans);
	if (read_spans(process, slice[0], slice[1], problem) != 0)
		return -1;
	qsort(heap->spans, heap->span_count, sizeof *heap->spans, compare_spans);
	drop_overlaps(process);
	index_spans(process);
	preload(process);
	return 0;
}

void go_heap_free(struct go_heap *heap)
{
	for (size_t i = 0; i < heap->arena_count; i++)
		free(heap->arenas[i].page_span);
	free(heap->arenas);
	free(heap->arena_index);
	free(heap->span_index);
	free(heap->spans);
}

const uint8_t *go_span_memory(struct go_process *process, struct go_span *span)
{
	if (span->memory == NULL)
		span->memory = image_at(process->image, span->base, span->pages * GO_PAGE);
	return span->memory;
}

static bool has_type_words(const struct go_process *process)
{
	return process->layout.pointer_bits >= GO_BITS_IN_SPAN;
}

uint64_t go_heap_round(const struct go_process *process, uint64_t size, bool pointers)
{
	bool word = has_type_words(process) && pointers && size > GO_HEADER_FREE_MAX;
	uint64_t total = word && size <= GO_SMALL_MAX - 8 ? size + 8 : size;
	for (unsigned class = 1; total <= GO_SMALL_MAX && class < GO_SIZE_CLASSES; class ++)
		if (class_size[class] >= total)
			return class_size[class];
	return (total + GO_PAGE - 1) / GO_PAGE * GO_PAGE;
}

uint64_t go_heap_data(struct go_process *process, uint64_t address, struct go_span **span, uint64_t *type)
{
	uint32_t index;
	*type = 0;
	go_heap_fresh(process, address);
	*span = go_heap_object(&process->heap, address, &index);
	if (*span == NULL)
		return 0;
	uint64_t start = go_span_object(*span, index);
	if (has_type_words(process) && !(*span)->noscan && (*span)->elem_size > GO_HEADER_FREE_MAX) {
		if ((*span)->size_class == 0)
			*type = (*span)->large_type;
		else if (!image_word(process->image, start, type))
			return 0;
		else
			start += 8;
	}
	return start == address ? (*span)->elem_size : 0;
}
