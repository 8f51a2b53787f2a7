/* code.h: the program as the analyses see it.
 *
 * Nouns. A *unit* is one C file compiled alone. A *function* is a name that can be called, with a *body* when
 * some unit defines it. A body is a list of *blocks*, a block a run of *instructions* that ends in a jump. An
 * *operand* is what an instruction reads. A *variable* is a local of the source with its own storage.
 *
 *     program ─┬─ unit ── source text
 *              ├─ global (by name; one per unit when static)
 *              └─ function ── body ── block ── insn ── operand
 *
 * The instructions are those of clang without optimisation: every local has storage, every use is a load. That
 * is close to the source, and only decode.c knows the compiler's own form. Offsets and sizes are bytes.
 *
 * Invariants: an operand of kind VALUE names an instruction of the same body; blocks[0] is the entry; a
 * block's instructions are insns[first .. first + n), and only its last one jumps.
 */
#ifndef NEAP_LINT_CODE_H
#define NEAP_LINT_CODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "storage.h"

struct effects;

enum op {
	OP_NONE,     /* nothing that an analysis needs; reads no operand */
	OP_LOCAL,    /* storage for a variable; the value is its address */
	OP_LOAD,     /* [address] */
	OP_STORE,    /* [value, address] */
	OP_OFFSET,   /* [base]: base + `offset`, or an unknown offset when `varies` */
	OP_SAME,     /* [x]: a cast that keeps the bits of a pointer or an integer */
	OP_TRUNCATE, /* [x] to `width` bits */
	OP_ZEXTEND,  /* [x] */
	OP_SEXTEND,  /* [x] from `from_width` bits */
	OP_COMPARE,  /* [a, b] by `compare` */
	OP_ADD,
	OP_SUB,
	OP_MUL,
	OP_AND,
	OP_OR,
	OP_XOR,
	OP_SHL,
	OP_ARITH,   /* other arithmetic: value unknown */
	OP_PHI,	    /* one operand for each predecessor; `phi_blocks` says which */
	OP_SELECT,  /* [condition, a, b] */
	OP_EXTRACT, /* [aggregate], byte `offset` */
	OP_INSERT,  /* [aggregate, x] */
	OP_CALL,    /* [arguments..., callee] */
	OP_COPY,    /* [to, from, size]: memcpy, memmove, and struct assignment */
	OP_FILL,    /* [to, byte, size] */
	OP_ATOMIC,  /* [address, value...]: reads and writes */
	OP_ASM,	    /* inline assembly: [operands...] */
	OP_OTHER,   /* [operands...] result unknown */
	OP_RETURN,  /* [] or [x] */
	OP_JUMP,
	OP_BRANCH,     /* [condition]: target 0 when true, 1 when false */
	OP_SWITCH,     /* [x, case constants...]: target 0 is the default */
	OP_UNREACHABLE /* control does not come here */
};

enum compare {
	CMP_EQ,
	CMP_NE,
	CMP_ULT,
	CMP_ULE,
	CMP_UGT,
	CMP_UGE,
	CMP_SLT,
	CMP_SLE,
	CMP_SGT,
	CMP_SGE,
	CMP_FLOAT
};

enum operand_kind {
	OPERAND_NONE,
	OPERAND_VALUE,	  /* index: instruction */
	OPERAND_PARAM,	  /* index: parameter */
	OPERAND_INT,	  /* number */
	OPERAND_NULL,	  /* also a zeroed aggregate */
	OPERAND_GLOBAL,	  /* index: program global, number: offset */
	OPERAND_FUNCTION, /* index: program function */
	OPERAND_UNKNOWN	  /* undefined values, constants that no analysis follows */
};

struct operand {
	uint8_t kind; /* enum operand_kind */
	uint32_t index;
	int64_t number;
};

struct insn {
	uint8_t op;	    /* enum op */
	uint8_t compare;    /* enum compare */
	uint8_t width;	    /* bits of an integer result, 0 for others, at most 64 */
	uint8_t from_width; /* bits of operand 0, for extensions and compares */
	bool pointer;	    /* the result is a pointer */
	bool carrier;	    /* the result may hold a pointer: pointers, aggregates, integers made of them */
	bool varies;	    /* OP_OFFSET: index unknown at compile time */
	bool no_return;	    /* OP_CALL: control does not come back */
	bool result_stored; /* OP_CALL: operand 0 is where the callee builds its result, a struct */
	bool member;	    /* OP_OFFSET that names a member or element, as opposed to a cast */
	uint16_t column;
	uint32_t file; /* index into program->files */
	uint32_t line;
	uint32_t block;
	uint32_t first_operand, n_operands;
	int64_t offset;	  /* OP_OFFSET, OP_EXTRACT */
	uint64_t size;	  /* bytes read, written, of the local, or of the struct that `type` names */
	uint32_t targets; /* first of this body's `targets` for jumps, n_targets of them */
	uint32_t n_targets;
	uint32_t variable; /* OP_LOCAL: 1 + index into body->variables */
	const char *
		type; /* OP_OFFSET: the struct whose member it names; OP_SAME: the struct that its operand points to,
			    * where the compiler says; without "struct "; NULL for others */
};

struct variable {
	const char *name;
	uint32_t insn; /* its OP_LOCAL */
	int param;     /* the parameter whose shadow it is, or -1 */
	uint32_t line;
	uint16_t column;
	uint32_t file;
	uint32_t scope; /* index into body->scopes */
	bool declared;	/* the source names it */
};

/* A lexical block of the source. scopes[0] is the function. */
struct scope {
	uint32_t parent;
	const void *key; /* the decoder's */
};

struct block {
	uint32_t first, n;
	uint32_t order; /* place in reverse post order; UINT32_MAX when no path leads here */
	bool loop_head; /* the target of a jump backwards */
};

struct param {
	const char *name;
	bool pointer, carrier;
	bool by_value; /* the address of the callee's own copy of a struct */
	bool result;   /* the address at which a struct result is built */
};

struct body {
	struct insn *insns;
	struct operand *operands;
	uint32_t *targets;
	struct block *blocks;
	struct variable *variables;
	struct scope *scopes;
	uint32_t n_insns, n_operands, n_targets, n_blocks, n_variables, n_scopes;
	uint32_t *order; /* blocks in reverse post order, n_order of them */
	uint32_t n_order;
	bool irreducible; /* a loop with two entries */
	bool calls_setjmp, has_asm, has_indirect;
	uint32_t n_loads; /* work estimate: loads, stores, calls */
};

struct function {
	const char *name;
	uint32_t index, unit;
	bool is_static, variadic, no_return;
	bool address_taken;
	uint32_t n_params;
	struct param *params; /* of the definition, or of the first declaration */
	struct body *body;    /* NULL: only declared */
	uint32_t file, line;
	bool returns_pointer, returns_carrier;

	const struct effects *known; /* the row of an API table, or NULL */
	const struct effects
		*promised;	 /* by its declaration, when there is a body to hold against it, or NULL */
	struct effects *summary; /* computed; NULL until then */
	uint32_t component;	 /* strongly connected component, bottom-up */
	bool recursive;
	uint64_t content_key; /* of everything that its result depends on: keys.h; 0: not known yet */
	bool calls_anywhere;  /* it, or what it calls, calls through a pointer */
	bool recalled;	      /* its summary and findings are those of an earlier run */
	uint32_t steps;	      /* that exploring it alone took; 0: not known yet */
};

/* A piece of a global's initial value: number at offset, or the address of something. */
struct initial {
	int64_t offset;
	uint32_t size;
	struct operand value;
};

struct global {
	const char *name;
	uint32_t unit;
	bool is_static, is_constant, is_thread_local, defined;
	bool is_string; /* the compiler's own: a literal, or the initial value of a local */
	bool written;	/* some instruction of the program may write it, or takes its address to keep */
	uint64_t size;
	struct initial *initials;
	uint32_t n_initials;
	bool initial_known; /* `initials` is the whole value; the rest is zero */
	const char *type;   /* the struct that it is, without "struct ", or NULL */
	const char *text;   /* of a string literal, when short; NULL otherwise */
	uint32_t file, line;
};

/* A struct type whose pointers are to be stored through the write barrier: see check_barrier.c. */
struct barriered {
	const char *name;
	uint64_t size;
	uint32_t descriptor; /* the global that says so */
	struct {
		int64_t offset;
		uint64_t count;
	} fields[16];
	uint32_t n_fields;
};

/* What the declaration of a function says of ownership: see annotations.h. */
struct annotation {
	const char *function;
	const char *gives;    /* the function that releases the result, or NULL */
	uint32_t taken, lent; /* bit I: parameter I */
};

struct source_file {
	const char *path;
	char *text; /* NULL until asked for; with '\n' replaced by 0 */
	const char **lines;
	uint32_t n_lines;
	bool missing, system;
};

struct unit {
	const char *path;
	uint64_t key; /* of its bitcode and of the analyser */
	uint32_t first_function;
};

struct program {
	struct region region;
	const char *folder; /* the current one, to which paths are relative; NULL until the first file */
	struct unit *units;
	struct function *functions;
	struct global *globals;
	struct source_file *files;
	size_t n_units, n_functions, n_globals, n_files;
	size_t cap_units, cap_functions, cap_globals, cap_files;
	uint32_t *names; /* open addressing: 1 + function, or 1 + global with the top bit set */
	size_t names_size, names_used;
	uint32_t *bottom_up; /* defined functions, callees first */
	uint32_t n_bottom_up;
	struct annotation *annotations;
	const char **read; /* files whose annotations are here */
	size_t n_annotations, cap_annotations, n_read, cap_read;
	struct barriered *barriered;
	size_t n_barriered, cap_barriered;
	bool closed; /* there is a main: globals have no other writers */
	size_t code_lines;
};

/* The function or global of that name as unit `unit` sees it, made when new. */
struct function *lint_function_named(struct program *program, uint32_t unit, const char *name,
				     bool is_static);
struct global *lint_global_named(struct program *program, uint32_t unit, const char *name, bool is_static,
				 bool *ret_new);
/* `directory` is where a relative name stands; NULL: here. */
uint32_t lint_file_named(struct program *program, const char *directory, const char *name);

/* Call after the last unit: call graph, components, bottom-up order, facts about globals. */
void lint_program_finish(struct program *program);
void lint_program_clear(struct program *program);

/* The number that a global starts with at the offset; 0 when nothing else is known. */
int64_t lint_initial_number(const struct global *global, int64_t offset);

/* One line of source without its newline, or NULL when the file cannot be read. */
const char *lint_source_line(struct program *program, uint32_t file, uint32_t line);
/* The column at which the function's name stands on its line, from 1, or 0: clang does not tell it. */
uint16_t lint_function_column(struct program *program, const struct function *function);

static inline const struct operand *operand_of(const struct body *body, const struct insn *insn, uint32_t i)
{
	return &body->operands[insn->first_operand + i];
}

/* The function that a call names, or NULL for a call through a pointer. */
const struct function *lint_callee(const struct program *program, const struct body *body,
				   const struct insn *insn);
/* What its callee is called: a name, or "a function pointer". */
const char *lint_callee_name(const struct program *program, const struct body *body, const struct insn *insn);

#endif
