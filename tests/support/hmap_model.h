/* hmap_model.h: a classic map beside a naive table, under random commands; for model tests and fault tests.
 *
 * After every command the result is compared, after some the whole map. Whoever finds a difference prints the
 * seed and aborts.
 */
#ifndef NEAP_TESTS_SUPPORT_HMAP_MODEL_H
#define NEAP_TESTS_SUPPORT_HMAP_MODEL_H

#include "failing_alloc.h"
#include "hmap_kinds.h"

enum { HMAP_MODEL_IDS = 3000, HMAP_MODEL_ITERATORS = 3 };

struct hmap_model_iter {
	struct neap_hmap_iter it;
	bool open;
	uint64_t since;			   /* the command that opened it */
	uint64_t produced[HMAP_MODEL_IDS]; /* the command at which it produced the key; 0: not yet */
};

struct hmap_model {
	const struct hmap_kind *kind;
	struct neap_hmap_type type;
	uint32_t version, ids; /* keys are made of numbers below ids */
	uint64_t seed, random, command;
	size_t check_every;

	struct failing_alloc memory;
	struct neap_hmap *map; /* NULL while creating it fails */

	uint64_t since[HMAP_MODEL_IDS]; /* the command that inserted the key; 0: absent */
	uint32_t value[HMAP_MODEL_IDS];
	size_t len, nans, released;
	struct hmap_model_iter iter[HMAP_MODEL_ITERATORS];
};

/* `weak` replaces the hash by one of seven values, so that chains grow long. */
void hmap_model_init(struct hmap_model *model, const struct hmap_kind *kind, uint64_t seed, uint32_t version,
		     uint32_t ids, bool weak);
/* Executes one random command. Operations that memory was refused to must leave the entries as they were. */
void hmap_model_step(struct hmap_model *model);
/* Compares everything. */
void hmap_model_check(struct hmap_model *model);
/* Destroys the map; every byte must be back. */
void hmap_model_deinit(struct hmap_model *model);

#endif
