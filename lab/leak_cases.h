/* leak_cases.h: the known ways to leak through a map, in C: each carried out leaking and cured, with the same work.
 *
 * Everything that a case allocates comes from one allocator that counts, but for the map that the program can still
 * reach, which knows its own bytes (a large one takes whole pages from the system). `expected` is computed from the cause alone
 * (so many blocks of that size), never from the counter:
 *
 *     bytes == expected      the cause explains every byte
 */
#ifndef NEAP_LAB_LEAK_CASES_H
#define NEAP_LAB_LEAK_CASES_H

#include <stdbool.h>
#include <stddef.h>

enum leaks_case {
	LEAKS_POINTER_KEYS,
	LEAKS_NESTED_OWNERS,
	LEAKS_UNFINISHED_EVACUATION,
	LEAKS_TIMER_PER_KEY,
	LEAKS_OWNERSHIP_CYCLES,
	LEAKS_THREAD_LOCAL,
	LEAKS_CASES
};

enum {
	LEAKS_ROUNDS = 10,   /* stores of each key, where keys are stored again */
	LEAKS_KEPT_OF = 100, /* one owner of this many is kept, where owners are deleted */
	LEAKS_OWN = 250,     /* keys of each thread's own map */
};

/* What is there when the work is done. */
struct leaks_outcome {
	size_t bytes;	 /* that the case still holds, `table` included */
	size_t table;	 /* of the map that the program can still reach, by its own account */
	size_t expected; /* what the cause says that it holds */
	size_t entries;	 /* of maps that the program can still reach */
	size_t count;	 /* of what the case is about: keys, owners, unmoved buckets, timers, cycles, maps */
};

/* Carries out a case with `n` keys. What it leaks stays leaked: call it in a process that ends soon. Ends the process
 * when memory or a thread is refused.
 */
void leaks_carry_out(enum leaks_case which, size_t n, bool cured, struct leaks_outcome *ret);

#endif
