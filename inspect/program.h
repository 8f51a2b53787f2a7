/* program.h: the executable that the target runs: sections, symbols, load bias, and the Go version that
 * built it. All addresses that come out are addresses in the target. */
#ifndef NEAP_INSPECT_PROGRAM_H
#define NEAP_INSPECT_PROGRAM_H

#include "target.h"

struct program;

struct program_section {
	uint64_t address, size;
};

/* What `.go.buildinfo` says: "go1.24.4", and the experiments of "go1.24.4 X:noswissmap,...". */
struct go_version {
	char text[128];
	int minor;		 /* 24 */
	int patch;		 /* 4; -1 for a development or release-candidate build */
	const char *experiments; /* within text; "" for none */
};

/* NULL and a problem when the file can't be opened or is no x86-64 ELF file. */
struct program *program_open(const struct target *target, struct problem *problem);
/* Any file of code, that is loaded with `bias`: symbols only, those for linking when there are no others. */
struct program *program_open_library(const char *path, uint64_t bias, struct problem *problem);
void program_close(struct program *program);

bool program_section(const struct program *program, const char *name, struct program_section *ret);

/* The address of a symbol, 0 when there is none (a stripped program). */
uint64_t program_symbol(const struct program *program, const char *name);

/* The symbol that covers `address`: its name, valid while the program is open, and the distance from its
   start. NULL when there is none. */
const char *program_symbol_at(const struct program *program, uint64_t address, uint64_t *offset);

/* Added to the place of a thread-local variable in its block gives an "address" for program_symbol_at. */
#define PROGRAM_LOCAL 0xf000000000000000u

/* -1 and a problem when the program was not built by Go, or by one before 1.18. */
int program_go_version(const struct program *program, struct go_version *ret, struct problem *problem);

/* A variable of the program, or a part of one, with the address of a Go type descriptor, from DWARF. */
enum program_form {
	PROGRAM_VALUE,	 /* it is of that type */
	PROGRAM_POINTER, /* it points to one */
	PROGRAM_TWICE,	 /* it points to a pointer to one */
	PROGRAM_SLICE,	 /* it is a slice of them */
};

struct program_variable {
	const char *name; /* valid while the program is open */
	uint64_t address;
	enum program_form form;
	uint64_t type; /* as DW_AT_go_runtime_type has it: an address, or an offset into the types section */
};

/* Every global variable that DWARF knows with a type. Returns how many; *ret belongs to the caller. */
size_t program_variables(const struct program *program, struct program_variable **ret);

/* Visits every member of every struct that DWARF describes, and each struct itself with member NULL and its
   size as offset. */
typedef void (*program_member_fn)(void *context, const char *type, const char *member, uint64_t offset);
void program_structs(const struct program *program, program_member_fn visit, void *context);

/* Added to a link-time address gives the address in the target. */
uint64_t program_bias(const struct program *program);

/* Where the loaded parts of the program lie: [start, end). */
void program_extent(const struct program *program, uint64_t *start, uint64_t *end);

#endif
