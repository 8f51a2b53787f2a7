/* effects.h: what calling a function does to the pointers that it is given.
 *
 * One struct serves three sources: rows of a table (libc, Neap's API, a user's own file), and the summaries
 * that the analyses compute for functions whose bodies they have. All three have the same text form, so that a
 * summary can be read, kept, and pasted into a table:
 *
 *     neap_map_get    reads:0 reads:1 borrow:0 maybe-null
 *     free            free:0:malloc null-ok:0
 *     strcpy          writes:0 reads:1 result:0
 *
 * words, I and J being argument numbers from 0 (a struct result of more than two words is built where argument 0 points,
 * and the others move up) and L a number of dereferences (0 when left out):
 *
 *     new:FAMILY          the result is a new object that the caller owns
 *     maybe-null          the result may be NULL;        never-null: it cannot be
 *     result:I            the result is argument I;      result:I:L what L dereferences of it give
 *     borrow:I            the result points into the container I
 *     free:I:FAMILY       argument I is released;        may-free:I:FAMILY on some paths
 *     taken:I             the callee owns argument I from the call on
 *     lent:I              the callee may use argument I until it returns, and keeps nothing
 *     heap:I[:L]          kept where it outlives the call
 *     into:I:J[:L]        stored into what argument J points to
 *     keeps:I             unseen code may keep argument I
 *     reads:I writes:I    must point to live memory      null-ok:I may be NULL
 *     insert:I delete:I clear:I     how container I changes
 *     iter:I:J next:I     I becomes an iterator over the container J; steps it
 *     scan:I:J            the same, and no step may follow a change of J
 *     lock:I unlock:I     acquires and releases
 *     put:I:J             I goes back to the pool J;     reset:I brings I to its initial state
 *     barrier             stores with the write barrier
 *     typed:I             the result is an object of the collector that argument I describes
 *     collected           the result need not be released
 *     pool-type:I         argument I describes the objects of the pool that is made
 *     pool-resets         what is put is reset by the pool, when that description says how
 *     thread:I            argument I is handed to another thread
 *     exits               does not return
 *
 * Levels: 0 is the pointer itself, 1 what it points to, and so on, at most LEVEL_MAX; NEVER is no flow.
 */
#ifndef NEAP_LINT_EFFECTS_H
#define NEAP_LINT_EFFECTS_H

#include <stdbool.h>
#include <stdint.h>

#include "storage.h"

/* Arguments past this many are treated as unseen: no function of libc or Neap has as many. */
#define ARGS_MAX 12
/* Go stops counting dereferences at a few as well: deeper flows are content of content. */
#define LEVEL_MAX 3
#define NEVER	  (-1)

enum change { CHANGE_NONE, CHANGE_INSERT, CHANGE_DELETE, CHANGE_CLEAR };

struct arg_effects {
	int8_t heap, result, into[ARGS_MAX]; /* levels */
	bool keeps;
	bool frees, may_free;
	bool taken, lent; /* ownership as a declaration states it; `taken` comes with `frees` */
	bool reads, writes, null_ok;
	bool steps, locks, unlocks, resets, thread;
	bool scans;	    /* `iterates` over a container that must not change meanwhile */
	int8_t put_pool;    /* argument that is the pool, or -1 */
	int8_t iterates;    /* argument that is the container, or -1 */
	uint8_t change;	    /* enum change */
	const char *family; /* of frees: "malloc", "FILE" */
};

struct effects {
	const char *name;
	struct arg_effects args[ARGS_MAX];
	uint8_t n_args;	   /* those that the words name; later ones have no effect */
	const char *makes; /* family of a new result, or NULL */
	bool maybe_null, never_null;
	bool exits, barrier, collected, pool_resets;
	int8_t borrows; /* the container that the result points into, or -1 */
	int8_t typed;	/* the argument that describes the result, or -1 */
	int8_t pools;	/* the argument that describes the objects of the new pool, or -1 */
};

/* An effects with no effect. */
void lint_effects_init(struct effects *effects, const char *name);
/* Reads the words of a row into `ret`. NULL, or what is wrong, as a string in `region`. */
const char *lint_effects_parse(struct region *region, const char *words, struct effects *ret);
/* The text form, in `region`. */
char *lint_effects_text(struct region *region, const struct effects *effects);

/* Adds `level` to a flow that may exist already: the least number of dereferences counts. */
static inline bool lint_level_lower(int8_t *level, int by)
{
	int8_t capped = (int8_t)(by < 0 ? 0 : by > LEVEL_MAX ? LEVEL_MAX : by);
	if (*level != NEVER && *level <= capped)
		return false;
	*level = capped;
	return true;
}

/* A row of a table. */
struct effect_row {
	const char *name, *words;
};
extern const struct effect_row lint_libc_rows[], lint_neap_rows[];

struct program;
/* Attaches rows to the functions of the program that they name: those of `file` (may be NULL), one function a line,
 * then Neap's, then libc's, then what declarations say (annotations.h); the first that names a function counts. A
 * function with a body gets no row of libc, but one of Neap or of the file. 0, or -1 with `ret_error` set, to be freed.
 */
int lint_effects_attach(struct program *program, const char *file, char **ret_error);

#endif
