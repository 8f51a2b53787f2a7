/* engine.h: follows the paths of a function and keeps what is known on each.
 *
 * A *root* is a function that is explored for its own sake, with nothing known about its arguments. A *frame* is
 * one activation on the way: the root's, or that of a small function that it calls, entered with what the
 * caller knows. Blocks are explored in reverse post order, so that all ways into a block have arrived before it
 * runs; states that differ in nothing that a rule cares about are merged there (after Das, Lerner and Seigle,
 * ESP, 2002), and a branch is taken only when the facts of the state allow it.
 *
 * Loops: the first two rounds as they are; then what the second round wrote is forgotten, once more around, and out.
 *
 * Budgets: steps for a root, states at a block, depth of calls. What a budget cuts off is told in a note.
 */
#ifndef NEAP_LINT_ENGINE_H
#define NEAP_LINT_ENGINE_H

#include "effects.h"
#include "findings.h"
#include "state.h"

struct frame {
	struct frame *caller;
	const struct insn *call; /* in the caller */
	const struct function *function;
	const struct body *body;
	const struct live *live;
	uint64_t chain; /* hash of the calls that led here */
	uint32_t depth;
	struct value *temps; /* by instruction, of the block being run */
	const struct value *params;
	struct pending *pending; /* by block */
	uint32_t next;		 /* no block waits whose place in body->order is before this one */
	uint32_t forks;		 /* of the state when the root made the call that led here */
	struct value *held;	 /* what the caller holds outside of the state until this call returns */
	size_t n_held;
	struct state **results;
	size_t n_results, cap_results;
};

/* A number that is not known. A *derived* one is the outcome of a comparison of two values that are not known, so
 * that the same question asked twice gets the same answer.
 */
struct symbol {
	uint64_t key;
	uint32_t of[2];	  /* derived: the things or symbols compared */
	bool of_thing[2]; /* which of the two */
	bool derived;
	uint32_t next[2]; /* derived: links to the next one that is derived from the same; 0: none */
	uint32_t first;	  /* link to a symbol that is derived from this one; 0: none */
	uint32_t mark;	  /* prune.c */
};

/* A comparison with NULL in the root: some way needs it, or all that came there had used the pointer before. */
struct null_test {
	bool needed;
	uint32_t used_line;
};

struct engine {
	struct program *program;
	struct findings *findings;
	struct findings found; /* of one root */
	struct region region;  /* of one root */
	struct state_pool states;
	struct thing *things;
	uint32_t *thing_table, *symbol_table; /* open addressing by key */
	struct symbol *symbols;
	size_t n_things, cap_things, thing_size;
	size_t n_symbols, cap_symbols, symbol_size;
	const struct function *root;
	uint32_t depth; /* of the frame that runs */
	uint32_t steps; /* instructions of this root so far */
	bool over_steps, over_states;
	struct null_test *null_tests; /* check_late.c: by instruction of the root */
	struct live **live;	      /* by function; NULL until it is explored */
	uint32_t marks;		      /* prunings so far */
	uint64_t total_steps;
	struct sharing *sharing; /* check_sharing.c */
	struct threads *threads; /* check_threads.c */
	bool shares;		 /* this root added to one of them */
};

/* Explores every function with a body, callees first, adds findings, and completes the summaries. `cache` is a folder
 * for what was found in each, or NULL.
 */
void lint_engine_run(struct program *program, const char *cache, struct findings *findings);

/* --- Between the engine's files ----------------------------------------------------------------------------- */

/* A thing or symbol for the key. When the state has one of that key from an earlier round of a loop, that one
 * becomes blurred first.
 */
uint32_t lint_thing(struct engine *engine, enum thing_kind kind, uint64_t key);
uint32_t lint_thing_anew(struct engine *engine, struct state *state, enum thing_kind kind, uint64_t key);
struct value lint_symbol_anew(struct engine *engine, struct state *state, uint64_t key);
/* The truth of `a compare b` for an address or symbol and another one, or a number. */
struct value lint_symbol_test(struct engine *engine, enum compare compare, struct value a, struct value b);
uint64_t lint_key(const struct frame *frame, const struct insn *insn, uint32_t salt);

struct value lint_operand(struct engine *engine, const struct frame *frame, const struct operand *operand);
/* An operand that is the same in every frame: a number, NULL, a global, a function. */
struct value lint_constant(struct engine *engine, const struct operand *operand);
struct value lint_load(struct engine *engine, struct frame *frame, struct state *state, struct value address,
		       const struct insn *insn);
/* A value of unknown origin for the result of `insn`: a pointer to something new, or a symbol. */
struct value lint_unknown(struct engine *engine, struct frame *frame, struct state *state,
			  const struct insn *insn, uint32_t parent, int64_t offset);
/* What is known to lie there, without learning anything new; false: nothing. */
bool lint_peek(struct engine *engine, struct state *state, struct value address, int64_t offset,
	       struct value *ret);
void lint_store(struct engine *engine, struct frame *frame, struct state *state, struct value address,
		struct value value, uint64_t size, const struct insn *insn);
/* The cells of one range, to another; what cannot be told apart is forgotten. `insn` has the size. */
void lint_copy_cells(struct engine *engine, struct frame *frame, struct state *state, const struct insn *insn,
		     struct value to, struct value from);
void lint_fill_cells(struct engine *engine, struct state *state, const struct insn *insn, struct value to,
		     struct value byte);
/* Runs one instruction that neither calls nor jumps; false when the path ends in a mistake. */
bool lint_eval(struct engine *engine, struct frame *frame, struct state *state, const struct insn *insn);
void lint_set_result(struct frame *frame, struct state *state, const struct insn *insn, struct value value);
/* Narrows the state so that the value is true (or false); false when it cannot be. */
bool lint_assume(struct engine *engine, struct state *state, struct value value, bool truth);
/* Others can reach the thing, and what it points to, from now on. */
void lint_escape_thing(struct engine *engine, struct state *state, uint32_t thing);
/* Forgets cells because they may have changed; size 0: all. What they pointed to may be kept elsewhere. */
void lint_cells_lose(struct engine *engine, struct state *state, uint32_t thing, int64_t offset,
		     uint64_t size);
/* Unseen code may have changed the thing and what it reaches. */
void lint_havoc_thing(struct engine *engine, struct state *state, uint32_t thing, uint32_t depth);

/* Performs a call; adds the states that come out of it to `ret`, which the caller continues with. The state given is
 * consumed.
 */
struct state_list {
	struct state **items;
	size_t n, capacity;
};
void lint_list_add(struct state_list *list, struct state *state);
void lint_call(struct engine *engine, struct frame *frame, struct state *state, const struct insn *insn,
	       struct state_list *ret);
/* Explores a function from the state; the states at its returns, with `result` set, go to `ret`. */
void lint_explore(struct engine *engine, struct frame *caller, const struct insn *call,
		  const struct function *function, const struct value *params, struct state *state,
		  struct state_list *ret);
/* Drops what nothing on the way from the block on can reach: see prune.c. */
void lint_prune(struct engine *engine, const struct frame *frame, struct state *state, uint32_t block);
/* Merges `from` into `into` when no rule would notice; `loose` gives up more. */
bool lint_merge(struct engine *engine, struct state *into, const struct state *from, bool loose);

/* What a value is called in a message: a variable's name, or "the pointer". */
const char *lint_value_name(struct engine *engine, const struct frame *frame, const struct operand *operand);

/* --- Rules: each tells and then makes the state such that the same mistake is told once ----------------------- */

/* Memory at `address` is read or written by `insn`; `how` completes "NAME is ...". False: the path ends here. */
bool lint_check_use(struct engine *engine, struct frame *frame, struct state *state, const struct insn *insn,
		    const struct operand *operand, struct value address, const char *how);
/* A comparison; and, after the last path of the root, what all of its ways agree on. */
void lint_check_null_test(struct engine *engine, const struct frame *frame, struct state *state,
			  const struct insn *insn, struct value address);
void lint_check_late_tests(struct engine *engine);
void lint_check_release(struct engine *engine, struct frame *frame, struct state *state,
			const struct insn *insn, const struct operand *operand, struct value address,
			const char *family);
void lint_check_pool_put(struct engine *engine, struct frame *frame, struct state *state,
			 const struct insn *insn, const struct operand *operand, struct value address,
			 struct value pool);
void lint_check_iterator(struct engine *engine, struct frame *frame, struct state *state,
			 const struct insn *insn, struct value iterator);
/* A function returns; `root` only: leaks and addresses of locals. */
void lint_check_return(struct engine *engine, struct frame *frame, struct state *state,
		       const struct insn *insn);
/* The object becomes one of a barriered type: by the descriptor it was made with, or by the struct of a member. */
void lint_barrier_made(struct engine *engine, struct state *state, struct value object,
		       struct value descriptor);
void lint_barrier_named(struct engine *engine, struct state *state, struct value object,
			const struct insn *insn);
/* Stores, and copies that cover the place of a pointer. */
void lint_check_barrier(struct engine *engine, struct frame *frame, struct state *state,
			const struct insn *insn, struct value address);
/* Finds the descriptors of barriered types among the globals. Before the first root. */
void lint_barrier_types(struct program *program);
void lint_check_banned(struct program *program, struct findings *findings);
void lint_check_contract(struct engine *engine, const struct function *function);
void lint_sharing_access(struct engine *engine, const struct frame *frame, const struct state *state,
			 const struct insn *insn, uint32_t argument, bool changes);
void lint_check_sharing(struct engine *engine);
/* The function that a call lets another thread run, or -1. */
int64_t lint_thread_started(const struct program *program, const struct body *body, const struct insn *insn);
struct threads *lint_threads_open(const struct program *program);
/* When the call starts a thread: marks what the thread holds, and returns the state in which the start failed. */
struct state *lint_threads_start(struct engine *engine, struct state *state, const struct effects *effects,
				 const struct value *args, uint32_t n_args);
/* The callee may wait for threads. */
void lint_threads_wait(struct state *state, const char *callee);
void lint_threads_use(struct engine *engine, const struct frame *frame, struct state *state,
		      const struct insn *insn, uint32_t argument, struct value container, bool changes);
void lint_threads_judge(struct engine *engine);
void lint_threads_close(struct threads *threads);

/* A finding at an instruction; inside a call, at the call that the root makes. */
struct finding *lint_report(struct engine *engine, const struct frame *frame, enum check_id check,
			    const struct insn *insn, const char *format, ...)
	__attribute__((format(printf, 5, 6)));
/* Adds "FILE:LINE: text" to a finding, which may be NULL. */
void lint_related(struct finding *finding, uint32_t file, uint32_t line, const char *text);

#endif
