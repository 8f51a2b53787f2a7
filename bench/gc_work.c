/* gc_work.c: see gc_work.h. peers/go_gc/main.go does the same in Go. */
#include "gc_work.h"

#include <stdlib.h>

static void *must(void *block)
{
	if (block == NULL)
		abort();
	return block;
}

static void drop(const struct memory *memory, void *block)
{
	if (memory->release != NULL)
		memory->release(block);
}

static uint64_t next_random(uint64_t *state)
{
	*state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return *state >> 32;
}

/* Binary trees. */

static struct tree *grow_tree(const struct memory *memory, unsigned depth)
{
	struct tree *tree = must(memory->tree());
	if (depth > 0) {
		tree->left = grow_tree(memory, depth - 1);
		tree->right = grow_tree(memory, depth - 1);
	}
	return tree;
}

static uint64_t count_tree(const struct tree *tree)
{
	return tree->left == NULL ? 1 : 1 + count_tree(tree->left) + count_tree(tree->right);
}

static void drop_tree(const struct memory *memory, struct tree *tree)
{
	if (memory->release == NULL || tree == NULL)
		return;
	drop_tree(memory, tree->left);
	drop_tree(memory, tree->right);
	memory->release(tree);
}

static uint64_t grow_and_drop(const struct memory *memory, unsigned depth)
{
	struct tree *tree = grow_tree(memory, depth);
	uint64_t count = count_tree(tree);
	drop_tree(memory, tree);
	return count;
}

uint64_t work_trees(const struct memory *memory, unsigned depth)
{
	uint64_t count = grow_and_drop(memory, depth + 1);
	struct tree *lives = grow_tree(memory, depth);
	for (unsigned d = 4; d <= depth; d += 4)
		for (unsigned i = 0; i < 1u << (depth - d + 4); i++)
			count += grow_and_drop(memory, d);
	return count + count_tree(lives);
}

/* GCBench: trees built from the root and from the leaves, beside a tree and an array that live. */

static struct node *from_leaves(const struct memory *memory, unsigned depth)
{
	struct node *left = depth > 0 ? from_leaves(memory, depth - 1) : NULL;
	struct node *right = depth > 0 ? from_leaves(memory, depth - 1) : NULL;
	struct node *node = must(memory->node());
	node->left = left;
	node->right = right;
	return node;
}

static void grow_below(const struct memory *memory, struct node *node, unsigned depth)
{
	if (depth == 0)
		return;
	node->left = must(memory->node());
	node->right = must(memory->node());
	grow_below(memory, node->left, depth - 1);
	grow_below(memory, node->right, depth - 1);
}

static uint64_t count_nodes(const struct node *node)
{
	return node == NULL ? 0 : 1 + count_nodes(node->left) + count_nodes(node->right);
}

static uint64_t drop_nodes(const struct memory *memory, struct node *node)
{
	uint64_t count = count_nodes(node);
	if (memory->release != NULL && node != NULL) {
		(void)drop_nodes(memory, node->left);
		(void)drop_nodes(memory, node->right);
		memory->release(node);
	}
	return count;
}

uint64_t work_gcbench(const struct memory *memory, unsigned depth)
{
	enum { NUMBERS = 500000 };
	unsigned most = depth > 6 ? depth - 2 : 4;
	uint64_t count = drop_nodes(memory, from_leaves(memory, depth));
	struct node *lives = must(memory->node());
	grow_below(memory, lives, most);
	double *numbers = must(memory->data(NUMBERS * sizeof *numbers));
	for (unsigned i = 0; i < NUMBERS / 2; i++)
		numbers[i] = 1.0 / (i + 1);
	for (unsigned d = 4; d <= most; d += 2) {
		unsigned times = (2u << (depth + 1)) / (1u << (d + 1));
		for (unsigned i = 0; i < times; i++) {
			struct node *root = must(memory->node());
			grow_below(memory, root, d);
			count += drop_nodes(memory, root);
			count += drop_nodes(memory, from_leaves(memory, d));
		}
	}
	return count + count_nodes(lives) + (numbers[1000] == 1.0 / 1001);
}

/* A large heap. */

static struct unit *make_unit(const struct memory *memory, uint64_t number)
{
	struct unit *unit = must(memory->unit());
	unit->node = must(memory->node());
	unit->bytes = must(memory->data(96));
	unit->number[0] = unit->node->number = number;
	return unit;
}

uint64_t work_live(const struct memory *memory, unsigned mb)
{
	size_t count = ((size_t)mb << 20) / (64 + 32 + 96);
	uint64_t random = 1, sum = 0;
	void **table = must(memory->table(count));
	for (size_t i = 0; i < count; i++)
		table[i] = make_unit(memory, i);
	for (size_t i = 0; i < 3 * count; i++) {
		size_t at = (size_t)(next_random(&random) * count >> 32);
		struct unit *old = table[at];
		table[at] = make_unit(memory, old->number[0] + 1);
		drop(memory, old->node);
		drop(memory, old->bytes);
		drop(memory, old);
	}
	for (size_t i = 0; i < count; i++)
		sum += ((struct unit *)table[i])->node->number;
	return sum;
}

/* A map: each node of a chain is { next, value, key }. */

struct chains {
	const struct memory *memory;
	void **heads;
	size_t mask;
};

static struct node **link_of(const struct chains *chains, uint64_t key)
{
	uint64_t hash = key * UINT64_C(0x9e3779b97f4a7c15);
	struct node **link = (struct node **)&chains->heads[(hash >> 32) & chains->mask];
	while (*link != NULL && (*link)->number != key)
		link = &(*link)->left;
	return link;
}

static void map_put(struct chains *chains, void *map, uint64_t key, void *value)
{
	if (map != NULL) {
		chains->memory->map_put(map, key, value);
		return;
	}
	struct node **link = link_of(chains, key);
	if (*link == NULL) {
		*link = must(chains->memory->node());
		(*link)->number = key;
	}
	(*link)->right = value;
}

static uint64_t *map_get(const struct chains *chains, void *map, uint64_t key)
{
	if (map != NULL)
		return chains->memory->map_get(map, key);
	struct node *node = *link_of(chains, key);
	return node != NULL ? (void *)node->right : NULL;
}

static void map_delete(const struct chains *chains, void *map, uint64_t key)
{
	void *value = map_get(chains, map, key);
	if (map != NULL) {
		chains->memory->map_delete(map, key);
	} else {
		struct node **link = link_of(chains, key), *node = *link;
		*link = node->left;
		drop(chains->memory, node);
	}
	drop(chains->memory, value);
}

uint64_t work_map(const struct memory *memory, unsigned thousands)
{
	size_t count = (size_t)thousands * 1000;
	uint64_t random = 1, sum = 0;
	struct chains chains = {memory, NULL, 1};
	void *map = memory->map_create != NULL ? memory->map_create() : NULL;
	while (chains.mask < count)
		chains.mask = chains.mask * 2 + 1;
	if (map == NULL)
		chains.heads = must(memory->table(chains.mask + 1));
	uint64_t *keys = must(memory->data(count * sizeof *keys));
	for (size_t i = 0; i < 4 * count; i++) {
		size_t at = i < count ? i : (size_t)(next_random(&random) * count >> 32);
		if (i >= count)
			map_delete(&chains, map, keys[at]);
		keys[at] = i;
		uint64_t *value = must(memory->data(32));
		*value = i;
		map_put(&chains, map, i, value);
	}
	for (size_t i = 0; i < count; i++)
		sum += *map_get(&chains, map, keys[i]);
	return sum;
}
