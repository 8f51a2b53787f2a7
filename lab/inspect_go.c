/* inspect_go.c: a real Go program, looked at from outside by this very command, beside what it says itself. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lab/go_peer.h"
#include "lab/lab.h"
#include "lab/progress.h"

enum {
	DEFAULT_N = 50000,
	DELETED_PERCENT =
		90, /* of the bytes that a rebuild must be said to give back, when 99 % was deleted */
	OBJECTS_APART = 200, /* that may differ: starting the inspector allocates in the program itself */
};

static void check_map(struct result *result, const char *output, const char *name, const char *type,
		      const char *holder)
{
	char field[64];
	snprintf(field, sizeof field, "%s_len", name);
	double len = go_peer_number(output, field);
	snprintf(field, sizeof field, "%s_seen", name);
	double seen = go_peer_number(output, field);
	snprintf(field, sizeof field, "%s_slots", name);
	double slots = go_peer_number(output, field);
	snprintf(field, sizeof field, "%s_bytes", name);
	double bytes = go_peer_number(output, field);
	snprintf(field, sizeof field, "%s_reclaimable", name);
	double gain = go_peer_number(output, field);
	snprintf(field, sizeof field, "%s_hashes", name);
	double hashes = go_peer_number(output, field);
	snprintf(field, sizeof field, "%s_agreed", name);
	double agreed = go_peer_number(output, field);
	result_say(result, "  %-9s %9.0f %9.0f %9.0f %11.0f %11.0f", name, len, seen, slots, bytes, gain);
	result_check(result, len > 0 && seen == len,
		     "%s: the inspector counts as many entries as the program", name);
	result_check(result, gain * 100 >= bytes * DELETED_PERCENT,
		     "%s: a rebuild would give back at least %d %%", name, DELETED_PERCENT);
	result_check(result, hashes > 0 && agreed == hashes, "%s: every recomputed hash agrees", name);
	snprintf(field, sizeof field, "%s_type", name);
	result_check(result, strcmp(go_peer_text(output, field), type) == 0, "%s: its type is %s", name,
		     type);
	snprintf(field, sizeof field, "%s_holder", name);
	result_check(result, strstr(go_peer_text(output, field), holder) != NULL, "%s: held by %s", name,
		     holder);
	result_figure(result, gain, "bytes", "%s_reclaimable", name);
}

static void compare(struct lab *lab, const char *output)
{
	struct result *result = &lab->result;
	double objects = go_peer_number(output, "objects"), seen = go_peer_number(output, "seen_objects");
	double apart = seen > objects ? seen - objects : objects - seen;
	result_say(result, "%s, %.0f keys in two maps, 99 %% deleted; seen from outside:",
		   go_peer_text(output, "version"), go_peer_number(output, "keys"));
	result_say(result, "  MAP             LEN      SEEN     SLOTS        HELD  GIVES BACK");
	check_map(result, output, "numbers", "map[uint64]uint64", "main.numbers");
	check_map(result, output, "sessions", "map[string]*main.session", "main.served");
	result_say(result, "  reachable objects: the runtime says %.0f, the inspector %.0f; stopped %.1f ms",
		   objects, seen, go_peer_number(output, "stopped_ms"));
	result_check(result, apart <= OBJECTS_APART,
		     "the reachable objects agree with the runtime's within %d", OBJECTS_APART);
	result_figure(result, seen, "count", "reachable_objects");
}

static void run_inspect_go(struct lab *lab)
{
	struct go_peer go;
	struct text why = {0};
	char self[4096];
	ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
	result_title(&lab->result, "a Go program, from outside and from inside");
	if (length <= 0) {
		result_skip(&lab->result, "/proc is not there");
		return;
	}
	self[length] = '\0';
#ifndef NEAP_HAVE_INSPECT
	result_skip(&lab->result, "this neap was built without the inspector");
	return;
#endif
	progress_step("inspect-go", 0, 1);
	if (!go_peer_open(&go, &asset_inspect_go, &why)) {
		result_skip(&lab->result, "%s", why.at);
		text_free(&why);
		return;
	}
	char *output = go_peer_run(&go, &lab->keys, self, lab->seed, &why);
	if (output == NULL && why.at != NULL && strstr(why.at, "status 3") != NULL)
		result_skip(&lab->result, "processes may not be read here");
	else if (output == NULL)
		result_check(&lab->result, false, "%s", why.at);
	else
		compare(lab, output);
	text_free(&why);
	free(output);
	go_peer_close(&go);
}

const struct experiment experiment_inspect_go = {
	.name = "inspect-go",
	.claim = "`neap inspect` sees the maps of a Go program that knows nothing of it as the program sees "
		 "them "
		 "itself: entries, types, holders, and the bytes that deletes left.",
	.method = "Build a Go program with the machine's own go, let it delete 99 of 100 entries of two "
		  "maps, inspect "
		  "it from outside while it runs, and compare.",
	.default_n = DEFAULT_N,
	.run = run_inspect_go,
};
