/* hooks.c: a function that hears of every change of one map: it counts, keeps a record, and refuses.
 *
 * The price is measured on the inlined functions of a typed map: a put and a delete, on a map that never had a hook, on
 * one whose hook was taken away again, and on one with a hook. CPU time, best of several, in turns.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "lab/lab.h"
#include "lab/progress.h"
#include "neap/map.h"

#define NEAP_MAP_NAME  accounts
#define NEAP_MAP_KEY   uint64_t
#define NEAP_MAP_VALUE int64_t
#include "neap/map_typed.h"

enum {
	TURNS = 9,
	PAIRS = 200000,
	KEYS = 4096,
	FREE_PERCENT =
		150, /* what a map without its hook may cost, of one that never had any: noise, no more */
};

/* What the hook keeps. */
struct audit {
	uint64_t assigns, deletes, refused;
	int64_t least; /* a balance below this is refused */
	struct neap_map_event last;
	int64_t last_old, last_new;
};

static bool audit_hook(const struct neap_map_event *event, void *ctx)
{
	struct audit *audit = ctx;
	audit->assigns += event->change == NEAP_MAP_ASSIGN;
	audit->deletes += event->change == NEAP_MAP_DELETE;
	audit->last = *event;
	if (event->old_value != NULL)
		memcpy(&audit->last_old, event->old_value, sizeof audit->last_old);
	if (event->new_value != NULL)
		memcpy(&audit->last_new, event->new_value, sizeof audit->last_new);
	bool refused = event->new_value != NULL && audit->last_new < audit->least;
	audit->refused += refused;
	return !refused;
}

/* The caller's address is in here. Not a typed put: where the compiler keeps that as a function of its own, it would be
 * the caller.
 */
static __attribute__((noinline)) int pay(struct neap_map *map, uint64_t account, int64_t balance)
{
	return neap_map_put(map, &account, &balance);
}

static void show_audit(struct result *result)
{
	struct audit audit = {.least = 0};
	struct neap_map *map = accounts_create(&(struct neap_map_options){.name = "accounts"});
	for (uint64_t account = 0; account < 100; account++)
		(void)pay(map, account, 50);
	(void)neap_map_set_hook(map, audit_hook, &audit);
	int error = pay(map, 7, 80);
	bool heard = error == NEAP_OK && audit.assigns == 1 && audit.last_old == 50 && audit.last_new == 80;
	uintptr_t distance = (uintptr_t)audit.last.caller - (uintptr_t)pay;
	result_say(result, "  put 7: 50 -> 80        heard as %s, old %lld, new %lld, from pay+%zu",
		   audit.last.operation, (long long)audit.last_old, (long long)audit.last_new,
		   (size_t)distance);
	result_check(result, heard && distance < 4096,
		     "the hook hears operation, old and new value, and the address that called");
	error = pay(map, 7, -1);
	const int64_t *kept = accounts_get(map, 7);
	result_say(result, "  put 7: 80 -> -1        %s; the account still has %lld", neap_strerror(error),
		   (long long)(kept != NULL ? *kept : 0));
	result_check(result, error == NEAP_EVETO && kept != NULL && *kept == 80,
		     "a refused change leaves the map as it was");
	size_t produced = 0;
	neap_map_each (it, map) {
		uint64_t account = *(const uint64_t *)it.key;
		produced++;
		(void)accounts_delete(map, account);
	}
	result_say(result, "  delete all in a loop   %llu heard, %zu left, %zu produced",
		   (unsigned long long)audit.deletes, neap_map_len(map), produced);
	result_check(result, audit.deletes == 100 && neap_map_len(map) == 0 && produced == 100,
		     "each of 100 deletes inside a loop was heard once");
	result_check(result, audit.assigns == 2 && audit.refused == 1, "2 puts were heard, 1 refused");
	neap_map_destroy(map);
}

static double cpu_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static double pairs_ns(struct neap_map *map)
{
	double start = cpu_ns();
	for (uint64_t i = 0; i < PAIRS; i++) {
		uint64_t key = i * 2654435761u % KEYS;
		(void)accounts_put(map, key, (int64_t)i);
		(void)accounts_delete(map, (key + KEYS / 2) % KEYS);
	}
	return (cpu_ns() - start) / PAIRS;
}

static bool allow(const struct neap_map_event *event, void *ctx)
{
	(void)event;
	++*(uint64_t *)ctx;
	return true;
}

static void show_price(struct result *result)
{
	uint64_t heard = 0;
	const uint64_t seed[2] = {1, 2};
	const struct neap_map_options options = {.seed = seed};
	struct neap_map *maps[3];
	double best[3] = {1e18, 1e18, 1e18};
	for (int i = 0; i < 3; i++)
		maps[i] = accounts_create(&options);
	(void)neap_map_set_hook(maps[1], allow, &heard);
	(void)neap_map_set_hook(maps[1], NULL, NULL);
	(void)neap_map_set_hook(maps[2], allow, &heard);
	for (int turn = 0; turn < TURNS; turn++) {
		progress_step("hooks", (size_t)turn, TURNS);
		for (int i = 0; i < 3; i++) {
			double took = pairs_ns(maps[i]);
			best[i] = took < best[i] ? took : best[i];
		}
	}
	for (int i = 0; i < 3; i++)
		neap_map_destroy(maps[i]);
	result_say(result, "  put and delete         never hooked %s, unhooked %s, hooked %s",
		   duration(best[0]), duration(best[1]), duration(best[2]));
	result_figure(result, best[0], "ns", "never");
	result_figure(result, best[1], "ns", "unset");
	result_figure(result, best[2], "ns", "set");
	result_check(result, best[1] * 100 <= best[0] * FREE_PERCENT,
		     "without its hook a map costs what one costs that never had any: %s against %s",
		     duration(best[1]), duration(best[0]));
	result_check(result, heard >= (uint64_t)PAIRS * TURNS,
		     "the hook that was set heard every put: %s calls", thousands(heard));
}

static void run_hooks(struct lab *lab)
{
	show_audit(&lab->result);
	show_price(&lab->result);
}

const struct experiment experiment_hooks = {
	.name = "hooks",
	.claim = "A hook hears of every change of one map before it is made, with the caller's address, and "
		 "can "
		 "refuse it; a map without a hook pays nothing.",
	.method = "An account book whose hook counts and refuses negative balances; CPU time of put and "
		  "delete, best "
		  "of nine in turns.",
	.run = run_hooks,
};
