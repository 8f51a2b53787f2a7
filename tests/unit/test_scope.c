/* test_scope.c: tables with generations, transactions that undo, versions that wait for their readers. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "neap/scope.h"
#include "support/failing_alloc.h"

enum { KEYS = 97, STEPS = 20000 };

static const struct neap_map_type u64 = {.size = sizeof(struct neap_map_type),
					 .kind = NEAP_KEY_BYTES,
					 .key_size = 8,
					 .key_align = 8,
					 .value_size = 8,
					 .value_align = 8};

static struct neap_scopes_stats stats_of(struct neap_scopes *scopes, enum neap_scope_class scope_class)
{
	struct neap_scopes_stats stats = {.size = sizeof stats};
	neap_scopes_stats(scopes, scope_class, &stats);
	assert_int_equal(stats.begun, stats.reused + stats.made);
	assert_int_equal(stats.out, stats.begun - stats.ended);
	return stats;
}

static uint64_t state64 = 1;

static uint64_t next_random(void)
{
	state64 ^= state64 << 13;
	state64 ^= state64 >> 7;
	return state64 ^= state64 << 17;
}

/* ---- Transient ---- */

/* Random commands on the table and on an array, compared after each. */
static void a_transient_table_is_a_map(void **state)
{
	(void)state;
	struct neap_scopes *scopes = neap_scopes_create(&u64, NULL);
	uint64_t model[KEYS];
	bool there[KEYS] = {false};
	size_t live = 0;
	struct neap_transient *table = neap_transient_begin(scopes);
	for (int step = 0; step < STEPS; step++) {
		uint64_t key = next_random() % KEYS, value = next_random(), *slot;
		bool inserted;
		switch (next_random() % 8) {
		case 0:
		case 1:
			assert_int_equal(neap_transient_put(table, &key, &value), NEAP_OK);
			live += !there[key];
			there[key] = true;
			model[key] = value;
			break;
		case 2:
			slot = neap_transient_slot(table, &key, &inserted);
			assert_int_equal(inserted, !there[key]);
			assert_int_equal(*slot, inserted ? 0 : model[key]);
			live += inserted;
			there[key] = true;
			model[key] = *slot = value;
			break;
		case 3:
		case 4:
		case 5:
			assert_int_equal(neap_transient_delete(table, &key), there[key]);
			live -= there[key];
			there[key] = false;
			break;
		case 6:
			if (next_random() % 100 != 0)
				break;
			if (next_random() % 2 == 0) {
				neap_transient_clear(table);
			} else {
				neap_transient_end(table);
				table = neap_transient_begin(scopes);
			}
			memset(there, 0, sizeof there);
			live = 0;
			break;
		default: break;
		}
		assert_int_equal(neap_transient_len(table), live);
		for (uint64_t i = (uint64_t)step % 13; i < KEYS; i += 13) {
			slot = neap_transient_get(table, &i);
			assert_int_equal(slot != NULL, there[i]);
			assert_true(slot == NULL || *slot == model[i]);
		}
	}
	neap_transient_end(table);
	struct neap_scopes_stats stats = stats_of(scopes, NEAP_SCOPE_TRANSIENT);
	assert_int_equal(stats.made, 1);
	assert_true(stats.reused > 5);
	assert_int_equal(neap_scopes_destroy(scopes), 0);
}

static void transient_keys_may_be_strings_or_structs(void **state)
{
	(void)state;
	const struct neap_map_type strings = {.size = sizeof(struct neap_map_type),
					      .kind = NEAP_KEY_STR,
					      .key_size = sizeof(struct neap_str),
					      .key_align = 8,
					      .value_size = 1,
					      .value_align = 1};
	struct neap_map_type wide = u64;
	wide.key_size = 40;
	struct neap_map_type set = u64;
	set.key_size = set.key_align = 4;
	set.value_size = 0;
	set.value_align = 1;
	const struct neap_map_type *const types[] = {&strings, &wide, &set};
	for (size_t t = 0; t < 3; t++) {
		struct neap_scopes *scopes = neap_scopes_create(types[t], NULL);
		struct neap_transient *table = neap_transient_begin(scopes);
		char texts[200][40] = {{0}};
		for (int i = 0; i < 200; i++) {
			snprintf(texts[i], sizeof texts[i], "%d number", i);
			struct neap_str str = {texts[i], (uint32_t)strlen(texts[i]), 0};
			char value[8] = {(char)i}; /* value_size is at most that */
			assert_int_equal(neap_transient_put(table, t == 0 ? (void *)&str : texts[i], value),
					 0);
		}
		for (int i = 0; i < 200; i += 2) {
			struct neap_str str = {texts[i], (uint32_t)strlen(texts[i]), 0};
			assert_true(neap_transient_delete(table, t == 0 ? (void *)&str : texts[i]));
		}
		for (int i = 0; i < 200; i++) {
			char copy[40];
			memcpy(copy, texts[i], sizeof copy);
			struct neap_str str = {copy, (uint32_t)strlen(copy), 0};
			char *value = neap_transient_get(table, t == 0 ? (void *)&str : copy);
			assert_int_equal(value != NULL, i % 2);
			assert_true(value == NULL || t != 0 || *value == (char)i);
		}
		neap_transient_end(table);
		neap_scopes_destroy(scopes);
	}
	struct neap_map_type owning = strings;
	owning.flags = NEAP_MAP_OWN_KEYS;
	struct neap_scopes *scopes = neap_scopes_create(&owning, NULL);
	assert_null(neap_transient_begin(scopes));
	neap_scopes_destroy(scopes);
	assert_null(neap_transient_get(NULL, NULL));
	assert_int_equal(neap_transient_put(NULL, NULL, NULL), NEAP_ENIL);
}

/* ---- Transactions ---- */

/* Values that own something: how many are alive, and each released exactly once. */
static int owned[1 << 16];
static uint64_t owned_next;
static size_t owned_alive;

static void release_owned(void *key, void *value, void *ctx)
{
	(void)key, (void)ctx;
	uint64_t number;
	memcpy(&number, value, 8);
	if (number == 0)
		return; /* a zero value owns nothing */
	assert_int_equal(owned[number], 1);
	owned[number] = 2;
	owned_alive--;
}

static uint64_t own(void)
{
	owned[++owned_next] = 1;
	owned_alive++;
	return owned_next;
}

struct tx_case {
	struct neap_map_type type;
	bool strings;
};

static struct neap_str text_of(uint64_t key, char text[24])
{
	snprintf(text, 24, "key number %02llu", (unsigned long long)key);
	return (struct neap_str){text, (uint32_t)strlen(text), 0};
}

static const uint64_t *model_get(const struct tx_case *c, const struct neap_map *map, uint64_t key)
{
	char text[24];
	struct neap_str str = text_of(key, text);
	return neap_map_get(map, c->strings ? (const void *)&str : &key);
}

static void same(const struct tx_case *c, const struct neap_map *map, const uint64_t *model)
{
	size_t n = 0;
	for (uint64_t key = 0; key < KEYS; key++) {
		const uint64_t *value = model_get(c, map, key);
		assert_int_equal(value != NULL, model[key] != 0);
		assert_true(value == NULL || *value == model[key]);
		n += model[key] != 0;
	}
	assert_int_equal(neap_map_len(map), n);
}

static void change(const struct tx_case *c, struct neap_tx *tx, uint64_t *model)
{
	uint64_t key = next_random() % KEYS;
	char text[24];
	struct neap_str str = text_of(key, text);
	const void *at = c->strings ? (const void *)&str : &key;
	if (next_random() % 3 != 0) {
		uint64_t value = own();
		int error = neap_tx_put(tx, at, &value);
		memset(text, 'x', sizeof text); /* an owning map must have its copy */
		assert_int_equal(error, NEAP_OK);
		model[key] = value;
	} else {
		bool deleted;
		assert_int_equal(neap_tx_delete(tx, at, &deleted), NEAP_OK);
		assert_int_equal(deleted, model[key] != 0);
		model[key] = 0;
	}
}

/* Random transactions with savepoints, ended either way, on a map and on a model that keeps copies. */
static void transactions_undo_exactly(void **state)
{
	(void)state;
	struct tx_case cases[3] = {{u64, false}, {u64, false}, {u64, true}};
	cases[1].type.release = cases[2].type.release = release_owned;
	cases[2].type.kind = NEAP_KEY_STR;
	cases[2].type.key_size = sizeof(struct neap_str);
	cases[2].type.flags = NEAP_MAP_OWN_KEYS;
	for (size_t i = 0; i < 3; i++) {
		const struct tx_case *c = &cases[i];
		struct neap_scopes *scopes = neap_scopes_create(&c->type, NULL);
		struct neap_map *map = neap_map_create(&c->type, NULL);
		uint64_t model[KEYS] = {0};
		memset(owned, 0, sizeof owned);
		owned_next = owned_alive = 0;
		for (int round = 0; round < 100; round++) {
			uint64_t before[KEYS], middle[KEYS];
			memcpy(before, model, sizeof model);
			struct neap_tx *tx = neap_tx_begin(scopes, map);
			assert_ptr_equal(neap_tx_map(tx), map);
			for (int n = 0; n < 60; n++)
				change(c, tx, model);
			memcpy(middle, model, sizeof model);
			size_t savepoint = neap_tx_savepoint(tx);
			for (int n = 0; n < 60; n++)
				change(c, tx, model);
			same(c, map, model);
			assert_int_equal(neap_tx_rollback_to(tx, 100000), NEAP_EINVAL);
			if (round % 3 != 0) {
				assert_int_equal(neap_tx_rollback_to(tx, savepoint), NEAP_OK);
				memcpy(model, middle, sizeof model);
				same(c, map, model);
				change(c, tx, model);
			}
			if (round % 2 == 0) {
				assert_int_equal(neap_tx_rollback(tx), NEAP_OK);
				memcpy(model, before, sizeof model);
			} else {
				neap_tx_commit(tx);
			}
			same(c, map, model);
			if (c->type.release != NULL)
				assert_int_equal(owned_alive, neap_map_len(map));
		}
		neap_map_destroy(map);
		if (c->type.release != NULL)
			assert_int_equal(owned_alive, 0);
		assert_int_equal(stats_of(scopes, NEAP_SCOPE_TRANSACTION).made, 1);
		assert_int_equal(stats_of(scopes, NEAP_SCOPE_TRANSACTION).reused, 99);
		assert_int_equal(neap_scopes_destroy(scopes), 0);
	}
}

static void a_transaction_of_its_own_begins_empty(void **state)
{
	(void)state;
	struct neap_scopes *scopes = neap_scopes_create(&u64, NULL);
	for (uint64_t i = 0; i < 10; i++) {
		struct neap_tx *tx = neap_tx_begin(scopes, NULL);
		assert_int_equal(neap_map_len(neap_tx_map(tx)), 0);
		assert_int_equal(neap_tx_put(tx, &i, &i), NEAP_OK);
		assert_non_null(neap_map_get(neap_tx_map(tx), &i));
		if (i % 2 == 0)
			neap_tx_commit(tx);
		else
			assert_int_equal(neap_tx_rollback(tx), NEAP_OK);
	}
	assert_int_equal(neap_scopes_destroy(scopes), 0);

	struct neap_map_type floats = u64, other = u64;
	floats.kind = NEAP_KEY_F64;
	scopes = neap_scopes_create(&floats, NULL);
	assert_null(neap_tx_begin(scopes, NULL));
	neap_scopes_destroy(scopes);
	scopes = neap_scopes_create(&u64, NULL);
	struct neap_map *map = neap_map_create(&other, NULL);
	assert_null(neap_tx_begin(scopes, map));
	neap_map_destroy(map);
	neap_scopes_destroy(scopes);
	floats.key_size = 0;
	assert_null(neap_scopes_create(&floats, NULL));
}

static bool hold_back(const struct neap_map_event *event, void *ctx)
{
	(void)event;
	return !*(const bool *)ctx;
}

static void a_veto_leaves_map_and_log_alone(void **state)
{
	(void)state;
	bool veto = false;
	struct neap_scopes *scopes = neap_scopes_create(&u64, NULL);
	struct neap_map *map = neap_map_create(&u64, NULL);
	neap_map_set_hook(map, hold_back, &veto);
	struct neap_tx *tx = neap_tx_begin(scopes, map);
	const uint64_t a = 1, b = 2;
	assert_int_equal(neap_tx_put(tx, &a, &a), NEAP_OK);
	veto = true;
	assert_int_equal(neap_tx_put(tx, &a, &b), NEAP_EVETO);
	assert_int_equal(neap_tx_put(tx, &b, &b), NEAP_EVETO);
	assert_int_equal(neap_tx_delete(tx, &a, NULL), NEAP_EVETO);
	assert_int_equal(neap_tx_savepoint(tx), 1);
	assert_int_equal(neap_tx_rollback(tx), NEAP_EVETO); /* the undo is a change too */
	veto = false;
	assert_int_equal(neap_tx_rollback(tx), NEAP_OK);
	assert_int_equal(neap_map_len(map), 0);
	neap_map_destroy(map);
	neap_scopes_destroy(scopes);
}

/* ---- Versions ---- */

static void old_versions_wait_for_their_readers(void **state)
{
	(void)state;
	struct neap_scopes *scopes = neap_scopes_create(&u64, NULL);
	struct neap_live *live = neap_live_create(scopes);
	uint32_t tickets[NEAP_LIVE_VERSIONS + 1];
	for (uint64_t i = 1; i < NEAP_LIVE_VERSIONS; i++) {
		struct neap_map *next = neap_live_prepare(live);
		assert_int_equal(neap_map_len(next), 0);
		assert_int_equal(neap_map_put(next, &i, &i), NEAP_OK);
		assert_int_equal(neap_live_publish(live, next), NEAP_OK);
		const struct neap_map *seen = neap_live_enter(live, &tickets[i]);
		assert_ptr_equal(seen, next);
	}
	/* All are held but the first, whose readers were none; then there is no version free. */
	struct neap_map *next = neap_live_prepare(live);
	assert_int_equal(neap_live_publish(live, next), NEAP_OK);
	(void)!neap_live_enter(live, &tickets[NEAP_LIVE_VERSIONS]);
	struct neap_map *more = neap_live_prepare(live);
	assert_int_equal(neap_live_publish(live, more), NEAP_ETOOBIG);
	assert_int_equal(stats_of(scopes, NEAP_SCOPE_LIVE).out, NEAP_LIVE_VERSIONS + 1);
	neap_live_leave(live, tickets[5]);
	assert_int_equal(stats_of(scopes, NEAP_SCOPE_LIVE).out, NEAP_LIVE_VERSIONS);
	assert_int_equal(neap_live_publish(live, more), NEAP_OK);
	for (uint64_t i = 1; i <= NEAP_LIVE_VERSIONS; i++)
		if (i != 5)
			neap_live_leave(live, tickets[i]);
	assert_int_equal(stats_of(scopes, NEAP_SCOPE_LIVE).out, 1);
	more = neap_live_prepare(live);
	neap_live_discard(live, more);
	assert_int_equal(neap_live_publish(live, more), NEAP_EINVAL);
	(void)!neap_live_prepare(live);
	neap_live_destroy(live);
	assert_int_equal(stats_of(scopes, NEAP_SCOPE_LIVE).out, 0);
	assert_int_equal(neap_scopes_destroy(scopes), 0);
}

/* ---- Lateness ---- */

static size_t late_out, late_returned;

static void count_late(const struct neap_scope_late *late, void *ctx)
{
	(void)ctx;
	assert_true(late->age_ns >= 1000000);
	assert_int_equal(late->scope_class, NEAP_SCOPE_TRANSIENT);
	uintptr_t caller = (uintptr_t)late->caller, here = (uintptr_t)count_late;
	assert_true((caller > here ? caller - here : here - caller) < 1 << 20);
	late_returned += late->returned;
	late_out += !late->returned;
}

static void what_outlives_its_class_is_reported(void **state)
{
	(void)state;
	struct neap_scopes *scopes = neap_scopes_create(
		&u64, &(struct neap_scopes_options){.most_ns = {1000000}, .late = count_late});
	struct neap_transient *kept = neap_transient_begin(scopes);
	assert_int_equal(neap_scopes_late(scopes, NULL, NULL), 0);
	struct timespec wait = {0, 3000000};
	nanosleep(&wait, NULL);
	struct neap_tx *fine = neap_tx_begin(scopes, NULL);
	assert_int_equal(neap_scopes_late(scopes, count_late, NULL), 1);
	assert_int_equal(late_out, 1);
	neap_transient_end(kept);
	neap_tx_commit(fine);
	assert_int_equal(late_returned, 1);
	assert_int_equal(stats_of(scopes, NEAP_SCOPE_TRANSIENT).late, 1);
	assert_int_equal(stats_of(scopes, NEAP_SCOPE_TRANSACTION).late, 0);
	assert_int_equal(neap_scopes_late(scopes, NULL, NULL), 0);
	neap_scopes_destroy(scopes);
}

/* ---- Memory refused ---- */

static int everything(struct neap_scopes *scopes, struct neap_map *map)
{
	int error = NEAP_OK;
	struct neap_transient *table = neap_transient_begin(scopes);
	struct neap_tx *tx = neap_tx_begin(scopes, map);
	struct neap_live *live = neap_live_create(scopes);
	for (uint64_t i = 0; i < 60; i++) {
		if (table != NULL && neap_transient_put(table, &i, &i) != NEAP_OK)
			error = NEAP_ENOMEM;
		if (tx != NULL && neap_tx_put(tx, &i, &i) != NEAP_OK)
			error = NEAP_ENOMEM;
		if (tx != NULL && i % 2 == 0 && neap_tx_delete(tx, &i, NULL) != NEAP_OK)
			error = NEAP_ENOMEM;
	}
	if (live != NULL) {
		struct neap_map *next = neap_live_prepare(live);
		if (next != NULL)
			assert_int_equal(neap_live_publish(live, next), NEAP_OK);
	}
	neap_live_destroy(live);
	neap_transient_end(table);
	if (tx != NULL)
		while (neap_tx_rollback(tx) != NEAP_OK) /* refused once: again */
			error = NEAP_ENOMEM;
	return table == NULL || tx == NULL || live == NULL ? NEAP_ENOMEM : error;
}

static void a_refusal_at_any_request_loses_nothing(void **state)
{
	(void)state;
	bool done = false;
	for (size_t at = 1; !done; at++) {
		struct failing_alloc memory, other;
		struct neap_allocator from = failing_alloc_init(&memory),
				      from_other = failing_alloc_init(&other);
		struct neap_map *map =
			neap_map_create(&u64, &(struct neap_map_options){.allocator = &from_other});
		const uint64_t there = 12345;
		assert_int_equal(neap_map_put(map, &there, &there), NEAP_OK);
		memory.fail_at = at;
		struct neap_scopes *scopes =
			neap_scopes_create(&u64, &(struct neap_scopes_options){.allocator = &from});
		other.fail_at = at; /* of the map's requests, the same number */
		int error = scopes != NULL ? everything(scopes, map) : NEAP_ENOMEM;
		done = memory.refused == 0 && other.refused == 0;
		assert_int_equal(neap_map_len(map), 1);
		if (done)
			assert_int_equal(error, NEAP_OK);
		assert_int_equal(neap_scopes_destroy(scopes), 0);
		assert_int_equal(memory.blocks, 0);
		neap_map_destroy(map);
		assert_int_equal(other.blocks, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_transient_table_is_a_map),
		cmocka_unit_test(transient_keys_may_be_strings_or_structs),
		cmocka_unit_test(transactions_undo_exactly),
		cmocka_unit_test(a_transaction_of_its_own_begins_empty),
		cmocka_unit_test(a_veto_leaves_map_and_log_alone),
		cmocka_unit_test(old_versions_wait_for_their_readers),
		cmocka_unit_test(what_outlives_its_class_is_reported),
		cmocka_unit_test(a_refusal_at_any_request_loses_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
