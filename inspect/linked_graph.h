/* linked_graph.h: who holds what in a program linked with libneap.
 *
 *   node      a block of libneap's heap, a collected object, a chunk of malloc, or a map with all its memory
 *   extent    a stretch of addresses that belongs to a node; a map has several
 *   root      a stretch of words that the program has at hand: static data, a stack, registers, thread-local data, the
 *             collector's handles and ranges
 *   held      a word at `slot` of a root or of another node points into one of the node's extents
 *
 * What counts as a pointer: in a collected object that points to a collected one, the words that its type names. In a map
 * the words of its entries, and of nothing that a deleted entry left. Everywhere else any aligned word, because C keeps
 * no types: a number that looks like an address holds what lies there. A collected object is held by roots, collected
 * objects and collected maps only, as the collector sees it.
 *
 * malloc is glibc's: its chunks are walked by their sizes, and believed when the walk ends where the memory does. The words
 * of memory that is nobody's here (another allocator, a mapping of the program's own) count last: they hold only what
 * nothing else does, and what holds them is not known.
 */
#ifndef NEAP_INSPECT_LINKED_GRAPH_H
#define NEAP_INSPECT_LINKED_GRAPH_H

#include "dominators.h"
#include "linked_process.h"
#include "program.h"

enum linked_kind { LINKED_BLOCK, LINKED_OBJECT, LINKED_CHUNK, LINKED_TABLE };

struct linked_node {
	uint64_t start; /* of a map: its header */
	uint64_t size;	/* of all its extents, bytes */
	uint32_t
		what; /* the number of an object's type, LINKED_NO_TYPE for one of bytes; a map's number in the list; of a
			   chunk, bytes that belong to it behind `size` */
	uint8_t kind; /* enum linked_kind */
	bool silent;  /* holds nothing: bytes that the program said are no pointers, freed chunks */
	bool gone;    /* freed, or part of a map */
};

#define LINKED_NO_TYPE UINT32_MAX

/* What the program may use of it, bytes. */
static inline uint64_t linked_node_size(const struct linked_node *node)
{
	return node->size + (node->kind == LINKED_CHUNK ? node->what : 0);
}

struct linked_extent {
	uint64_t start, end;
	uint32_t node;
};

enum linked_root_kind {
	LINKED_STATIC,
	LINKED_THREAD_LOCAL,
	LINKED_STACK,
	LINKED_REGISTER, /* `start` is its number in struct user_regs_struct */
	LINKED_HANDLE,
	LINKED_RANGE,
	LINKED_ELSEWHERE /* memory that is nobody's here */
};

struct linked_root {
	uint64_t start, end;
	enum linked_root_kind kind;
	int thread;	/* index in the target's threads, of the three kinds that have one */
	bool collected; /* holds collected objects too */
};

/* The program or a library that is loaded. */
struct linked_object {
	const char *path; /* the target's */
	uint64_t bias;	  /* what is added to the addresses in its file */
	uint64_t start, end;
};

/* What no word says: a map is held by its collected handle, a value of a map with weak keys by its key. */
struct linked_edge {
	uint32_t from, to; /* nodes */
	uint64_t slot;
};

struct linked_graph {
	struct linked_process *process;
	struct linked_list maps;
	struct linked_node *nodes;
	size_t node_count, node_capacity;
	struct linked_extent *extents; /* sorted, never overlapping */
	size_t extent_count, extent_capacity;
	struct linked_object *objects;
	size_t object_count, object_capacity;
	struct linked_root *roots;
	size_t root_count, root_capacity;
	struct linked_edge *edges; /* sorted by `from` */
	size_t edge_count, edge_capacity;
	struct linked_extent
		*own; /* `node` unused: the library's own memory, what malloc's arenas cover, unused stack */
	size_t own_count, own_capacity;
	uint32_t *parent; /* by node: 0 not held, the node that holds it plus 1, or LINKED_ROOT | root */
	uint64_t *slot;	  /* by node: the address of the word that holds it */
};

#define LINKED_ROOT 0x80000000u

/* All of it. -1 and a problem when the process can't be stopped for its registers, or the graph is too large. */
int linked_graph_build(struct linked_process *process, struct linked_graph *ret, struct problem *problem);
void linked_graph_free(struct linked_graph *graph);
/* Searches the memory that is nobody's for what holds nodes that nothing else does. */
void linked_graph_widen(struct linked_graph *graph);
/* What each node keeps alive; free with dominators_free. */
void linked_graph_dominators(struct linked_graph *graph, struct dominators *ret);

/* For a snapshot (linked_rows.c): every node that is held; and who holds the map that was added last, if it is `map`. */
void linked_add_rows(struct linked_graph *graph, struct snapshot_builder *builder);
struct linked_names;
void linked_add_way(struct linked_graph *graph, struct linked_names *names, uint64_t map,
		    struct snapshot_builder *builder);

/* The node that `address` lies in, LINKED_NO_NODE if none. */
#define LINKED_NO_NODE UINT32_MAX
uint32_t linked_node_at(const struct linked_graph *graph, uint64_t address);

/* For linked_nodes.c, linked_malloc.c and linked_roots.c. */
uint32_t linked_add_node(struct linked_graph *graph, const struct linked_node *node);
void linked_sort_extents(struct linked_graph *graph);
void linked_take_nodes(struct linked_graph *graph);
void linked_take_chunks(struct linked_graph *graph);
void linked_add_chunk(struct linked_graph *graph, uint64_t start, uint64_t end, uint32_t tail);
void linked_take_roots(struct linked_graph *graph);
void linked_take_elsewhere(struct linked_graph *graph);
void linked_add_root(struct linked_graph *graph, const struct linked_root *root);
void linked_add_own(struct linked_graph *graph, uint64_t start, uint64_t size);
/* The end of the library's own memory or an arena that `address` lies in, 0 when it lies in none. */
uint64_t linked_own_end(const struct linked_graph *graph, uint64_t address);
/* Where the first such memory behind `address` begins, `end` when there is none before that. */
uint64_t linked_own_start(const struct linked_graph *graph, uint64_t address, uint64_t end);

/* The words of a node that may hold something; `exact`: one that the type of a collected object names, or of an entry of a
   collected map. */
typedef void (*linked_word_fn)(void *context, uint64_t slot, uint64_t value, bool exact);
void linked_node_words(struct linked_graph *graph, uint32_t node, linked_word_fn visit, void *context);

/* Names for people, cut to `size` (linked_name.c). */
struct linked_names *linked_names_open(struct linked_graph *graph);
void linked_names_close(struct linked_names *names);
void linked_root_name(struct linked_names *names, const struct linked_root *root, uint64_t slot, char *name,
		      size_t size);
void linked_node_name(struct linked_names *names, uint32_t node, char *name, size_t size);
/* The place of a word in a node: "+16", or "[entry]". */
void linked_word_name(struct linked_names *names, uint32_t node, uint64_t slot, char *name, size_t size);

#endif
