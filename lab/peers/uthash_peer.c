/* uthash_peer.c: see uthash_peer.h. A node per entry, with the key's bytes at its end: one malloc block. */
#include "lab/peers/uthash_peer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef NEAP_HAVE_UTHASH
#	include <uthash.h>

struct uthash_node {
	UT_hash_handle hh;
	struct file_facts facts;
	char key[];
};

struct uthash_table {
	struct uthash_node *head;
};

bool uthash_available(void)
{
	return true;
}

static void *uthash_must(void *block)
{
	if (block == NULL) {
		fprintf(stderr, "neap: out of memory in the measuring process\n");
		exit(1);
	}
	return block;
}

struct uthash_table *uthash_create(void)
{
	return uthash_must(calloc(1, sizeof(struct uthash_table)));
}

static struct uthash_node *uthash_find(const struct uthash_table *table, struct neap_str key)
{
	struct uthash_node *node = NULL;
	HASH_FIND(hh, table->head, key.ptr, key.len, node);
	return node;
}

void uthash_put(struct uthash_table *table, struct neap_str key, const struct file_facts *facts)
{
	struct uthash_node *node = uthash_find(table, key);
	if (node != NULL) {
		node->facts = *facts;
		return;
	}
	node = uthash_must(malloc(sizeof *node + key.len));
	node->facts = *facts;
	memcpy(node->key, key.ptr, key.len);
	HASH_ADD_KEYPTR(hh, table->head, node->key, key.len, node);
}

bool uthash_delete(struct uthash_table *table, struct neap_str key)
{
	struct uthash_node *node = uthash_find(table, key);
	if (node == NULL)
		return false;
	HASH_DEL(table->head, node);
	free(node);
	return true;
}

size_t uthash_len(const struct uthash_table *table)
{
	return HASH_COUNT(table->head);
}

void uthash_clear(struct uthash_table *table)
{
	struct uthash_node *node = table->head;
	/* HASH_CLEAR frees the table and leaves the nodes; their links are still there. */
	HASH_CLEAR(hh, table->head);
	while (node != NULL) {
		struct uthash_node *next = node->hh.next;
		free(node);
		node = next;
	}
}

size_t uthash_slots(const struct uthash_table *table)
{
	return table->head == NULL ? 0 : table->head->hh.tbl->num_buckets;
}

size_t uthash_bytes(const struct uthash_table *table)
{
	return HASH_OVERHEAD(hh, table->head) +
	       uthash_len(table) * (sizeof(struct uthash_node) - sizeof(UT_hash_handle));
}

void uthash_destroy(struct uthash_table *table)
{
	uthash_clear(table);
	free(table);
}
#else
bool uthash_available(void)
{
	return false;
}

struct uthash_table *uthash_create(void)
{
	abort();
}

void uthash_put(struct uthash_table *table, struct neap_str key, const struct file_facts *facts)
{
	(void)table, (void)key, (void)facts;
	abort();
}

bool uthash_delete(struct uthash_table *table, struct neap_str key)
{
	(void)table, (void)key;
	abort();
}

size_t uthash_len(const struct uthash_table *table)
{
	(void)table;
	abort();
}

void uthash_clear(struct uthash_table *table)
{
	(void)table;
	abort();
}

size_t uthash_slots(const struct uthash_table *table)
{
	(void)table;
	abort();
}

size_t uthash_bytes(const struct uthash_table *table)
{
	(void)table;
	abort();
}

void uthash_destroy(struct uthash_table *table)
{
	(void)table;
	abort();
}
#endif
