/* keys.c: what a function's result depends on: see keys.h. */
#include "keys.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "effects.h"
#include "findings.h"

static uint64_t add(uint64_t hash, uint64_t number)
{
	return lint_hash(hash, &number, sizeof number);
}

static uint64_t add_text(uint64_t hash, const char *text)
{
	return text == NULL ? add(hash, 0) : lint_hash(hash, text, strlen(text) + 1);
}

static uint64_t add_effects(uint64_t hash, const struct effects *effects)
{
	if (effects == NULL)
		return add(hash, 0);
	uint64_t flags = (uint64_t)effects->maybe_null | (uint64_t)effects->never_null << 1 |
			 (uint64_t)effects->exits << 2 | (uint64_t)effects->barrier << 3 |
			 (uint64_t)effects->collected << 4 | (uint64_t)effects->pool_resets << 5 |
			 (uint64_t)(uint8_t)effects->borrows << 8 | (uint64_t)(uint8_t)effects->typed << 16 |
			 (uint64_t)(uint8_t)effects->pools << 24;
	hash = add_text(add(hash, flags), effects->makes);
	for (int i = 0; i < ARGS_MAX; i++) /* lint_effects_init() has zeroed what lies between the members */
		hash = add_text(lint_hash(hash, &effects->args[i], offsetof(struct arg_effects, family)),
				effects->args[i].family);
	return hash;
}

/* The global, and the names of what it starts with. */
static uint64_t add_global(uint64_t hash, const struct program *program, uint32_t index)
{
	const struct global *global = &program->globals[index];
	uint64_t flags = (uint64_t)global->is_static | (uint64_t)global->is_constant << 1 |
			 (uint64_t)global->defined << 2 | (uint64_t)global->is_string << 3 |
			 (uint64_t)global->written << 4 | (uint64_t)global->initial_known << 5;
	hash = add_text(add(add(hash, flags), global->size), global->is_string ? global->text : global->name);
	for (uint32_t i = 0; i < global->n_initials; i++) {
		const struct operand *value = &global->initials[i].value;
		hash = add(add(add(hash, (uint64_t)global->initials[i].offset), value->kind),
			   (uint64_t)value->number);
		if (value->kind == OPERAND_FUNCTION)
			hash = add_text(hash, program->functions[value->index].name);
		else if (value->kind == OPERAND_GLOBAL)
			hash = add_text(hash, program->globals[value->index].name);
	}
	return hash;
}

static uint64_t add_operand(uint64_t hash, const struct program *program, const struct operand *operand)
{
	hash = add(add(hash, operand->kind), (uint64_t)operand->number);
	if (operand->kind == OPERAND_GLOBAL)
		return add_global(hash, program, operand->index);
	if (operand->kind != OPERAND_FUNCTION)
		return add(hash, operand->index);
	const struct function *function = &program->functions[operand->index];
	return add(add_text(hash, function->name), function->body != NULL);
}

static uint64_t add_insn(uint64_t hash, const struct program *program, const struct body *body,
			 const struct insn *insn)
{
	uint64_t bits = (uint64_t)insn->op | (uint64_t)insn->compare << 8 | (uint64_t)insn->width << 16 |
			(uint64_t)insn->from_width << 24 | (uint64_t)insn->pointer << 32 |
			(uint64_t)insn->carrier << 33 | (uint64_t)insn->varies << 34 |
			(uint64_t)insn->no_return << 35 | (uint64_t)insn->result_stored << 36 |
			(uint64_t)insn->member << 37 | (uint64_t)insn->column << 40;
	hash = add(add(hash, bits), (uint64_t)insn->line << 32 | insn->block);
	hash = add(add(hash, (uint64_t)insn->offset), insn->size);
	hash = add_text(add_text(hash, program->files[insn->file].path), insn->type);
	for (uint32_t i = 0; i < insn->n_operands; i++)
		hash = add_operand(hash, program, operand_of(body, insn, i));
	for (uint32_t i = 0; i < insn->n_targets; i++)
		hash = add(hash, body->targets[insn->targets + i]);
	return add(hash, insn->n_operands);
}

/* Of the function alone. */
static uint64_t own_key(const struct program *program, const struct function *function)
{
	const struct body *body = function->body;
	uint64_t hash =
		add_text(add_text(LINT_HASH_START, function->name), program->files[function->file].path);
	hash = add(add(hash, function->line),
		   (uint64_t)function->no_return | (uint64_t)function->returns_pointer << 1 |
			   (uint64_t)function->is_static << 2 | (uint64_t)function->variadic << 3);
	hash = add_effects(add_effects(add_effects(hash, function->known), function->promised),
			   function->summary);
	for (uint32_t i = 0; i < function->n_params; i++)
		hash = add(add_text(hash, function->params[i].name), function->params[i].pointer);
	for (uint32_t i = 0; i < body->n_variables; i++)
		hash = add(add_text(hash, body->variables[i].name), body->variables[i].declared);
	for (uint32_t i = 0; i < body->n_insns; i++)
		hash = add_insn(hash, program, body, &body->insns[i]);
	return hash;
}

/* What its callees outside of the component add. A callee without a body is what its row says. */
static uint64_t add_callees(uint64_t hash, const struct program *program, const struct function *function,
			    uint64_t whole, bool *ret_anywhere)
{
	const struct body *body = function->body;
	for (uint32_t i = 0; i < body->n_operands; i++) {
		if (body->operands[i].kind != OPERAND_FUNCTION)
			continue;
		const struct function *callee = &program->functions[body->operands[i].index];
		if (callee->body == NULL)
			hash = add(add_effects(hash, callee->known), callee->no_return);
		else if (callee->component != function->component)
			hash = add(hash, callee->content_key);
		else
			continue;
		*ret_anywhere |= callee->calls_anywhere || (callee->body != NULL && callee->content_key == 0);
	}
	*ret_anywhere |= body->has_indirect;
	return *ret_anywhere ? add(hash, whole) : hash;
}

/* Of the bytes of the analyser itself: another one may find other things. */
static uint64_t analyser_hash(void)
{
	Dl_info here;
	struct stat info;
	uint64_t hash = LINT_HASH_START;
	/* Any object of this module tells where its file is. */
	int fd = dladdr(lint_checks, &here) != 0 ? open(here.dli_fname, O_RDONLY | O_CLOEXEC) : -1;
	if (fd >= 0 && fstat(fd, &info) == 0 && info.st_size > 0) {
		void *bytes = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
		if (bytes != MAP_FAILED) {
			hash = lint_hash(hash, bytes, (size_t)info.st_size);
			munmap(bytes, (size_t)info.st_size);
		}
	}
	if (fd >= 0)
		close(fd);
	return hash;
}

/* What every function may depend on. */
static uint64_t program_facts(const struct program *program)
{
	uint64_t hash = add(analyser_hash(), program->closed);
	hash = add(hash, program->n_barriered);
	for (size_t i = 0; i < program->n_barriered; i++) {
		hash = add_text(hash, program->barriered[i].name);
		hash = add_global(hash, program, program->barriered[i].descriptor);
	}
	for (size_t f = 0; f < program->n_functions; f++)
		for (int i = 0; program->functions[f].known != NULL && i < ARGS_MAX; i++)
			if (program->functions[f].known->args[i].resets)
				hash = add_text(hash, program->functions[f].name);
	return hash;
}

void lint_keys_compute(struct program *program)
{
	uint64_t facts = program_facts(program), whole = facts;
	uint64_t *own = lint_calloc(program->n_functions + 1, sizeof *own);
	for (uint32_t i = 0; i < program->n_bottom_up; i++) {
		own[program->bottom_up[i]] = own_key(program, &program->functions[program->bottom_up[i]]);
		whole = add(whole, own[program->bottom_up[i]]);
	}
	for (uint32_t first = 0, end; first < program->n_bottom_up; first = end) {
		uint32_t component = program->functions[program->bottom_up[first]].component;
		uint64_t hash = facts;
		bool anywhere = false;
		for (end = first; end < program->n_bottom_up &&
				  program->functions[program->bottom_up[end]].component == component;
		     end++) {
			const struct function *function = &program->functions[program->bottom_up[end]];
			hash = add(hash, own[function->index]);
			hash = add_callees(hash, program, function, whole, &anywhere);
		}
		for (uint32_t i = first; i < end; i++) {
			struct function *function = &program->functions[program->bottom_up[i]];
			function->content_key = add(hash, own[function->index]) | 1; /* 0: none yet */
			function->calls_anywhere = anywhere;
		}
	}
	free(own);
}
