/* session_c: a service for users who pay each other, with everything that keeps deleted memory from piling up.
 *
 *   accounts   a map under a lock; a hook counts its changes and keeps accounts that are frozen; its values are
 *              referred to by neap_ref; its blocks are sampled by guard pages
 *   online     who is there now: a concurrent map, written by every request, empty when all have left
 *   names      a cache of what a slow directory says, each name loaded once however many want it
 *   answers    buffers from a pool
 *   requests   a transient table each; a payment is a transaction: both accounts change, or neither
 *   limits     a long-lived map, replaced as a whole; requests finish with the one they began with
 */
#include <neap/cache.h>
#include <neap/cmap.h>
#include <neap/gate.h>
#include <neap/guard.h>
#include <neap/pool.h>
#include <neap/scope.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { THREADS = 4, USERS = 1000, REQUESTS = 20000, PAYMENTS = 5, NAME_ROOM = 32, ANSWER_ROOM = 512 };
enum { CREDIT = 100, FROZEN_EVERY = 100, LIMIT_KEY = 1 };

struct account {
	int64_t credit;
	bool frozen;
};

#define NEAP_MAP_NAME  accounts
#define NEAP_MAP_KEY   uint64_t
#define NEAP_MAP_VALUE struct account
#include <neap/map_typed.h>

#define NEAP_CMAP_NAME	online
#define NEAP_CMAP_KEY	uint64_t
#define NEAP_CMAP_VALUE uint64_t
#include <neap/cmap_typed.h>

struct name {
	char text[NAME_ROOM];
};

#define NEAP_CACHE_NAME	 names
#define NEAP_CACHE_KEY	 uint64_t
#define NEAP_CACHE_VALUE struct name
#include <neap/cache_typed.h>

struct answer {
	size_t len;
	char text[ANSWER_ROOM];
};

static void answer_reset(void *object, void *ctx)
{
	(void)ctx;
	((struct answer *)object)->len = 0;
}

#define NEAP_POOL_NAME	 answers
#define NEAP_POOL_OBJECT struct answer
#define NEAP_POOL_RESET	 answer_reset
#include <neap/pool_typed.h>

struct audit {
	uint64_t changes, held_back;
};

/* Under the lock of the bank. */
static pthread_mutex_t bank = PTHREAD_MUTEX_INITIALIZER;
static struct neap_map *accounts;
static struct audit record;
static struct neap_scopes *ledger; /* of maps like accounts: transactions */
static struct neap_sampler *sampler;

/* For all threads at once. */
static struct neap_scopes *scopes; /* of maps from number to number: tables of requests, limits */
static struct neap_live *limits;
static struct neap_cmap *online;
static struct neap_cache *names;
static struct neap_pool *answers;
static _Atomic uint64_t asked_directory, paid, unpaid;

/* What cannot go on ends here; a real service would answer with an error. */
static void must(bool right)
{
	if (!right) {
		fputs("session_service: cannot go on\n", stderr);
		exit(EXIT_FAILURE);
	}
}

/* ---- Accounts ---- */

static bool watch(const struct neap_map_event *event, void *ctx)
{
	struct audit *audit = ctx;
	const struct account *account = event->old_value;
	bool refused = event->change == NEAP_MAP_DELETE && !event->final && account->frozen;
	audit->changes++;
	audit->held_back += refused;
	return !refused;
}

/* Under the lock. NEAP_EINVAL, with nothing changed, when there is no such account or not enough credit. */
static int pay(uint64_t from, uint64_t to, int64_t amount)
{
	struct account *payer_now = accounts_get(accounts, from), *payee_now = accounts_get(accounts, to);
	if (payer_now == NULL || payee_now == NULL)
		return NEAP_EINVAL;
	/* A reference, not a pointer: should a change between here and its use move the account, the program stops. */
	struct neap_ref ref = neap_ref_of(accounts, payer_now);
	struct account payee = *payee_now;
	struct neap_tx *tx = neap_tx_begin(ledger, accounts);
	if (tx == NULL)
		return NEAP_ENOMEM;
	payee.credit += amount;
	int error = neap_tx_put(tx, &to, &payee);
	struct account payer = *(const struct account *)neap_ref_get(&ref);
	payer.credit -= amount;
	if (error == NEAP_OK)
		error = neap_tx_put(tx, &from, &payer);
	if (error == NEAP_OK && payer.credit < 0)
		error = NEAP_EINVAL;
	if (error == NEAP_OK)
		neap_tx_commit(tx);
	else
		must(neap_tx_rollback(tx) == NEAP_OK); /* nothing was deleted: needs no memory */
	return error;
}

/* ---- Names ---- */

static int ask_directory(const void *key, void *ret_value, void *ctx)
{
	(void)ctx;
	char text[64];
	snprintf(text, sizeof text, "user %llu", (unsigned long long)*(const uint64_t *)key);
	asked_directory++;
	return neap_copy_string(((struct name *)ret_value)->text, NAME_ROOM, text); /* whole, or an error */
}

/* ---- Limits ---- */

static int64_t present_limit(void)
{
	uint32_t ticket;
	const uint64_t key = LIMIT_KEY;
	const struct neap_map *present = neap_live_enter(limits, &ticket);
	const int64_t *limit = neap_map_get(present, &key);
	int64_t ret = limit != NULL ? *limit : 0;
	neap_live_leave(limits, ticket);
	return ret;
}

static void set_limit(int64_t limit)
{
	const uint64_t key = LIMIT_KEY;
	struct neap_map *next = neap_live_prepare(limits);
	must(next != NULL);
	if (neap_map_put(next, &key, &limit) != NEAP_OK || neap_live_publish(limits, next) != NEAP_OK)
		neap_live_discard(limits, next); /* the old one stays */
}

/* ---- Requests ---- */

static void give_answer_back(struct answer *answer)
{
	if (answer != NULL)
		answers_put(answers, answer);
}
NEAP_SCOPED_DEFINE(struct answer, give_answer_back)
NEAP_SCOPED_DEFINE(struct neap_transient, neap_transient_end)

/* Both objects go back on every way out. */
static int serve(uint64_t request)
{
	NEAP_SCOPED(give_answer_back) struct answer *answer = answers_get(answers);
	NEAP_SCOPED(neap_transient_end) struct neap_transient *seen = neap_transient_begin(scopes);
	if (answer == NULL || seen == NULL)
		return NEAP_ENOMEM;
	for (uint64_t i = 0; i < PAYMENTS; i++) {
		uint64_t from = (request * 7 + i) % USERS, to = (request * 13 + 3 * i) % USERS;
		struct name name;
		bool first, kept;
		uint64_t *times = neap_transient_slot(seen, &from, &first);
		if (times == NULL || online_store(online, from, request) != NEAP_OK)
			return NEAP_ENOMEM;
		int error = names_load(names, from, ask_directory, NULL, &name, &kept);
		if (error != NEAP_OK)
			return error;
		if (++*times <= (uint64_t)present_limit() && from != to) {
			pthread_mutex_lock(&bank);
			error = pay(from, to, (int64_t)(request % 40));
			pthread_mutex_unlock(&bank);
		}
		paid += error == NEAP_OK;
		unpaid += error != NEAP_OK;
		if (neap_copy_at(answer->text, ANSWER_ROOM, answer->len, name.text, strlen(name.text)) ==
		    NEAP_OK)
			answer->len += strlen(name.text);
	}
	return NEAP_OK;
}

static void *serve_a_part(void *ctx)
{
	uint64_t first = *(const uint64_t *)ctx;
	for (uint64_t request = first; request < REQUESTS; request += THREADS) {
		must(serve(request) == NEAP_OK);
		if (request % 1000 == 0)
			set_limit(1 + (int64_t)(request / 1000) % 5);
	}
	return NULL;
}

/* ---- Opening, closing ---- */

static void refused_by_gate(const struct neap_gate_refusal *refusal, void *ctx)
{
	(void)ctx;
	fprintf(stderr, "session_service: %s is %s, needs %s\n", refusal->name, refusal->found,
		refusal->needed);
}

static void open_service(void)
{
	static const struct neap_map_type numbers = {
		.size = sizeof numbers, .key_size = 8, .key_align = 8, .value_size = 8, .value_align = 8};
	/* A sandbox without membarrier is slower, not wrong. */
	must(neap_init(&(struct neap_gate_options){.override = NEAP_GATE_MEMBARRIER,
						   .refused = refused_by_gate}) == NEAP_OK);
	sampler = neap_sampler_create(&(struct neap_sampler_options){.catch_faults = true});
	must(sampler != NULL);
	accounts = accounts_create(
		&(struct neap_map_options){.name = "accounts", .allocator = neap_sampler_allocator(sampler)});
	ledger = neap_scopes_create(&accounts_type, NULL);
	scopes = neap_scopes_create(&numbers, NULL);
	online = online_create(&(struct neap_cmap_options){.name = "online"});
	names = names_create(&(struct neap_cache_options){
		.name = "names", .max_entries = USERS / 2, .ttl = UINT64_C(60000000000)});
	answers = answers_create(&(struct neap_pool_options){.name = "answers"});
	must(accounts != NULL && ledger != NULL && scopes != NULL && online != NULL && names != NULL &&
	     answers != NULL);
	limits = neap_live_create(scopes);
	must(limits != NULL);
	set_limit(3);
	for (uint64_t id = 0; id < USERS; id++)
		must(accounts_put(accounts, id, (struct account){CREDIT, id % FROZEN_EVERY == 0}) == NEAP_OK);
	must(neap_map_set_hook(accounts, watch, &record) == NEAP_OK);
}

static bool close_service(void)
{
	neap_live_destroy(limits);
	neap_map_destroy(accounts);
	neap_cmap_destroy(online);
	neap_cache_destroy(names);
	size_t out = neap_scopes_destroy(scopes) + neap_scopes_destroy(ledger) + neap_pool_destroy(answers);
	neap_sampler_destroy(sampler);
	return out == 0;
}

/* ---- What there is to see ---- */

static void show_class(const char *name, struct neap_scopes *of, enum neap_scope_class scope_class)
{
	struct neap_scopes_stats stats = {.size = sizeof stats};
	neap_scopes_stats(of, scope_class, &stats);
	printf("%-12s %llu taken, %llu made\n", name, (unsigned long long)stats.begun,
	       (unsigned long long)stats.made);
}

static bool show_accounts(void)
{
	int64_t sum = 0;
	pthread_mutex_lock(&bank);
	neap_map_each (it, accounts)
		sum += ((const struct account *)it.value)->credit;
	neap_map_clear(accounts); /* the hook keeps what is frozen */
	printf("payments     %llu made, %llu refused; credit of all: %lld\n", (unsigned long long)paid,
	       (unsigned long long)unpaid, (long long)sum);
	printf("accounts     %zu frozen ones stay, %llu deletes held back by the hook\n",
	       neap_map_len(accounts), (unsigned long long)record.held_back);
	bool right = sum == USERS * CREDIT && neap_map_len(accounts) == USERS / FROZEN_EVERY &&
		     record.changes >= record.held_back + USERS;
	pthread_mutex_unlock(&bank);
	return right;
}

static bool show_online(void)
{
	struct neap_cmap_stats full = {.size = sizeof full}, empty = full;
	neap_cmap_stats(online, &full);
	for (uint64_t id = 0; id < USERS; id++)
		must(online_delete(online, id));
	neap_cmap_stats(online, &empty);
	printf("online       %zu users in %zu bytes; when all have left %zu in %zu\n", full.len, full.total,
	       empty.len, empty.total);
	return full.len == USERS && empty.len == 0 && empty.total < full.total;
}

static bool show_reuse(void)
{
	struct neap_pool_stats stats = {.size = sizeof stats};
	neap_pool_stats(answers, &stats);
	printf("names        %zu kept, asked %llu times for %d\n", neap_cache_len(names),
	       (unsigned long long)asked_directory, REQUESTS * PAYMENTS);
	printf("answers      %llu used again, %llu made\n", (unsigned long long)stats.hits,
	       (unsigned long long)stats.created);
	show_class("requests", scopes, NEAP_SCOPE_TRANSIENT);
	show_class("transactions", ledger, NEAP_SCOPE_TRANSACTION);
	show_class("limits", scopes, NEAP_SCOPE_LIVE);
	return neap_cache_len(names) <= USERS / 2 && stats.hits + stats.misses == REQUESTS &&
	       stats.created <= THREADS;
}

int main(void)
{
	pthread_t threads[THREADS];
	uint64_t parts[THREADS];
	open_service();
	for (uint64_t i = 0; i < THREADS; i++) {
		parts[i] = i;
		must(pthread_create(&threads[i], NULL, serve_a_part, &parts[i]) == 0);
	}
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	bool right = show_accounts();
	right &= show_online();
	right &= show_reuse();
	right &= close_service();
	return right ? EXIT_SUCCESS : EXIT_FAILURE;
}
