/* leaks.c: the known ways to leak through a map, each with its cause, its picture and its cure.
 *
 * Each way is carried out twice with the same work, leaking and cured: in C on Neap's map or the classic one
 * (leak_cases.c), and in the same run in real Go with Go's own map (peers/leaks.go). The bars of one way have one scale:
 *
 *     #   held by what is cured too: the entries that are wanted
 *     x   held by the leak alone
 *
 * In C the cause must explain every byte; in Go the leak must be several times what the cured program holds.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lab/go_peer.h"
#include "lab/lab.h"
#include "lab/leak_cases.h"
#include "lab/progress.h"

enum {
	LEAKS_N = 2000,
	LEAKS_FEW = 800,  /* below this Go's own noise, some KB, is no longer small */
	LEAKS_BAR = 40,	  /* cells */
	LEAKS_SWISS = 24, /* the first Go whose map grows table by table, in one step, without an old array */
	LEAKS_TENTHS = 10,
	GO_NOISE = 16 << 10, /* bytes by which two measurements of Go's heap may differ for other reasons */
};

/* What is said of a way, and how much a leak must hold at least, in tenths of what the cured program holds; 0: the
 * cured program holds nothing.
 */
struct leaks_text {
	const char *name, *figure;
	const char *counted; /* what the outcome counts */
	const char *cause, *picture[2], *cure;
	const char *go_cause, *go_cure;
	size_t tenths, go_tenths;
};

static const struct leaks_text leaks_texts[LEAKS_CASES] = {
	[LEAKS_POINTER_KEYS] = {.name = "pointer-keys",
				.figure = "pointer_keys",
				.counted = "keys",
				.cause = "equal keys at two addresses are two keys: no store overwrites",
				.picture = {"&{1,7} -> slot   &{1,7} -> slot   &{1,7} -> slot",
					    "  {1,7}            {1,7}            {1,7}"},
				.cure = "the key itself in the slot",
				.go_cause = "map[*key]V: the same",
				.go_cure = "map[key]V",
				.tenths = 30,
				.go_tenths = 30},
	[LEAKS_NESTED_OWNERS] = {.name = "nested-owners",
				 .figure = "nested_owners",
				 .counted = "inner maps",
				 .cause = "a delete gives back the slot, not the map that it pointed to",
				 .picture = {"outer [ 7 ]--> inner map",
					     "outer [   ]    inner map   (nobody)"},
				 .cure = "a release callback that destroys the inner map",
				 .go_cause = "a second map of the same owners, deleted from one only",
				 .go_cure = "delete from every index",
				 .tenths = 30,
				 .go_tenths = 30},
	[LEAKS_UNFINISHED_EVACUATION] =
		{.name = "unfinished-evacuation",
		 .figure = "unfinished_evacuation",
		 .counted = "unmoved buckets",
		 .cause = "only writes move buckets: reads never finish it",
		 .picture = {"buckets    [x][x][ ][ ][x][x][ ][ ]",
			     "oldbuckets [>][>][o][o]          > moved, o not yet"},
		 .cure = "as many writes more as there are buckets to move",
		 .go_cause = "range over a growth: the old array keeps deleted values",
		 .go_cure = "writes after the loop; from Go 1.24 on there is no old array",
		 .tenths = 14,
		 .go_tenths = 30},
	[LEAKS_TIMER_PER_KEY] = {.name = "timer-per-key",
				 .figure = "timer_per_key",
				 .counted = "timers",
				 .cause = "an overwritten key leaves its timer running",
				 .picture = {"slot --> timer 3",
					     "         timer 2, timer 1   (in the queue, until they fire)"},
				 .cure = "stop the timer of the value that is overwritten",
				 .go_cause = "time.AfterFunc for each store: the same",
				 .go_cure = "old.timer.Stop() before the store",
				 .tenths = 30,
				 .go_tenths = 30},
	[LEAKS_OWNERSHIP_CYCLES] = {.name = "ownership-cycles",
				    .figure = "ownership_cycles",
				    .counted = "cycles",
				    .cause = "a child counts as an owner of the parent that owns it",
				    .picture = {"parent (1 owner) --> map --> child --+",
						"   ^------------ counted ------------+"},
				    .cure = "the way up is not counted: it ends before the parent does",
				    .go_cause = "a finalizer on an object in a cycle: never run, never freed",
				    .go_cure = "the finalizer on a handle outside of the cycle",
				    .go_tenths = 100},
	[LEAKS_THREAD_LOCAL] = {.name = "thread-local-leftovers",
				.figure = "thread_local",
				.counted = "maps",
				.cause = "a thread's own map outlives the thread",
				.picture = {"thread 3 (ended)   own --> map   (nobody)"},
				.cure = "pthread_key_create with a destructor",
				.go_cause = "a goroutine that waits for ever keeps its stack's maps",
				.go_cure = "close the channel that it waits on",
				.go_tenths = 100},
};

/* What both programs hold is drawn in one scale: the larger of the two. */
static void leaks_bar(struct result *result, const char *name, double held, double wanted, double scale)
{
	char bar[LEAKS_BAR + 1];
	int cells = scale > 0 ? (int)(held * LEAKS_BAR / scale + 0.5) : 0;
	int live = scale > 0 ? (int)((held < wanted ? held : wanted) * LEAKS_BAR / scale + 0.5) : 0;
	memset(bar, 'x', sizeof bar);
	memset(bar, '#', (size_t)live);
	bar[cells] = '\0';
	result_say(result, "  %-18s%13s%s%s", name, thousands((uint64_t)held), cells > 0 ? "  " : "", bar);
}

static void leaks_bars(struct result *result, const char *language, const struct leaks_text *text,
		       double leaking, double cured)
{
	char name[64];
	double scale = leaking > cured ? leaking : cured;
	snprintf(name, sizeof name, "%s, leaking", language);
	leaks_bar(result, name, leaking, cured, scale);
	snprintf(name, sizeof name, "%s, cured", language);
	leaks_bar(result, name, cured, cured, scale);
	bool go = *language == 'g';
	result_figure(result, leaking, "bytes", "%s%s_leaking", go ? "go_" : "", text->figure);
	result_figure(result, cured, "bytes", "%s%s_cured", go ? "go_" : "", text->figure);
}

static void leaks_show_c(struct result *result, const struct leaks_text *text,
			 const struct leaks_outcome *leaking, const struct leaks_outcome *cured)
{
	leaks_bars(result, "C", text, (double)leaking->bytes, (double)cured->bytes);
	result_check(result, leaking->bytes == leaking->expected && leaking->count > cured->count,
		     "%s, C: %s %s explain all %s bytes", text->name, thousands(leaking->count),
		     text->counted, thousands(leaking->bytes));
	result_check(result, cured->bytes == cured->expected,
		     "%s, C, cured: what is wanted explains all %s bytes", text->name,
		     thousands(cured->bytes));
	result_check(result,
		     text->tenths == 0 ? cured->bytes == 0 && leaking->bytes > 0
				       : leaking->bytes * LEAKS_TENTHS >= cured->bytes * text->tenths,
		     "%s, C: %s bytes leaking, %s cured", text->name, thousands(leaking->bytes),
		     thousands(cured->bytes));
}

/* From Go 1.24 on there is no old array: then the leak must not be there. */
static void leaks_check_go(struct result *result, enum leaks_case which, double minor, double leaking,
			   double cured)
{
	const struct leaks_text *text = &leaks_texts[which];
	if (which == LEAKS_UNFINISHED_EVACUATION && minor >= LEAKS_SWISS)
		result_check(result, leaking <= cured + GO_NOISE,
			     "%s, Go 1.%.0f: its map has no old array, and keeps nothing", text->name, minor);
	else
		result_check(result, leaking > 0 && leaking * LEAKS_TENTHS >= cured * (double)text->go_tenths,
			     "%s, Go: %s bytes leaking, %s cured", text->name, thousands((uint64_t)leaking),
			     thousands((uint64_t)cured));
}

/* False when the peer's answer is missing, which is a failed check. */
static bool leaks_show_go(struct result *result, const struct go_peer *go, enum leaks_case which, size_t n)
{
	const struct leaks_text *text = &leaks_texts[which];
	struct text why = {0};
	char number[32], language[16];
	snprintf(number, sizeof number, "%zu", n);
	char *output = go_peer_run_with(go, text->name, number, NULL, &why);
	if (output == NULL) {
		result_check(result, false, "%s", why.at);
		text_free(&why);
		return false;
	}
	double leaking = go_peer_number(output, "leaking"), cured = go_peer_number(output, "cured");
	snprintf(language, sizeof language, "%.8s", go_peer_text(output, "version"));
	leaks_bars(result, language, text, leaking, cured);
	leaks_check_go(result, which, go_peer_number(output, "minor"), leaking, cured);
	free(output);
	return true;
}

static void leaks_explain(struct result *result, enum leaks_case which, bool go)
{
	const struct leaks_text *text = &leaks_texts[which];
	result_say(result, "%s%d. %s: %s", which == 0 ? "" : "\n", (int)which + 1, text->name, text->cause);
	for (size_t i = 0; i < sizeof text->picture / sizeof *text->picture && text->picture[i] != NULL; i++)
		result_say(result, "        %s", text->picture[i]);
	if (go)
		result_say(result, "  Go:   %s", text->go_cause);
	result_say(result, "  cure: %s", text->cure);
	if (go)
		result_say(result, "  Go:   %s", text->go_cure);
}

struct leaks_share {
	size_t n;
	struct leaks_outcome leaking[LEAKS_CASES], cured[LEAKS_CASES];
};

/* In a process of its own: what leaks goes with it. */
static int leaks_child(void *ctx)
{
	struct leaks_share *share = ctx;
	for (enum leaks_case which = 0; which < LEAKS_CASES; which++) {
		leaks_carry_out(which, share->n, false, &share->leaking[which]);
		leaks_carry_out(which, share->n, true, &share->cured[which]);
	}
	return 0;
}

static void run_leaks(struct lab *lab)
{
	struct leaks_share *share = lab_share(lab, sizeof *share);
	struct go_peer go;
	struct text why = {0};
	if (share == NULL)
		return;
	share->n = lab->options->n != 0 ? lab->options->n : LEAKS_N;
	result_title(&lab->result, "%s keys; bytes held at the end", thousands(share->n));
	if (share->n < LEAKS_FEW) {
		result_skip(&lab->result, "%zu keys are too few; --n %d or more", share->n, LEAKS_FEW);
		return;
	}
	if (!lab_child(lab, "the ways in C", leaks_child, share))
		return;
	progress_step("leaks: building the Go program", 0, 0);
	bool with_go = go_peer_open(&go, &asset_leaks_go, &why), answers = with_go;
	for (enum leaks_case which = 0; which < LEAKS_CASES; which++) {
		progress_step("leaks", (size_t)which, LEAKS_CASES);
		leaks_explain(&lab->result, which, with_go);
		leaks_show_c(&lab->result, &leaks_texts[which], &share->leaking[which], &share->cured[which]);
		answers = answers && leaks_show_go(&lab->result, &go, which, share->n);
	}
	result_say(&lab->result, "\n  # held by what is wanted   x held by the leak alone");
	if (with_go)
		go_peer_close(&go);
	else
		result_say(&lab->result, "  Go's own figures are missing:\n  %.76s", why.at);
	text_free(&why);
}

const struct experiment experiment_leaks = {
	.name = "leaks",
	.claim = "Each of six known ways to leak through a map has one cause, which explains every leaked "
		 "byte in "
		 "C, is "
		 "met in Go too, and is gone with its cure.",
	.method = "Carry out each way leaking and cured, with the same work: in C on an allocator that "
		  "counts, in "
		  "Go after "
		  "everything unreachable was collected.",
	.run = run_leaks,
};
