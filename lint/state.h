/* state.h: what is known at one point of one path.
 *
 * Nouns. A *thing* is a piece of memory that the path has met: a local, an allocation, a global, what a parameter
 * or a loaded pointer points to. A *value* is a number, the address of a thing with an offset, or a symbol: a
 * number that is not known but has a name, so that two tests of it agree. A *state* is
 *
 *     cells   (thing, offset) -> value     sorted; what is not there has not been looked at
 *     traits  thing -> life, nullness, ownership
 *     facts   symbol -> range of numbers                        sorted
 *     kept    results of instructions that later blocks need    sorted by depth, then instruction
 *
 * Things and symbols are interned: the same instruction in the same call chain makes the same one on every path, which
 * is what lets two paths be compared and merged. When a loop makes one again, the older becomes a blurred twin.
 *
 * Laws: cells are sorted by (thing, offset) without repeats; a thing without a trait is LIVE, of unknown nullness
 * and not owned; two parameters do not point to the same thing (an assumption, stated in docs/lint.md).
 */
#ifndef NEAP_LINT_STATE_H
#define NEAP_LINT_STATE_H

#include <assert.h>
#include <string.h>

#include "code.h"

enum value_kind { VALUE_UNKNOWN, VALUE_NUMBER, VALUE_ADDRESS, VALUE_SYMBOL, VALUE_TEST };

/* An offset that is not known. */
#define OFFSET_ANY INT64_MIN

struct value {
	uint8_t kind;
	uint8_t compare; /* TEST: symbol `compare` number, or thing `compare` NULL when `of_thing` */
	bool of_thing;
	bool unused;	/* 0: two values are compared as bytes, so there is no padding */
	uint32_t id;	/* thing or symbol */
	int64_t number; /* number, offset, addend of a symbol, right side of a test */
};

static_assert(sizeof(struct value) == 4 * sizeof(uint8_t) + sizeof(uint32_t) + sizeof(int64_t), "no padding");

#define NO_THING UINT32_MAX

enum thing_kind {
	THING_LOCAL,
	THING_NEW, /* made by a call and owned by the caller */
	THING_GLOBAL,
	THING_PARAM,	/* what a parameter points to */
	THING_LOADED,	/* what a pointer of unknown origin points to */
	THING_RESULT,	/* what a call returned */
	THING_BORROWED, /* inside a container */
	THING_FUNCTION,
	THING_BLURRED /* several things at once: nothing is said about it */
};

struct thing {
	uint8_t kind;
	uint64_t key;
	uint32_t index; /* instruction, parameter, global, function */
	uint32_t
		parent; /* THING_LOADED: where its address was loaded from; THING_BORROWED: the container; NO_THING */
	int64_t offset;			 /* THING_LOADED: at which offset */
	const char *family;		 /* THING_NEW */
	const struct function *function; /* THING_LOCAL, THING_NEW: where */
	uint32_t depth;			 /* of calls, when it was made */
	uint32_t mark;			 /* prune.c */
	uint32_t first;			 /* link to a symbol that is derived from its address; 0: none */
};

enum life {
	LIFE_LIVE,
	LIFE_FREED,
	LIFE_PUT,      /* back in its pool */
	LIFE_DELETED,  /* its entry was deleted */
	LIFE_CLEARED,  /* its container was cleared */
	LIFE_MOVED,    /* its container changed, and may have moved it */
	LIFE_RETURNED, /* a local whose function has returned */
	LIFE_BLURRED   /* not known: say nothing */
};

enum nullness { NULLNESS_UNKNOWN, NULLNESS_MAYBE, NULLNESS_NULL, NULLNESS_NOT };

struct trait {
	uint32_t thing;
	uint8_t life, null;
	bool owned;	     /* must be released on this path */
	bool escaped;	     /* others can reach it */
	bool read;	     /* a load or store went through it, on some way here */
	bool always_read;    /* ... on every way */
	bool tested;	     /* nullness comes from a test in the source */
	bool checked;	     /* ... in the root function itself */
	bool no_reset;	     /* a pool that makes objects and does not reset them */
	bool scans;	     /* an iterator whose map must not change meanwhile */
	bool strict;	     /* a map that forbids changes while iterating */
	uint8_t barriered;   /* 1 + index into program->barriered: what type the object has; 0: none */
	uint8_t change;	     /* enum change: what happened to this container */
	uint32_t iterates;   /* 1 + the container that this iterator is over */
	uint32_t handed;     /* 1 + how a thread that runs holds it: check_threads.c; 0: none does */
	uint32_t file, line; /* where its life ended, its nullness began, or the local's address was stored */
	uint32_t made_line;
	uint16_t column, made_column; /* of `line` and `made_line` */
	uint32_t used_line;	      /* of the first use in the root itself; 0: none */
};

struct cell {
	uint32_t thing;
	uint32_t stamp; /* of the last write: larger is later */
	int64_t offset;
	struct value value;
};

struct fact {
	uint32_t symbol;
	int64_t low, high;
	int64_t except; /* not this number, when has_except */
	bool has_except;
};

struct kept {
	uint32_t insn, depth;
	struct value value;
};

struct loop_count {
	uint32_t block, depth, count, stamp;
};

struct state {
	struct state_pool *pool;
	struct state *next; /* in the pool */
	struct cell *cells;
	struct trait *traits;
	struct fact *facts;
	struct kept *kept;
	struct loop_count *loops;
	size_t n_cells, cap_cells, n_traits, cap_traits, n_facts, cap_facts, n_kept, cap_kept, n_loops,
		cap_loops;
	uint32_t stamp;
	uint32_t forks;	     /* branches on the way here of which the other side was open too */
	uint32_t locks;	     /* held */
	bool tried;	     /* something that can fail was asked for an object */
	bool iterated;	     /* some loop has been around */
	bool merged;	     /* with another: what two of its values had to do with each other may be lost */
	struct value result; /* of the function that has just returned */
};

/* States that are not in use, with their arrays: a branch makes a state and a merge ends one, all the time. */
struct state_pool {
	struct state *idle;
};
struct state *lint_state_new(struct state_pool *pool);
struct state *lint_state_copy(const struct state *state);
/* Back to the pool that it came from. NULL is allowed. */
void lint_state_free(struct state *state);
/* Frees what is idle. */
void lint_state_pool_clear(struct state_pool *pool);

struct value *lint_cell_find(struct state *state, uint32_t thing, int64_t offset);
void lint_cell_set(struct state *state, uint32_t thing, int64_t offset, struct value value);
/* Forgets the cells of a thing in [offset, offset + size); all of them when size is 0. */
void lint_cells_forget(struct state *state, uint32_t thing, int64_t offset, uint64_t size);

/* The trait of a thing, or NULL when it has the default; the second makes one. */
struct trait *lint_trait_find(struct state *state, uint32_t thing);
struct trait *lint_trait(struct state *state, uint32_t thing);

/* Keeps the result of an instruction for later blocks of the frame at that depth. */
void lint_kept_set(struct state *state, uint32_t depth, uint32_t insn, struct value value);

/* Narrows a symbol; false when no number is left. */
bool lint_fact_narrow(struct state *state, uint32_t symbol, enum compare compare, int64_t number);
/* The only number that the symbol can be; false when there are others. */
bool lint_fact_single(const struct state *state, uint32_t symbol, int64_t *ret);
/* 1 the comparison holds, 0 it does not, -1 not known. */
int lint_fact_decide(const struct state *state, uint32_t symbol, enum compare compare, int64_t number);

/* Replaces every mention of a thing, or of a symbol. */
void lint_state_rename_thing(struct state *state, uint32_t from, uint32_t to);
void lint_state_rename_symbol(struct state *state, uint32_t from, uint32_t to);

static inline struct value number_value(int64_t number)
{
	return (struct value){.kind = VALUE_NUMBER, .number = number};
}

static inline struct value address_value(uint32_t thing, int64_t offset)
{
	return (struct value){.kind = VALUE_ADDRESS, .id = thing, .number = offset};
}

static inline bool same_value(const struct value *a, const struct value *b)
{
	return memcmp(a, b, sizeof *a) == 0;
}

#endif
