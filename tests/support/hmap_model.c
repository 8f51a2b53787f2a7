/* hmap_model.c: see hmap_model.h.
 *
 * The naive table is an array indexed by the number that a key was made of. NaN keys can't be looked up: only
 * their number is modelled.
 *
 * What an iteration owes: an entry that was there when it began and was neither deleted nor cleared is produced
 * exactly once; none is produced that is not in the table at that moment; none twice, unless it was inserted
 * again in between. With Go 1.19's behaviour a clear ends this: iterators are closed before it.
 */
#include "hmap_model.h"

#include "hmap/internal.h"

static struct hmap_model *at_work; /* for weak_hash and count_release, which get no context */

#define DEMAND(condition)                                                                                    \
	((condition) ? (void)0                                                                               \
		     : (fprintf(stderr, "hmap_model: %s, seed %llu, version %u, command %llu: %s (%s:%d)\n", \
				model->kind->name, (unsigned long long)model->seed, model->version,          \
				(unsigned long long)model->command, #condition, __FILE__, __LINE__),         \
			abort()))

static uint32_t below(struct hmap_model *model, uint32_t n)
{
	model->random = model->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)((model->random >> 33) * n >> 31);
}

static uint64_t model_random(void *ctx)
{
	struct hmap_model *model = ctx;
	return (uint64_t)below(model, 1u << 31) << 40 ^ (uint64_t)below(model, 1u << 31) << 20 ^
	       below(model, 1u << 31);
}

/* Seven values. A NaN gets one at random, a zero one for both signs. */
static uint64_t weak_hash(const void *key, uint64_t seed)
{
	const struct hmap_kind *kind = at_work->kind;
	uint32_t id;
	double value = 0;
	if (kind->type.kind == NEAP_HMAP_F64)
		memcpy(&value, key, sizeof value);
	if (kind->type.kind == NEAP_HMAP_F32) {
		float narrow;
		memcpy(&narrow, key, sizeof narrow);
		value = (double)narrow;
	}
	id = value != value ? below(at_work, 1u << 31) : kind->id(key);
	return ((uint64_t)(id % 7) * UINT64_C(0x9e3779b97f4a7c15)) ^ seed;
}

static void count_release(void *value, void *ctx)
{
	(void)value;
	((struct hmap_model *)ctx)->released++;
}

/* ---- The table ---- */

/* Both zeroes are one key. */
static uint32_t same_key(const struct hmap_model *model, uint32_t id)
{
	bool floats = model->type.kind == NEAP_HMAP_F32 || model->type.kind == NEAP_HMAP_F64;
	return floats && id == 1 ? 0 : id;
}

static void table_forget_all(struct hmap_model *model)
{
	memset(model->since, 0, sizeof model->since);
	model->len = model->nans = 0;
}

static bool same_value(const struct hmap_model *model, const void *value, uint32_t expected)
{
	uint64_t bytes[HMAP_LARGEST / 8];
	model->kind->value(expected, bytes);
	return memcmp(value, bytes, model->type.value_size) == 0;
}

/* ---- The map ---- */

static void make_map(struct hmap_model *model)
{
	struct neap_allocator from = {failing_alloc_get, failing_alloc_put, &model->memory};
	size_t hint = below(model, 4) == 0 ? below(model, model->ids) : 0;
	size_t refused = model->memory.refused;
	model->map = neap_hmap_create(&model->type, &(struct neap_hmap_options){.name = "model",
										.allocator = &from,
										.hint = hint,
										.version = model->version,
										.random = model_random,
										.random_ctx = model});
	DEMAND((model->map == NULL) == (model->memory.refused != refused));
	DEMAND(model->map != NULL || model->memory.bytes == 0);
	table_forget_all(model);
	model->released = 0;
}

static void close_iterators(struct hmap_model *model)
{
	for (size_t i = 0; i < HMAP_MODEL_ITERATORS; i++) {
		if (model->iter[i].open)
			neap_hmap_iter_deinit(&model->iter[i].it);
		model->iter[i].open = false;
	}
}

static void drop_map(struct hmap_model *model, bool abandon)
{
	if (abandon) { /* iterators that nobody ends */
		for (size_t i = 0; i < HMAP_MODEL_ITERATORS; i++)
			model->iter[i].open = false;
	}
	close_iterators(model);
	size_t expected = model->released + model->len;
	neap_hmap_destroy(model->map);
	DEMAND(model->map == NULL || model->released == expected);
	DEMAND(model->memory.bytes == 0 && model->memory.blocks == 0);
	model->map = NULL;
}

void hmap_model_init(struct hmap_model *model, const struct hmap_kind *kind, uint64_t seed, uint32_t version,
		     uint32_t ids, bool weak)
{
	memset(model, 0, sizeof *model);
	at_work = model;
	model->kind = kind;
	model->type = kind->type;
	model->type.release = count_release;
	model->type.release_ctx = model;
	if (weak)
		model->type.hash = weak_hash;
	model->version = version;
	model->ids = ids;
	model->seed = model->random = seed;
	model->check_every = 64;
	failing_alloc_init(&model->memory);
}

void hmap_model_deinit(struct hmap_model *model)
{
	drop_map(model, below(model, 2) == 0);
}

void hmap_model_check(struct hmap_model *model)
{
	const char *broken = neap__hmap_check(model->map);
	if (broken != NULL)
		fprintf(stderr, "hmap_model: %s\n", broken);
	DEMAND(broken == NULL);
	DEMAND(neap_hmap_len(model->map) == model->len);
	for (uint32_t id = 0; id < model->ids; id++) {
		if (same_key(model, id) != id || hmap_kind_nan(model->kind, id))
			continue;
		uint64_t key[HMAP_LARGEST / 8];
		model->kind->key(id, key);
		const void *value = neap_hmap_get(model->map, key);
		DEMAND((value != NULL) == (model->since[id] != 0));
		DEMAND(value == NULL || same_value(model, value, model->value[id]));
	}
	struct neap_hmap_stats stats = {.size = sizeof stats};
	neap_hmap_stats(model->map, &stats);
	DEMAND(stats.total == model->memory.bytes);
}

/* ---- Commands ---- */

static void do_put(struct hmap_model *model, bool by_slot)
{
	uint32_t id = below(model, model->ids), number = below(model, 1u << 20);
	uint64_t key[HMAP_LARGEST / 8], value[HMAP_LARGEST / 8];
	model->kind->key(id, key);
	model->kind->value(number, value);
	bool nan = hmap_kind_nan(model->kind, id), inserted,
	     fresh = nan || model->since[same_key(model, id)] == 0;
	size_t refused = model->memory.refused, released = model->released;
	bool done;
	if (by_slot) {
		uint8_t *slot = neap_hmap_slot(model->map, key, &inserted);
		done = slot != NULL;
		DEMAND(!done || inserted == fresh);
		for (size_t i = 0; done && fresh && i < model->type.value_size; i++)
			DEMAND(slot[i] == 0);
		if (done)
			memcpy(slot, value, model->type.value_size);
	} else {
		int error = neap_hmap_put(model->map, key, value);
		done = error == NEAP_OK;
		DEMAND(done || error == NEAP_ENOMEM);
		DEMAND(model->released == released + (done && !fresh));
	}
	if (!done) {
		DEMAND(model->memory.refused > refused);
		hmap_model_check(model);
		return;
	}
	model->len += fresh;
	model->nans += nan;
	id = same_key(model, id);
	if (nan)
		return;
	model->value[id] = number;
	if (fresh)
		model->since[id] = model->command;
}

static void do_delete(struct hmap_model *model, uint32_t id, const void *key)
{
	size_t released = model->released;
	uint32_t at = same_key(model, id);
	bool there = !hmap_kind_nan(model->kind, id) && model->since[at] != 0;
	DEMAND(neap_hmap_delete(model->map, key) == there);
	DEMAND(model->released == released + there);
	if (there) {
		model->since[at] = 0;
		model->len--;
	}
}

static void do_delete_any(struct hmap_model *model)
{
	uint32_t id = below(model, model->ids);
	uint64_t key[HMAP_LARGEST / 8];
	model->kind->key(id, key);
	do_delete(model, id, key);
}

static void do_get(struct hmap_model *model)
{
	uint32_t id = below(model, model->ids), at = same_key(model, id);
	uint64_t key[HMAP_LARGEST / 8];
	model->kind->key(id, key);
	const void *value = neap_hmap_get(model->map, key);
	bool there = !hmap_kind_nan(model->kind, id) && model->since[at] != 0;
	DEMAND((value != NULL) == there);
	DEMAND(!there || same_value(model, value, model->value[at]));
}

static void do_clear(struct hmap_model *model)
{
	if (model->version == NEAP_HMAP_GO_1_19 || model->nans > 0) /* NaNs live on in old arrays */
		close_iterators(model);
	size_t expected = model->released + model->len;
	neap_hmap_clear(model->map);
	DEMAND(model->released == expected);
	table_forget_all(model);
	hmap_model_check(model);
}

static void do_open(struct hmap_model *model, struct hmap_model_iter *iter)
{
	if (iter->open)
		neap_hmap_iter_deinit(&iter->it);
	memset(iter->produced, 0, sizeof iter->produced);
	iter->open = true;
	iter->since = model->command;
	neap_hmap_iter_init(&iter->it, model->map);
}

/* The iteration is over: nothing may be missing. */
static void judge_iteration(struct hmap_model *model, struct hmap_model_iter *iter)
{
	iter->open = false;
	for (uint32_t id = 0; id < model->ids; id++) {
		bool owed = model->since[id] != 0 && model->since[id] < iter->since;
		DEMAND(!owed || iter->produced[id] != 0);
	}
}

static void do_step(struct hmap_model *model, struct hmap_model_iter *iter, bool deletes)
{
	if (!iter->open)
		return;
	if (!neap_hmap_iter_next(&iter->it)) {
		judge_iteration(model, iter);
		return;
	}
	if (!neap__hmap_equal(model->map, iter->it.key, iter->it.key))
		return; /* a NaN */
	uint32_t id = model->kind->id(iter->it.key);
	DEMAND(id < model->ids && model->since[id] != 0);
	DEMAND(iter->produced[id] == 0 || iter->produced[id] < model->since[id]);
	DEMAND(same_value(model, iter->it.value, model->value[id]));
	iter->produced[id] = model->command;
	if (deletes && below(model, 8) == 0)
		do_delete(model, id, iter->it.key);
}

/* An iteration without a write in between: within one phase of a growth. */
static void do_whole(struct hmap_model *model, struct hmap_model_iter *iter)
{
	do_open(model, iter);
	while (iter->open)
		do_step(model, iter, false);
}

void hmap_model_step(struct hmap_model *model)
{
	at_work = model;
	model->command++;
	if (model->map == NULL) {
		make_map(model);
		return;
	}
	/* The map swells and shrinks. */
	uint32_t puts = model->command / 1000 % 3 == 2 ? 100 : 400;
	uint32_t dice = below(model, 1000);
	struct hmap_model_iter *iter = &model->iter[below(model, HMAP_MODEL_ITERATORS)];
	if (dice < puts)
		do_put(model, dice % 2 == 0);
	else if (dice < 500)
		do_delete_any(model);
	else if (dice < 600)
		do_get(model);
	else if (dice < 975)
		do_step(model, iter, true);
	else if (dice < 990)
		do_open(model, iter);
	else if (dice < 995)
		do_whole(model, iter);
	else if (dice < 997)
		close_iterators(model);
	else if (dice < 999)
		do_clear(model);
	else if (below(model, 4) == 0)
		drop_map(model, below(model, 2) == 0);
	if (model->map != NULL && model->command % model->check_every == 0)
		hmap_model_check(model);
}
