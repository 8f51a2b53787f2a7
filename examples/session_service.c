/* session_service.c: a service that keeps sessions, with a pool, scopes and a hook.
 *
 *   the sessions are one map; a hook counts its changes and refuses to delete a session that is in use
 *   a request takes a buffer from a pool and a transient table from the scopes, and gives both back
 *   a transfer between two sessions is a transaction: both change, or neither
 *   the configuration is a long-lived map: it is replaced as a whole, and requests finish with the one they began with
 */
#include <neap/gate.h>
#include <neap/pool.h>
#include <neap/scope.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SESSIONS = 1000, REQUESTS = 20000, LIMIT_KEY = 1 };

struct session {
	int64_t credit;
	bool in_use;
};

#define NEAP_MAP_NAME  sessions
#define NEAP_MAP_KEY   uint64_t
#define NEAP_MAP_VALUE struct session
#include <neap/map_typed.h>

/* ---- The hook ---- */

struct audit {
	uint64_t changes, held_back;
};

static bool watch(const struct neap_map_event *event, void *ctx)
{
	struct audit *audit = ctx;
	const struct session *session = event->old_value;
	bool refused = event->change == NEAP_MAP_DELETE && !event->final && session->in_use;
	audit->changes++;
	audit->held_back += refused;
	return !refused;
}

/* ---- The pool of answers ---- */

struct answer {
	size_t len;
	char text[1000];
};

static void answer_reset(void *object, void *ctx)
{
	(void)ctx;
	((struct answer *)object)->len = 0;
}

static bool answer_clean(const void *object, void *ctx)
{
	(void)ctx;
	return ((const struct answer *)object)->len == 0;
}

/* ---- A request ---- */

struct service {
	struct neap_map *sessions;
	struct neap_pool *answers;
	struct neap_scopes *scopes; /* of maps from number to number */
	struct neap_scopes *ledger; /* of maps like sessions */
	struct neap_live *config;
};

/* Moves credit; NEAP_EINVAL, with nothing changed, when there is not enough of it. */
static int transfer(struct service *service, uint64_t from, uint64_t to, int64_t amount)
{
	const struct session *giver = sessions_get(service->sessions, from),
			     *taker = sessions_get(service->sessions, to);
	if (giver == NULL || taker == NULL)
		return NEAP_EINVAL;
	struct session payer = *giver, payee = *taker; /* a put moves what lies in the map */
	payer.credit -= amount;
	payee.credit += amount;
	struct neap_tx *tx = neap_tx_begin(service->ledger, service->sessions);
	if (tx == NULL)
		return NEAP_ENOMEM;
	int error = neap_tx_put(tx, &from, &payer);
	if (error == NEAP_OK)
		error = neap_tx_put(tx, &to, &payee);
	if (error == NEAP_OK && payer.credit < 0)
		error = NEAP_EINVAL;
	if (error == NEAP_OK)
		neap_tx_commit(tx);
	else if (neap_tx_rollback(tx) != NEAP_OK)
		abort(); /* no memory to undo an insert: nothing here inserts */
	return error;
}

static int64_t limit_of(struct service *service)
{
	uint32_t ticket;
	const uint64_t key = LIMIT_KEY;
	const struct neap_map *config = neap_live_enter(service->config, &ticket);
	const int64_t *limit = neap_map_get(config, &key);
	int64_t ret = limit != NULL ? *limit : 0;
	neap_live_leave(service->config, ticket);
	return ret;
}

static int serve(struct service *service, uint64_t request)
{
	struct answer *answer = neap_pool_get(service->answers);
	struct neap_transient *seen = neap_transient_begin(service->scopes);
	int error = answer != NULL && seen != NULL ? NEAP_OK : NEAP_ENOMEM;
	for (uint64_t i = 0; i < 5 && error == NEAP_OK; i++) {
		uint64_t from = (request * 7 + i) % SESSIONS, to = (request * 13 + 3 * i) % SESSIONS;
		bool first;
		uint64_t *count = neap_transient_slot(seen, &from, &first);
		if (count == NULL)
			error = NEAP_ENOMEM;
		else if (++*count <= (uint64_t)limit_of(service) && from != to)
			error = transfer(service, from, to, (int64_t)(request % 40));
		answer->len += (size_t)snprintf(answer->text + answer->len, sizeof answer->text - answer->len,
						"%llu to %llu: %s\n", (unsigned long long)from,
						(unsigned long long)to, neap_strerror(error));
		if (error == NEAP_EINVAL) /* not enough credit: an answer, no failure */
			error = NEAP_OK;
	}
	neap_transient_end(seen);
	neap_pool_put(service->answers, answer);
	return error;
}

static int configure(struct service *service, int64_t limit)
{
	const uint64_t key = LIMIT_KEY;
	struct neap_map *next = neap_live_prepare(service->config);
	if (next == NULL)
		return NEAP_ENOMEM;
	int error = neap_map_put(next, &key, &limit);
	if (error == NEAP_OK)
		error = neap_live_publish(service->config, next);
	if (error != NEAP_OK)
		neap_live_discard(service->config, next);
	return error;
}

static int64_t total_credit(struct neap_map *map)
{
	int64_t sum = 0;
	neap_map_each (it, map)
		sum += ((const struct session *)it.value)->credit;
	return sum;
}

static void report(const char *name, struct neap_scopes *scopes, enum neap_scope_class scope_class)
{
	struct neap_scopes_stats stats = {.size = sizeof stats};
	neap_scopes_stats(scopes, scope_class, &stats);
	printf("%-14s %8llu taken, %llu made\n", name, (unsigned long long)stats.begun,
	       (unsigned long long)stats.made);
}

int main(void)
{
	static const struct neap_map_type numbers = {.size = sizeof numbers,
						     .kind = NEAP_KEY_BYTES,
						     .key_size = 8,
						     .key_align = 8,
						     .value_size = 8,
						     .value_align = 8};
	struct audit audit = {0};
	struct service service = {
		.sessions = sessions_create(&(struct neap_map_options){.name = "sessions"}),
		.answers = neap_pool_create(&(struct neap_pool_type){.size = sizeof(struct neap_pool_type),
								     .reset = answer_reset,
								     .clean = answer_clean,
								     .object_size = sizeof(struct answer)},
					    NULL),
		.scopes = neap_scopes_create(&numbers, NULL),
		.ledger = neap_scopes_create(&sessions_type, NULL),
	};
	if (neap_init(&(struct neap_gate_options){.override = NEAP_GATE_MEMBARRIER}) != NEAP_OK ||
	    service.sessions == NULL || service.answers == NULL || service.scopes == NULL ||
	    service.ledger == NULL)
		return EXIT_FAILURE;
	service.config = neap_live_create(service.scopes);
	if (service.config == NULL || configure(&service, 3) != NEAP_OK)
		return EXIT_FAILURE;
	for (uint64_t id = 0; id < SESSIONS; id++)
		if (sessions_put(service.sessions, id, (struct session){100, id % 100 == 0}) != NEAP_OK)
			return EXIT_FAILURE;
	(void)neap_map_set_hook(service.sessions, watch, &audit);

	for (uint64_t request = 0; request < REQUESTS; request++) {
		if (serve(&service, request) != NEAP_OK)
			return EXIT_FAILURE;
		if (request % 1000 == 0 && configure(&service, 1 + (int64_t)(request / 1000) % 5) != NEAP_OK)
			return EXIT_FAILURE;
	}
	int64_t credit = total_credit(service.sessions);
	neap_map_clear(service.sessions); /* the hook keeps those in use */
	printf("credit of all sessions: %lld\n", (long long)credit);
	printf("changes heard: %s, sessions in use that stay: %zu\n",
	       audit.changes > REQUESTS ? "all" : "too few", neap_map_len(service.sessions));
	report("transient", service.scopes, NEAP_SCOPE_TRANSIENT);
	report("transactions", service.ledger, NEAP_SCOPE_TRANSACTION);
	report("versions", service.scopes, NEAP_SCOPE_LIVE);
	bool right = credit == SESSIONS * 100 && neap_map_len(service.sessions) == SESSIONS / 100 &&
		     audit.held_back == SESSIONS / 100;

	neap_live_destroy(service.config);
	neap_map_destroy(service.sessions);
	right &= neap_scopes_destroy(service.scopes) + neap_scopes_destroy(service.ledger) == 0;
	right &= neap_pool_destroy(service.answers) == 0;
	return right ? EXIT_SUCCESS : EXIT_FAILURE;
}
