/* typing.c: types flow from what is known to what it points to.
 *
 * Known to begin with: global variables (where DWARF is left), objects that carry a type word (Go 1.22 on),
 * the dynamic type in every interface value, wherever one lies. From there a pointer of type *T makes an
 * object a T, a T with a field of map type makes what that field points to a map of exactly that type, and a
 * map of known type types the keys and values in it.
 *
 * Nothing recurses along the target's pointers: what is found goes on a work list. Only long arrays nest on the
 * stack, as deep as their types do.
 */
#include <stdlib.h>
#include <string.h>

#include "maps.h"
#include "typeplan.h"

enum {
	DEPTH_LIMIT = 12, /* of arrays and of interfaces that hold a struct in place */
	ELEMENTS_LIMIT = 1 << 20,
	UNDER_WAY = 16,
	SLICE_BYTES = 24,
	CHAN_QUEUED = 8, /* hchan: qcount, dataqsiz, buf */
	CHAN_BUFFER = 16,
	CHAN_HEAD = 24,
};

/* In object_types: a map's header, which no holder's type can change. No stored type has this number. */
enum { OBJECT_IS_MAP = 1 };

enum task_kind { TASK_OBJECT, TASK_STATIC, TASK_MAP };

struct task {
	enum task_kind kind;
	uint64_t address, type, count; /* object: number in address; map: header in address */
};

/* A pointer that was found and will be followed a moment later, when what it points to is in the cache. */
struct typed_pointer {
	const struct go_span *span;
	uint64_t address, type;
	uint32_t index;
	bool array;
};

struct typing {
	struct go_process *process;
	struct maps *maps;
	struct type_plans *plans;
	struct task *tasks;
	size_t count, capacity;
	struct typed_pointer under_way[UNDER_WAY];
	uint64_t arrivals;    /* since all settled */
	uint8_t *static_seen; /* a bit per word of the global variables */
	bool data_too;	      /* also objects without pointers, which hold nothing */
	uint64_t left;	      /* values that may still be looked at */
};

static void push(struct typing *typing, struct task task)
{
	typing->tasks = make_room(typing->tasks, typing->count, &typing->capacity, sizeof *typing->tasks);
	typing->tasks[typing->count++] = task;
}

uint64_t maps_object_type(const struct go_process *process, const struct maps *maps, uint64_t object,
			  bool *array)
{
	uint32_t stored = maps->object_types[object];
	*array = stored > OBJECT_IS_MAP && (stored & 1) != 0;
	return stored <= OBJECT_IS_MAP ? 0 : process->module.types + ((uint64_t)(stored >> 1) - 1) * 8;
}

/* Bit 0: an array of the type; above: the descriptor's place in the types section, plus 1. */
static void store_type(struct typing *typing, uint64_t object, uint64_t type, bool array)
{
	uint64_t place = (type - typing->process->module.types) / 8 + 1;
	if (place < UINT32_MAX / 2)
		typing->maps->object_types[object] = (uint32_t)(place << 1 | array);
}

static bool is_static(const struct go_process *process, uint64_t address, uint64_t size)
{
	const struct go_module *module = &process->module;
	return address >= module->globals && address < module->globals_end &&
	       size <= module->globals_end - address;
}

static void type_static(struct typing *typing, uint64_t address, uint64_t type, uint64_t count)
{
	uint64_t size = go_type_size(typing->process, type);
	if (size == 0 || go_type_pointer_bytes(typing->process, type) == 0 || (address & 7) != 0 ||
	    count > ELEMENTS_LIMIT || size > UINT32_MAX || !is_static(typing->process, address, size * count))
		return;
	uint64_t bit = (address - typing->process->module.globals) / 8;
	if ((typing->static_seen[bit / 8] >> (bit % 8) & 1) != 0)
		return;
	typing->static_seen[bit / 8] |= (uint8_t)(1u << (bit % 8));
	push(typing, (struct task){TASK_STATIC, address, type, count});
}

/* An object above 512 bytes that tells its type itself needs none from its holder. */
static bool is_told(struct typing *typing, uint64_t address, const struct go_span *span)
{
	struct go_span *same;
	uint64_t stored = 0;
	return span->elem_size > GO_HEADER_FREE_MAX &&
	       (go_heap_data(typing->process, address, &same, &stored) == 0 || stored != 0);
}

static void settle(struct typing *typing, const struct typed_pointer *pointer)
{
	struct go_process *process = typing->process;
	const struct go_span *span = pointer->span;
	uint64_t object = span->first + pointer->index, size = go_type_size(process, pointer->type);
	uint32_t stored = typing->maps->object_types[object];
	bool known_array;
	if (size > span->elem_size || stored == OBJECT_IS_MAP ||
	    (stored != 0 &&
	     go_type_size(process, maps_object_type(process, typing->maps, object, &known_array)) >= size))
		return;
	if (is_told(typing, pointer->address, span) ||
	    (span->elem_size <= GO_HEADER_FREE_MAX &&
	     go_span_object(span, pointer->index) != pointer->address))
		return;
	store_type(typing, object, pointer->type, pointer->array);
	if (!span->noscan)
		push(typing, (struct task){TASK_OBJECT, object, pointer->type, pointer->array});
}

static void type_object(struct typing *typing, uint64_t address, uint64_t type, bool array)
{
	uint32_t index;
	const struct go_span *span = go_heap_object(&typing->process->heap, address, &index);
	if (span == NULL || (span->noscan && !typing->data_too))
		return;
	struct typed_pointer *place = &typing->under_way[typing->arrivals++ % UNDER_WAY], oldest = *place;
	*place = (struct typed_pointer){span, address, type, index, array};
	__builtin_prefetch(&typing->maps->object_types[span->first + index]);
	if (span->memory != NULL)
		__builtin_prefetch(span->memory + (address - span->base));
	if (typing->arrivals > UNDER_WAY)
		settle(typing, &oldest);
}

/* What is still under way settles. */
static void settle_all(struct typing *typing)
{
	uint64_t count = typing->arrivals < UNDER_WAY ? typing->arrivals : UNDER_WAY;
	for (uint64_t i = typing->arrivals - count; i < typing->arrivals; i++)
		settle(typing, &typing->under_way[i % UNDER_WAY]);
	typing->arrivals = 0;
}

static void type_target(struct typing *typing, uint64_t address, uint64_t type, uint64_t count, bool array)
{
	if (address == 0 || type == 0)
		return;
	if (is_static(typing->process, address, 1))
		type_static(typing, address, type, count);
	else
		type_object(typing, address, type, array);
}

/* A holder says that the map at `header` has this type. The map may have been taken for another one. */
static void type_map(struct typing *typing, uint64_t header, uint64_t type)
{
	struct found_map *map = maps_at(typing->maps, header);
	const struct go_map_type *known = map == NULL ? NULL : go_map_types_find(&typing->maps->types, type);
	if (known == NULL || map->confidence == MAP_TYPED)
		return;
	if (map->type == NULL || !go_map_type_same_layout(map->type, known)) {
		struct map_counts counts;
		if (!maps_try(typing->process, &map->header, known, &counts) ||
		    (!map->torn && !maps_agree(typing->process, &map->header, &counts, true)))
			return;
		map->counts = counts;
	}
	map->type = known;
	map->candidates = 1;
	map->confidence = MAP_TYPED;
	push(typing, (struct task){TASK_MAP, header, 0, 0});
}

static void walk_value(struct typing *typing, uint64_t type, const uint8_t *bytes, int depth);

static uint64_t word(const uint8_t *bytes, size_t index)
{
	uint64_t value;
	memcpy(&value, bytes + index * 8, sizeof value);
	return value;
}

static void walk_slice(struct typing *typing, uint64_t elem, const uint8_t *bytes)
{
	uint64_t capacity = word(bytes, 2);
	if (capacity != 0)
		type_target(typing, word(bytes, 0), elem, capacity, true);
}

static void walk_dynamic(struct typing *typing, uint64_t dynamic, const uint8_t *data, int depth)
{
	if (go_type_is_direct(typing->process, dynamic))
		walk_value(typing, dynamic, data, depth + 1);
	else
		type_target(typing, word(data, 0), dynamic, 1, false);
}

/* The dynamic type that the first word of an interface value names, 0 for none. */
static uint64_t dynamic_type(struct go_process *process, uint64_t first)
{
	return go_type_valid(process, first) ? first : go_itab_type(process, first);
}

static void walk_interface(struct typing *typing, bool bare, const uint8_t *bytes, int depth)
{
	struct go_process *process = typing->process;
	uint64_t first = word(bytes, 0);
	if (first == 0 || word(bytes, 1) == 0)
		return;
	uint64_t dynamic = bare ? (go_type_valid(process, first) ? first : 0) : go_itab_type(process, first);
	if (dynamic != 0)
		walk_dynamic(typing, dynamic, bytes + 8, depth);
}

static void walk_channel(struct typing *typing, uint64_t type, uint64_t address)
{
	struct go_process *process = typing->process;
	struct go_span *span;
	uint64_t stored, elem = go_type_elem(process, type);
	const uint8_t *head = image_at(process->image, address, CHAN_HEAD);
	uint64_t size = go_heap_data(process, address, &span, &stored);
	if (head == NULL || size == 0 || elem == 0 || go_type_pointer_bytes(process, elem) == 0)
		return;
	uint64_t capacity = word(head, CHAN_QUEUED / 8), buffer = word(head, CHAN_BUFFER / 8);
	uint64_t elem_size = go_type_size(process, elem), room = size;
	if (go_heap_object(&process->heap, buffer, &(uint32_t){0}) != span || buffer < address) {
		type_object(typing, buffer, elem, true);
		return;
	}
	room -= buffer - address; /* the buffer shares the channel's object */
	const uint8_t *bytes = image_at(process->image, buffer, room);
	for (uint64_t i = 0; bytes != NULL && elem_size != 0 && i < capacity && (i + 1) * elem_size <= room;
	     i++)
		walk_value(typing, elem, bytes + i * elem_size, 1);
}

static void walk_array(struct typing *typing, uint64_t type, const uint8_t *bytes, int depth)
{
	uint64_t elem = go_type_elem(typing->process, type), length = go_type_length(typing->process, type);
	uint64_t size = elem == 0 ? 0 : go_type_size(typing->process, elem);
	uint64_t total = go_type_size(typing->process, type);
	for (uint64_t i = 0; size != 0 && i < length && i < ELEMENTS_LIMIT && (i + 1) * size <= total; i++)
		walk_value(typing, elem, bytes + i * size, depth + 1);
}

static void walk_entry(struct typing *typing, const struct type_plan_entry *entry, const uint8_t *bytes,
		       int depth)
{
	switch (entry->kind) {
	case GO_KIND_POINTER: type_target(typing, word(bytes, 0), entry->type, 1, false); return;
	case GO_KIND_SLICE: walk_slice(typing, entry->type, bytes); return;
	case GO_KIND_INTERFACE: walk_interface(typing, entry->bare, bytes, depth); return;
	case GO_KIND_MAP: type_map(typing, word(bytes, 0), entry->type); return;
	case GO_KIND_CHAN: walk_channel(typing, entry->type, word(bytes, 0)); return;
	case GO_KIND_ARRAY: walk_array(typing, entry->type, bytes, depth); return;
	default: return;
	}
}

static void walk_value(struct typing *typing, uint64_t type, const uint8_t *bytes, int depth)
{
	const struct type_plan *plan = type_plan_of(typing->plans, type);
	if (depth > DEPTH_LIMIT || typing->left <= plan->count)
		return;
	typing->left -= plan->count + 1;
	for (uint32_t i = 0; i < plan->count; i++)
		walk_entry(typing, &plan->entries[i], bytes + plan->entries[i].offset, depth);
}

struct slot_walk {
	struct typing *typing;
	const struct go_map_type *type;
};

static void walk_slot_part(struct typing *typing, uint64_t type, const uint8_t *bytes, bool indirect)
{
	if (indirect)
		type_target(typing, word(bytes, 0), type, 1, false);
	else
		walk_value(typing, type, bytes, 1);
}

static void walk_group(void *context, const struct go_group *group)
{
	struct slot_walk *walk = context;
	const struct go_map_type *type = walk->type;
	for (unsigned slot = 0; slot < GO_GROUP_SLOTS; slot++) {
		if (group->slots[slot] != GO_SLOT_LIVE && group->slots[slot] != GO_SLOT_STALE)
			continue;
		walk_slot_part(walk->typing, type->key, go_slot_key(type, group->bytes, slot),
			       type->key_indirect);
		walk_slot_part(walk->typing, type->elem, go_slot_elem(type, group->bytes, slot),
			       type->elem_indirect);
	}
}

static void run_map(struct typing *typing, const struct task *task)
{
	const struct found_map *map = maps_at(typing->maps, task->address);
	struct slot_walk walk = {typing, map->type};
	struct go_map_visitor visitor = {.context = &walk, .group = walk_group};
	if (map->type->pointers)
		(void)go_map_walk(typing->process, &map->header, map->type, &visitor);
}

static void run_values(struct typing *typing, uint64_t type, const uint8_t *bytes, uint64_t count)
{
	uint64_t size = go_type_size(typing->process, type);
	for (uint64_t i = 0; bytes != NULL && i < count; i++)
		walk_value(typing, type, bytes + i * size, 0);
}

static void run_object(struct typing *typing, const struct task *task)
{
	struct go_process *process = typing->process;
	struct go_span *span = go_heap_span_of(&process->heap, task->address);
	uint32_t index = (uint32_t)(task->address - span->first);
	const uint8_t *memory = go_span_memory(process, span);
	uint64_t start = go_span_object(span, index), room = span->elem_size,
		 size = go_type_size(process, task->type);
	struct go_span *same;
	uint64_t stored;
	if (memory == NULL || size == 0)
		return;
	memory += start - span->base;
	if (go_heap_data(process, start, &same, &stored) == 0) { /* a type word stands in front */
		memory += 8;
		room -= 8;
	}
	uint64_t most = room / size;
	run_values(typing, task->type, memory, task->count != 0 ? most : most < 1 ? most : 1);
}

static void run(struct typing *typing)
{
	for (;;) {
		if (typing->count == 0)
			settle_all(typing);
		if (typing->count == 0)
			return;
		struct task task = typing->tasks[--typing->count];
		uint64_t size;
		switch (task.kind) {
		case TASK_OBJECT: run_object(typing, &task); break;
		case TASK_MAP: run_map(typing, &task); break;
		case TASK_STATIC:
			size = go_type_size(typing->process, task.type) * task.count;
			run_values(typing, task.type, image_at(typing->process->image, task.address, size),
				   task.count);
			break;
		}
	}
}

/* DWARF names a type by address, or by its offset among the types. */
static void seed_variables(struct typing *typing)
{
	struct go_process *process = typing->process;
	struct program_variable *variables;
	size_t count = program_variables(process->program, &variables);
	for (size_t i = 0; i < count; i++) {
		uint64_t type = variables[i].type + program_bias(process->program);
		if (!go_type_valid(process, type))
			type = variables[i].type + process->module.types;
		const uint8_t *bytes = image_at(process->image, variables[i].address, SLICE_BYTES);
		if (!go_type_valid(process, type) || bytes == NULL)
			continue;
		switch (variables[i].form) {
		case PROGRAM_VALUE: type_static(typing, variables[i].address, type, 1); break;
		case PROGRAM_POINTER: type_target(typing, word(bytes, 0), type, 1, false); break;
		case PROGRAM_TWICE:
			if ((bytes = image_at(process->image, word(bytes, 0), 8)) != NULL)
				type_target(typing, word(bytes, 0), type, 1, false);
			break;
		case PROGRAM_SLICE: walk_slice(typing, type, bytes); break;
		}
	}
	free(variables);
	run(typing);
}

/* Go 1.22 on: objects above 512 bytes tell their type. Map groups do too, but their slots are the map's. */
static void seed_typed_objects(struct typing *typing)
{
	struct go_process *process = typing->process;
	if (process->layout.pointer_bits < GO_BITS_IN_SPAN)
		return;
	for (size_t i = 0; i < process->heap.span_count; i++) {
		struct go_span *span = &process->heap.spans[i];
		if (span->noscan || span->elem_size <= GO_HEADER_FREE_MAX)
			continue;
		for (uint32_t index = 0; index < span->count; index++) {
			uint64_t type, start = go_span_object(span, index);
			struct go_span *same;
			if (!go_span_allocated(span, index))
				continue;
			if (go_heap_data(process, start, &same, &type) == 0 && type == 0)
				continue;
			if (!go_type_valid(process, type) || go_type_size(process, type) == 0)
				continue;
			store_type(typing, span->first + index, type, true);
			push(typing, (struct task){TASK_OBJECT, span->first + index, type, 1});
		}
	}
	run(typing);
}

/* Every pair of words that reads as an interface value. */
static void seed_pairs(struct typing *typing, const uint8_t *bytes, uint64_t size)
{
	const struct go_heap *heap = &typing->process->heap;
	for (uint64_t at = 0; bytes != NULL && at + 16 <= size; at += 8) {
		uint64_t first = word(bytes + at, 0), second = word(bytes + at, 1);
		/* a descriptor or itab never lies in the heap, the value always */
		if (first < TARGET_PAGE || (first & 7) != 0 || first >> GO_ADDRESS_BITS != 0 ||
		    heap->arena_index[first >> GO_ARENA_SHIFT] != 0 || go_heap_span(heap, second) == NULL)
			continue;
		uint64_t dynamic = dynamic_type(typing->process, first);
		if (dynamic != 0)
			walk_dynamic(typing, dynamic, bytes + at + 8, 0);
	}
}

static void seed_interfaces(struct typing *typing)
{
	struct go_process *process = typing->process;
	for (size_t i = 0; i < process->heap.span_count; i++) {
		struct go_span *span = &process->heap.spans[i];
		const uint8_t *memory =
			span->noscan || span->elem_size < 16 ? NULL : go_span_memory(process, span);
		for (uint32_t index = 0; memory != NULL && index < span->count; index++)
			if (go_span_allocated(span, index) &&
			    typing->maps->object_types[span->first + index] == 0)
				seed_pairs(typing, memory + (uint64_t)index * span->elem_size,
					   span->elem_size);
	}
	const struct go_module *module = &process->module;
	uint64_t size = module->globals_end - module->globals;
	seed_pairs(typing, image_at(process->image, module->globals, size), size);
	for (size_t i = 0; i < process->stacks.count; i++) {
		const struct go_stack *stack = &process->stacks.list[i];
		seed_pairs(typing, stack->memory, stack->high - stack->sp);
	}
	run(typing);
}

static void seed_maps(struct typing *typing)
{
	for (size_t i = 0; i < typing->maps->count; i++) {
		const struct found_map *map = &typing->maps->list[i];
		if (map->type != NULL && (map->confidence == MAP_INFERRED || map->confidence == MAP_HEADER))
			push(typing, (struct task){TASK_MAP, map->header.address, 0, 0});
	}
	run(typing);
}

void maps_propagate_types(struct go_process *process, bool every_type, struct maps *maps)
{
	const struct go_module *module = &process->module;
	/* every word of the heap a few times; descriptors that nest in themselves would never end */
	struct typing typing = {.process = process,
				.maps = maps,
				.data_too = every_type,
				.left = process->heap.in_use_bytes * 2 + (1 << 24)};
	typing.plans = type_plans_create(process);
	typing.static_seen = take((module->globals_end - module->globals) / 64 + 1, 1);
	maps->object_types = take(process->heap.object_count, sizeof *maps->object_types);
	for (size_t i = 0; i < maps->count; i++)
		if (maps->list[i].object != GO_NO_OBJECT)
			maps->object_types[maps->list[i].object] = OBJECT_IS_MAP;
	seed_variables(&typing);
	seed_typed_objects(&typing);
	seed_interfaces(&typing);
	seed_maps(&typing);
	free(typing.static_seen);
	free(typing.tasks);
	type_plans_destroy(typing.plans);
}
