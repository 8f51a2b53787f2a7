/* program.c: the tables of a program: names, files, the call graph.
 *
 * Functions and globals are found by name and, when static, by unit. After the last unit,
 * lint_program_finish() puts the functions in bottom-up order: a function comes after every function that it
 * calls, and functions that call each other (a component) stand together, marked recursive.
 * Credit: R. Tarjan, Depth-first search and linear graph algorithms, 1972, made iterative.
 */
#include <assert.h>
#include <ctype.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "code.h"

#define IS_GLOBAL 0x80000000u

static uint64_t name_hash(const char *name, uint32_t owner)
{
	uint64_t hash = lint_hash(LINT_HASH_START, name, strlen(name));
	hash = lint_hash(hash, &owner, sizeof owner);
	return hash ^ hash >> 29;
}

static bool entry_is(const struct program *program, uint32_t entry, const char *name, uint32_t owner)
{
	const char *have;
	uint32_t have_owner;
	assert((entry & IS_GLOBAL) ? program->globals != NULL : program->functions != NULL);
	if (entry & IS_GLOBAL) {
		const struct global *global = &program->globals[(entry & ~IS_GLOBAL) - 1];
		have = global->name;
		have_owner = global->is_static ? global->unit + 1 : 0;
	} else {
		const struct function *function = &program->functions[entry - 1];
		have = function->name;
		have_owner = function->is_static ? function->unit + 1 : 0;
	}
	return have_owner == owner && strcmp(have, name) == 0;
}

/* The slot of the name table where the name is, or should go. */
static uint32_t *name_slot(struct program *program, const char *name, uint32_t owner)
{
	size_t mask = program->names_size - 1;
	for (size_t at = name_hash(name, owner) & mask;; at = (at + 1) & mask)
		if (program->names[at] == 0 || entry_is(program, program->names[at], name, owner))
			return &program->names[at];
}

static void names_make_room(struct program *program)
{
	if (program->names_used * 2 < program->names_size)
		return;
	uint32_t *old = program->names;
	size_t old_size = program->names_size;
	program->names_size = old_size == 0 ? 1024 : old_size * 2;
	program->names = lint_calloc(program->names_size, sizeof *program->names);
	for (size_t i = 0; i < old_size; i++) {
		uint32_t entry = old[i];
		if (entry == 0)
			continue;
		const struct global *global =
			entry & IS_GLOBAL ? &program->globals[(entry & ~IS_GLOBAL) - 1] : NULL;
		const struct function *function = global == NULL ? &program->functions[entry - 1] : NULL;
		uint32_t owner = global != NULL ? (global->is_static ? global->unit + 1 : 0)
						: (function->is_static ? function->unit + 1 : 0);
		*name_slot(program, global != NULL ? global->name : function->name, owner) = entry;
	}
	free(old);
}

struct function *lint_function_named(struct program *program, uint32_t unit, const char *name, bool is_static)
{
	names_make_room(program);
	uint32_t *slot = name_slot(program, name, is_static ? unit + 1 : 0);
	if (*slot != 0 && !(*slot & IS_GLOBAL))
		return &program->functions[*slot - 1];
	program->functions = lint_grow(program->functions, &program->cap_functions, program->n_functions + 1,
				       sizeof *program->functions);
	struct function *function = &program->functions[program->n_functions++];
	memset(function, 0, sizeof *function);
	function->name = lint_region_text(&program->region, name, strlen(name));
	function->index = (uint32_t)program->n_functions - 1;
	function->unit = unit;
	function->is_static = is_static;
	*slot = (uint32_t)program->n_functions;
	program->names_used++;
	return function;
}

struct global *lint_global_named(struct program *program, uint32_t unit, const char *name, bool is_static,
				 bool *ret_new)
{
	names_make_room(program);
	uint32_t *slot = name_slot(program, name, is_static ? unit + 1 : 0);
	*ret_new = *slot == 0 || !(*slot & IS_GLOBAL);
	if (!*ret_new)
		return &program->globals[(*slot & ~IS_GLOBAL) - 1];
	program->globals = lint_grow(program->globals, &program->cap_globals, program->n_globals + 1,
				     sizeof *program->globals);
	struct global *global = &program->globals[program->n_globals++];
	memset(global, 0, sizeof *global);
	global->name = lint_region_text(&program->region, name, strlen(name));
	global->unit = unit;
	global->is_static = is_static;
	*slot = (uint32_t)program->n_globals | IS_GLOBAL;
	program->names_used++;
	return global;
}

/* Takes "." and "..", and doubled slashes, out of an absolute path. */
static void tidy_path(char *path)
{
	char *out = path, *at = path;
	while (*at != '\0') {
		size_t len = strcspn(at + 1, "/") + 1; /* "/name" */
		if (len == 3 && at[1] == '.' && at[2] == '.') {
			while (out > path && *--out != '/')
				;
		} else if (len > 1 && !(len == 2 && at[1] == '.')) {
			memmove(out, at, len);
			out += len;
		}
		at += len;
	}
	if (out == path)
		*out++ = '/';
	*out = '\0';
}

/* What reports call a file: relative to the current folder when it is below it, so that a report or a baseline means the
 * same on another machine; absolute otherwise.
 */
static const char *shown_path(struct program *program, const char *directory, const char *name)
{
	if (program->folder == NULL) {
		char *here = getcwd(NULL, 0);
		program->folder = here != NULL ? lint_region_text(&program->region, here, strlen(here)) : "";
		free(here);
	}
	bool absolute = name[0] == '/';
	const char *base = directory != NULL && directory[0] == '/' ? directory : program->folder;
	char *path = lint_region_format(&program->region, "%s%s%s", absolute ? "" : base, absolute ? "" : "/",
					name);
	tidy_path(path);
	size_t len = strlen(program->folder);
	bool below = len > 1 && strncmp(path, program->folder, len) == 0 && path[len] == '/';
	return below ? path + len + 1 : path;
}

uint32_t lint_file_named(struct program *program, const char *directory, const char *name)
{
	const char *path = shown_path(program, directory, name);
	for (size_t i = program->n_files; i-- > 0;)
		if (strcmp(program->files[i].path, path) == 0)
			return (uint32_t)i;
	program->files =
		lint_grow(program->files, &program->cap_files, program->n_files + 1, sizeof *program->files);
	struct source_file *file = &program->files[program->n_files];
	file->path = path;
	file->system = strncmp(path, "/usr/", 5) == 0;
	return (uint32_t)program->n_files++;
}

static void load_source(struct program *program, struct source_file *file)
{
	int fd = open(file->path, O_RDONLY | O_CLOEXEC);
	struct stat info;
	if (fd < 0 || fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) {
		file->missing = true;
		if (fd >= 0)
			close(fd);
		return;
	}
	size_t size = (size_t)info.st_size;
	file->text = lint_region_alloc(&program->region, size + 1);
	size_t have = 0;
	for (ssize_t n; have < size && (n = read(fd, file->text + have, size - have)) > 0;)
		have += (size_t)n;
	close(fd);
	size_t capacity = 0;
	const char **lines = NULL;
	char *at = file->text;
	while (at < file->text + have) {
		lines = lint_grow(lines, &capacity, file->n_lines + 1, sizeof *lines);
		lines[file->n_lines++] = at;
		char *end = memchr(at, '\n', (size_t)(file->text + have - at));
		if (end == NULL)
			break;
		*end = '\0';
		at = end + 1;
	}
	file->lines = lines;
}

const char *lint_source_line(struct program *program, uint32_t file, uint32_t line)
{
	struct source_file *source = &program->files[file];
	if (source->text == NULL && !source->missing)
		load_source(program, source);
	return line == 0 || line > source->n_lines || source->lines == NULL ? NULL : source->lines[line - 1];
}

uint16_t lint_function_column(struct program *program, const struct function *function)
{
	const char *line = lint_source_line(program, function->file, function->line);
	size_t len = strlen(function->name);
	for (const char *at = line; at != NULL && (at = strstr(at, function->name)) != NULL; at += len) {
		bool begins = at == line || (!isalnum((unsigned char)at[-1]) && at[-1] != '_');
		bool ends = !isalnum((unsigned char)at[len]) && at[len] != '_';
		if (begins && ends)
			return (uint16_t)(at - line + 1);
	}
	return 0;
}

const struct function *lint_callee(const struct program *program, const struct body *body,
				   const struct insn *insn)
{
	const struct operand *callee = operand_of(body, insn, insn->n_operands - 1);
	return callee->kind == OPERAND_FUNCTION ? &program->functions[callee->index] : NULL;
}

const char *lint_callee_name(const struct program *program, const struct body *body, const struct insn *insn)
{
	const struct function *callee = lint_callee(program, body, insn);
	return callee != NULL ? callee->name : "a function pointer";
}

/* --- The call graph ------------------------------------------------------------------------------------ */

struct walk {
	uint32_t function, next; /* next: operand to look at */
};

struct components {
	uint32_t *number, *low; /* 0: not seen */
	bool *on_stack;
	uint32_t *stack, n_stack, counter, n_components;
};

/* The next defined function that `frame` calls, or may call because it has its address; NULL at the end of its body. */
static struct function *next_callee(struct program *program, struct walk *frame)
{
	const struct body *body = program->functions[frame->function].body;
	while (frame->next < body->n_operands) {
		const struct operand *callee = &body->operands[frame->next++];
		if (callee->kind == OPERAND_FUNCTION && program->functions[callee->index].body != NULL)
			return &program->functions[callee->index];
	}
	return NULL;
}

static void close_component(struct program *program, struct components *c, uint32_t root)
{
	uint32_t members = 0, member;
	do {
		member = c->stack[--c->n_stack];
		c->on_stack[member] = false;
		program->functions[member].component = c->n_components;
		program->bottom_up[program->n_bottom_up++] = member;
		members++;
	} while (member != root);
	for (uint32_t i = program->n_bottom_up - members; members > 1 && i < program->n_bottom_up; i++)
		program->functions[program->bottom_up[i]].recursive = true;
	c->n_components++;
}

static void component_walk(struct program *program, struct components *c, struct walk *frames, uint32_t root)
{
	uint32_t depth = 0;
	frames[depth++] = (struct walk){root, 0};
	c->number[root] = c->low[root] = ++c->counter;
	c->stack[c->n_stack++] = root;
	c->on_stack[root] = true;
	while (depth > 0) {
		struct walk *frame = &frames[depth - 1];
		struct function *callee = next_callee(program, frame);
		if (callee == NULL) {
			if (c->low[frame->function] == c->number[frame->function])
				close_component(program, c, frame->function);
			depth--;
			if (depth > 0 && c->low[frames[depth - 1].function] > c->low[frame->function])
				c->low[frames[depth - 1].function] = c->low[frame->function];
		} else if (c->number[callee->index] == 0) {
			c->number[callee->index] = c->low[callee->index] = ++c->counter;
			c->stack[c->n_stack++] = callee->index;
			c->on_stack[callee->index] = true;
			frames[depth++] = (struct walk){callee->index, 0};
		} else if (c->on_stack[callee->index]) {
			if (callee->index == frame->function)
				callee->recursive = true;
			if (c->low[frame->function] > c->number[callee->index])
				c->low[frame->function] = c->number[callee->index];
		}
	}
}

static void order_functions(struct program *program)
{
	size_t n = program->n_functions + 1;
	struct components c = {.number = lint_calloc(n, sizeof(uint32_t)),
			       .low = lint_calloc(n, sizeof(uint32_t)),
			       .on_stack = lint_calloc(n, sizeof(bool)),
			       .stack = lint_calloc(n, sizeof(uint32_t))};
	struct walk *frames = lint_calloc(n, sizeof *frames);
	program->bottom_up = lint_region_alloc(&program->region, n * sizeof(uint32_t));
	for (uint32_t i = 0; i < program->n_functions; i++)
		if (program->functions[i].body != NULL && c.number[i] == 0)
			component_walk(program, &c, frames, i);
	free(c.number);
	free(c.low);
	free(c.on_stack);
	free(c.stack);
	free(frames);
}

int64_t lint_initial_number(const struct global *global, int64_t offset)
{
	for (uint32_t i = 0; i < global->n_initials; i++)
		if (global->initials[i].offset == offset && global->initials[i].value.kind == OPERAND_INT)
			return global->initials[i].value.number;
	return 0;
}

/* --- Facts about globals ---------------------------------------------------------------------------------- */

/* An address of a global that does anything but be read through may be written through. */
static void mark_written(struct program *program, const struct body *body, const struct insn *insn)
{
	for (uint32_t i = 0; i < insn->n_operands; i++) {
		const struct operand *operand = operand_of(body, insn, i);
		if (operand->kind == OPERAND_GLOBAL && insn->op != OP_LOAD && insn->op != OP_COMPARE &&
		    !(insn->op == OP_COPY && i == 1))
			program->globals[operand->index].written = true;
		if (operand->kind == OPERAND_FUNCTION && !(insn->op == OP_CALL && i + 1 == insn->n_operands))
			program->functions[operand->index].address_taken = true;
	}
}

void lint_program_finish(struct program *program)
{
	for (size_t f = 0; f < program->n_functions; f++) {
		const struct body *body = program->functions[f].body;
		for (uint32_t i = 0; body != NULL && i < body->n_insns; i++)
			mark_written(program, body, &body->insns[i]);
		if (body != NULL && strcmp(program->functions[f].name, "main") == 0)
			program->closed = true;
	}
	for (size_t g = 0; g < program->n_globals; g++)
		for (uint32_t i = 0; i < program->globals[g].n_initials; i++) {
			const struct operand *value = &program->globals[g].initials[i].value;
			if (value->kind == OPERAND_GLOBAL)
				program->globals[value->index].written = true;
			if (value->kind == OPERAND_FUNCTION)
				program->functions[value->index].address_taken = true;
		}
	order_functions(program);
}

void lint_program_clear(struct program *program)
{
	for (size_t i = 0; i < program->n_files; i++)
		free(program->files[i].lines);
	free(program->units);
	free(program->functions);
	free(program->globals);
	free(program->files);
	free(program->barriered);
	free(program->annotations);
	free(program->read);
	free(program->names);
	lint_region_clear(&program->region);
	memset(program, 0, sizeof *program);
}
