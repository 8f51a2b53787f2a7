/* uthash_peer.h: a plain C table on malloc, as most programs have one: uthash from Debian. */
#ifndef NEAP_LAB_UTHASH_PEER_H
#define NEAP_LAB_UTHASH_PEER_H

#include "lab/keys.h"

/* False when the command was built without uthash: then nothing below may be called. */
bool uthash_available(void);

struct uthash_table;

struct uthash_table *uthash_create(void);
void uthash_put(struct uthash_table *table, struct neap_str key, const struct file_facts *facts);
bool uthash_delete(struct uthash_table *table, struct neap_str key);
size_t uthash_len(const struct uthash_table *table);
/* HASH_CLEAR after freeing each entry. */
void uthash_clear(struct uthash_table *table);
/* Bytes of the table and its nodes, without the keys' bytes. */
size_t uthash_bytes(const struct uthash_table *table);
size_t uthash_slots(const struct uthash_table *table);
void uthash_destroy(struct uthash_table *table);

#endif
