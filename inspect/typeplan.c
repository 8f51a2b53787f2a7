/* typeplan.c: see typeplan.h. */
#include "typeplan.h"

#include <stdlib.h>
#include <string.h>

#include "goprocess.h"

enum {
	DEPTH_LIMIT = 12, /* descriptors of a lying target may nest in themselves */
	FIELDS_LIMIT = 500,
	ENTRIES_LIMIT = 4096,
	SHORT_ARRAY = 16,
};

struct type_plans {
	struct go_process *process;
	struct type_plan **list; /* by the descriptor's place in the types section */
	uint64_t count;
	struct type_plan_entry *entries; /* of the plan that is being made */
	size_t entry_count, entry_capacity;
};

struct type_plans *type_plans_create(struct go_process *process)
{
	struct type_plans *plans = take(1, sizeof *plans);
	plans->process = process;
	plans->count = (process->module.etypes - process->module.types) / 8 + 1;
	plans->list = take(plans->count, sizeof(struct type_plan *));
	return plans;
}

void type_plans_destroy(struct type_plans *plans)
{
	for (uint64_t i = 0; i < plans->count; i++)
		free(plans->list[i]);
	free(plans->list);
	free(plans->entries);
	free(plans);
}

static void add_entry(struct type_plans *plans, uint64_t offset, enum go_kind kind, bool bare, uint64_t type)
{
	if (type == 0 || offset > UINT32_MAX || plans->entry_count == ENTRIES_LIMIT)
		return;
	plans->entries =
		make_room(plans->entries, plans->entry_count, &plans->entry_capacity, sizeof *plans->entries);
	plans->entries[plans->entry_count++] =
		(struct type_plan_entry){(uint32_t)offset, (uint8_t)kind, bare, type};
}

static void flatten(struct type_plans *plans, uint64_t type, uint64_t offset, int depth);

static void flatten_array(struct type_plans *plans, uint64_t type, uint64_t offset, int depth)
{
	struct go_process *process = plans->process;
	uint64_t elem = go_type_elem(process, type), length = go_type_length(process, type);
	uint64_t size = elem == 0 ? 0 : go_type_size(process, elem), total = go_type_size(process, type);
	if (size == 0 || length > total / size)
		return;
	if (length > SHORT_ARRAY) {
		add_entry(plans, offset, GO_KIND_ARRAY, false, type);
		return;
	}
	for (uint64_t i = 0; i < length; i++)
		flatten(plans, elem, offset + i * size, depth + 1);
}

static void flatten_struct(struct type_plans *plans, uint64_t type, uint64_t offset, int depth)
{
	struct go_field field;
	for (size_t i = 0; i < FIELDS_LIMIT && go_type_field(plans->process, type, i, &field); i++)
		flatten(plans, field.type, offset + field.offset, depth + 1);
}

static void flatten(struct type_plans *plans, uint64_t type, uint64_t offset, int depth)
{
	struct go_process *process = plans->process;
	enum go_kind kind = go_type_kind(process, type);
	if (depth > DEPTH_LIMIT || plans->entry_count == ENTRIES_LIMIT ||
	    go_type_pointer_bytes(process, type) == 0)
		return;
	switch (kind) {
	case GO_KIND_POINTER:
	case GO_KIND_SLICE: add_entry(plans, offset, kind, false, go_type_elem(process, type)); return;
	case GO_KIND_INTERFACE:
		add_entry(plans, offset, kind, go_type_methods(process, type) == 0, type);
		return;
	case GO_KIND_MAP:
	case GO_KIND_CHAN: add_entry(plans, offset, kind, false, type); return;
	case GO_KIND_STRUCT: flatten_struct(plans, type, offset, depth); return;
	case GO_KIND_ARRAY: flatten_array(plans, type, offset, depth); return;
	default: return;
	}
}

const struct type_plan *type_plan_of(struct type_plans *plans, uint64_t type)
{
	struct type_plan **place = &plans->list[(type - plans->process->module.types) / 8];
	if (*place != NULL)
		return *place;
	plans->entry_count = 0;
	flatten(plans, type, 0, 0);
	size_t bytes = plans->entry_count * sizeof *plans->entries;
	struct type_plan *plan = take(1, sizeof *plan + bytes);
	plan->count = (uint32_t)plans->entry_count;
	if (bytes > 0)
		memcpy(plan->entries, plans->entries, bytes);
	*place = plan;
	return plan;
}
