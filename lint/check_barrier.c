/* check_barrier.c: pointers stored into objects of barriered types by a plain store.
 *
 * The collector does not watch the pages of such objects: it learns of a store only through neap_store(). Which types
 * these are stands in the program itself: a descriptor, a global of type struct neap_gc_type, names the struct, the
 * places of its pointers, and has a flag. An object is known to be of the type by the descriptor that it was
 * allocated with (the word "typed" of a row), or because a member of the named struct is addressed in it. A NULL that is
 * stored hides nothing from the collector, and locals of the type are no objects of the collector.
 */
#include <stddef.h>
#include <string.h>

#include "engine.h"
#include "neap/gc.h"

/* Where the header puts what the analysis looks at in a descriptor. */
enum {
	TYPE_NAME = offsetof(struct neap_gc_type, name),
	TYPE_SIZE = offsetof(struct neap_gc_type, size),
	TYPE_FIELDS = offsetof(struct neap_gc_type, fields),
	TYPE_FIELD_COUNT = offsetof(struct neap_gc_type, field_count),
	TYPE_FLAGS = offsetof(struct neap_gc_type, flags),
	FIELD_OFFSET = offsetof(struct neap_gc_field, offset),
	FIELD_COUNT = offsetof(struct neap_gc_field, count),
	FIELD_SIZE = sizeof(struct neap_gc_field)
};

#define POINTER_SIZE 8

/* What the global points to at the offset, or NULL. */
static const struct global *initial_target(const struct program *program, const struct global *global,
					   int64_t offset)
{
	for (uint32_t i = 0; i < global->n_initials; i++)
		if (global->initials[i].offset == offset && global->initials[i].value.kind == OPERAND_GLOBAL)
			return &program->globals[global->initials[i].value.index];
	return NULL;
}

static void add_type(struct program *program, uint32_t descriptor)
{
	const struct global *global = &program->globals[descriptor];
	const struct global *name = initial_target(program, global, TYPE_NAME),
			    *fields = initial_target(program, global, TYPE_FIELDS);
	program->barriered = lint_grow(program->barriered, &program->cap_barriered, program->n_barriered + 1,
				       sizeof *program->barriered);
	struct barriered *type = &program->barriered[program->n_barriered++];
	*type = (struct barriered){.name = name != NULL && name->text != NULL ? name->text : "",
				   .size = (uint64_t)lint_initial_number(global, TYPE_SIZE),
				   .descriptor = descriptor};
	const char *space = strrchr(type->name, ' '); /* "struct node" */
	type->name = space != NULL ? space + 1 : type->name;
	int64_t n = lint_initial_number(global, TYPE_FIELD_COUNT);
	for (int64_t i = 0; fields != NULL && i < n && i < 16; i++) {
		type->fields[i].offset = lint_initial_number(fields, i * FIELD_SIZE + FIELD_OFFSET);
		type->fields[i].count = (uint64_t)lint_initial_number(fields, i * FIELD_SIZE + FIELD_COUNT);
		type->n_fields++;
	}
}

void lint_barrier_types(struct program *program)
{
	for (uint32_t g = 0; g < program->n_globals && program->n_barriered < UINT8_MAX; g++) {
		const struct global *global = &program->globals[g];
		if (global->type != NULL && strcmp(global->type, "neap_gc_type") == 0 &&
		    (lint_initial_number(global, TYPE_FLAGS) & NEAP_GC_BARRIERED))
			add_type(program, g);
	}
}

void lint_barrier_made(struct engine *engine, struct state *state, struct value object,
		       struct value descriptor)
{
	if (object.kind != VALUE_ADDRESS || descriptor.kind != VALUE_ADDRESS ||
	    engine->things[descriptor.id].kind != THING_GLOBAL)
		return;
	for (size_t i = 0; i < engine->program->n_barriered; i++)
		if (engine->program->barriered[i].descriptor == engine->things[descriptor.id].index)
			lint_trait(state, object.id)->barriered = (uint8_t)(i + 1);
}

/* Another file may have another struct of that name; of that name and size it is taken for the same. */
void lint_barrier_named(struct engine *engine, struct state *state, struct value object,
			const struct insn *insn)
{
	if (object.kind != VALUE_ADDRESS || object.number != 0)
		return;
	uint8_t kind = engine->things[object.id].kind;
	if (kind == THING_LOCAL || kind == THING_GLOBAL || kind == THING_FUNCTION || kind == THING_BLURRED)
		return;
	for (size_t i = 0; i < engine->program->n_barriered; i++)
		if (engine->program->barriered[i].size == insn->size &&
		    strcmp(engine->program->barriered[i].name, insn->type) == 0)
			lint_trait(state, object.id)->barriered = (uint8_t)(i + 1);
}

/* [offset, offset + size) has a part in a pointer of the type; unknown offsets do when every place is a pointer. */
static bool covers_pointer(const struct barriered *type, int64_t offset, uint64_t size)
{
	for (uint32_t i = 0; i < type->n_fields && offset != OFFSET_ANY; i++) {
		int64_t end = type->fields[i].offset + (int64_t)type->fields[i].count * POINTER_SIZE;
		if (offset < end && offset + (int64_t)size > type->fields[i].offset)
			return true;
	}
	return false;
}

/* Pointers of an unknown element of a member array come here with an unknown offset: the stored type tells. */
static bool stores_pointer(const struct frame *frame, const struct insn *insn)
{
	if (insn->op != OP_STORE)
		return false;
	const struct operand *value = operand_of(frame->body, insn, 0);
	return value->kind == OPERAND_GLOBAL || value->kind == OPERAND_FUNCTION ||
	       (value->kind == OPERAND_PARAM && frame->function->params[value->index].pointer) ||
	       (value->kind == OPERAND_VALUE && frame->body->insns[value->index].pointer);
}

void lint_check_barrier(struct engine *engine, struct frame *frame, struct state *state,
			const struct insn *insn, struct value address)
{
	if (engine->program->n_barriered == 0 || address.kind != VALUE_ADDRESS)
		return;
	const struct trait *trait = lint_trait_find(state, address.id);
	const struct effects *row = frame->function->known;
	if (trait == NULL || trait->barriered == 0 || (row != NULL && row->barrier))
		return;
	const struct barriered *type = &engine->program->barriered[trait->barriered - 1];
	bool pointer = stores_pointer(frame, insn);
	if (insn->op == OP_STORE && !pointer)
		return;
	if (!covers_pointer(type, address.number, insn->size) && !(pointer && address.number == OFFSET_ANY))
		return;
	lint_report(engine, frame, CHECK_MISSING_BARRIER, insn,
		    insn->op == OP_COPY
			    ? "pointers of a barriered object of type %s are overwritten without neap_store"
			    : "a pointer is stored into a barriered object of type %s without neap_store",
		    type->name);
}
