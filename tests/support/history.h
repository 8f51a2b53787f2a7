/* history.h: is what several threads saw of one register linearisable?
 *
 * A history is a list of operations on one key, each with the moments at which it began and ended and with its result.
 * It is linearisable when every operation can be given one moment between its own two, such that executing all of them
 * in that order on a plain variable gives the same results (Herlihy and Wing 1990).
 *
 * The checker walks the beginnings and ends in order of time (just-in-time linearisation, Lowe 2017) and keeps every
 * state in which the world could be: the value, and which of the running operations have already happened. When an
 * operation ends, states in which it has not happened try all orders of the running ones; those in which it
 * still has not are dropped. No state left: not linearisable.
 */
#ifndef NEAP_TESTS_SUPPORT_HISTORY_H
#define NEAP_TESTS_SUPPORT_HISTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

enum history_verb {
	HISTORY_LOAD,
	HISTORY_STORE,
	HISTORY_LOAD_OR_STORE,
	HISTORY_TAKE, /* load and delete */
	HISTORY_SWAP_IF,
	HISTORY_DELETE_IF
};

struct history_op {
	uint64_t began, ended; /* moments of one clock, all different */
	uint32_t key, verb;
	uint64_t expected, value; /* arguments */
	uint64_t seen; /* the value that came back; 0: none. For the conditional ones: 1 done, 0 not */
	uint32_t thread;
};

enum { HISTORY_THREADS = 8, HISTORY_STATES = 4096 };

struct history_state {
	uint64_t value; /* 0: absent */
	uint32_t done;	/* bit t: the running operation of thread t has happened */
};

/* Executes an operation on a variable; false when its result is not the one that was seen. */
static inline bool history_apply(const struct history_op *op, uint64_t *value)
{
	uint64_t was = *value;
	switch (op->verb) {
	case HISTORY_LOAD: return op->seen == was;
	case HISTORY_STORE: *value = op->value; return true;
	case HISTORY_LOAD_OR_STORE:
		if (was == 0)
			*value = op->value;
		return op->seen == was;
	case HISTORY_TAKE: *value = 0; return op->seen == was;
	case HISTORY_SWAP_IF:
		if (was != 0 && was == op->expected)
			*value = op->value;
		return op->seen == (was != 0 && was == op->expected);
	default:
		if (was != 0 && was == op->expected)
			*value = 0;
		return op->seen == (was != 0 && was == op->expected);
	}
}

static inline int history_by_key_and_start(const void *a, const void *b)
{
	const struct history_op *x = a, *y = b;
	if (x->key != y->key)
		return x->key < y->key ? -1 : 1;
	return x->began < y->began ? -1 : x->began > y->began;
}

struct history_states {
	struct history_state at[HISTORY_STATES];
	size_t n;
};

static inline void history_put(struct history_states *states, struct history_state state)
{
	for (size_t i = 0; i < states->n; i++)
		if (states->at[i].value == state.value && states->at[i].done == state.done)
			return;
	if (states->n == HISTORY_STATES) {
		fprintf(stderr, "history: too many states\n");
		abort();
	}
	states->at[states->n++] = state;
}

/* What can have happened until `ends`, the operation of thread t, ended: states in which it has, with its bit off. */
static inline void history_end(struct history_states *states,
			       const struct history_op *const running[HISTORY_THREADS], unsigned t)
{
	static struct history_states next;
	for (size_t i = 0; i < states->n; i++) /* grows as it goes: every order of the running ones */
		for (unsigned other = 0; other < HISTORY_THREADS; other++) {
			struct history_state state = states->at[i];
			if (running[other] == NULL || (state.done >> other & 1) || (state.done >> t & 1) ||
			    !history_apply(running[other], &state.value))
				continue;
			state.done |= 1u << other;
			history_put(states, state);
		}
	next.n = 0;
	for (size_t i = 0; i < states->n; i++)
		if (states->at[i].done >> t & 1)
			history_put(&next, (struct history_state){states->at[i].value,
								  states->at[i].done & ~(1u << t)});
	states->n = next.n;
	for (size_t i = 0; i < next.n; i++)
		states->at[i] = next.at[i];
}

/* One key, operations in order of their beginnings, the key absent at first. */
static inline bool history_key_is_linear(const struct history_op *ops, size_t n)
{
	static struct history_states states;
	const struct history_op *running[HISTORY_THREADS] = {NULL};
	states.n = 0;
	history_put(&states, (struct history_state){0, 0});
	for (size_t begun = 0;;) {
		unsigned first = HISTORY_THREADS; /* the running operation that ends first */
		for (unsigned t = 0; t < HISTORY_THREADS; t++)
			if (running[t] != NULL &&
			    (first == HISTORY_THREADS || running[t]->ended < running[first]->ended))
				first = t;
		if (begun < n && (first == HISTORY_THREADS || ops[begun].began < running[first]->ended)) {
			running[ops[begun].thread] = &ops[begun];
			begun++;
			continue;
		}
		if (first == HISTORY_THREADS)
			return true;
		history_end(&states, running, first);
		if (states.n == 0)
			return false;
		running[first] = NULL;
	}
}

/* All keys; sorts `ops`. Prints the key that is not linearisable. */
static inline bool history_is_linear(struct history_op *ops, size_t n)
{
	qsort(ops, n, sizeof *ops, history_by_key_and_start);
	for (size_t from = 0, to; from < n; from = to) {
		for (to = from; to < n && ops[to].key == ops[from].key;)
			to++;
		if (!history_key_is_linear(ops + from, to - from)) {
			fprintf(stderr, "history: key %u is not linearisable\n", ops[from].key);
			return false;
		}
	}
	return true;
}

#endif
