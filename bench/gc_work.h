/* gc_work.h: programs that allocate, each written once for every way to get memory. */
#ifndef NEAP_BENCH_GC_WORK_H
#define NEAP_BENCH_GC_WORK_H

#include <stddef.h>
#include <stdint.h>

struct tree {
	struct tree *left, *right;
};
struct node {
	struct node *left, *right;
	uint64_t number, other;
};
struct unit {
	struct node *node;
	void *bytes;
	uint64_t number[6];
};

/* All memory is zeroed. NULL ends the process. */
struct memory {
	struct tree *(*tree)(void);
	struct node *(*node)(void);
	struct unit *(*unit)(void);
	void **(*table)(size_t count); /* of pointers */
	void *(*data)(size_t size);    /* without any */
	void (*release)(void *block);  /* NULL: what is dropped is garbage */
	/* A map from numbers to pointers; NULL: a chained table of nodes in this memory. */
	void *(*map_create)(void);
	void (*map_put)(void *map, uint64_t key, void *value);
	void *(*map_get)(void *map, uint64_t key);
	void (*map_delete)(void *map, uint64_t key);
};

/* `size` is the one argument of each; what is returned is the same in every way. */
typedef uint64_t work(const struct memory *memory, unsigned size);
work work_trees;   /* binary trees: depth of the largest */
work work_gcbench; /* Ellis, Kovac and Boehm's shape: depth of the stretch tree */
work work_live;	   /* MB of units behind a table, three times as many replaced at random */
work work_map;	   /* thousands of entries, three times as many deleted and put at random */

#endif
