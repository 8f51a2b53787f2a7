/* profile_diff.c: what a program keeps and what it only passes through, told apart by the difference of two profiles. */
#include <stdlib.h>
#include <string.h>

#include "lab/lab.h"
#include "neap/heap.h"
#include "neap/map.h"
#include "neap/profile.h"

enum {
	RATE = 8 << 10,	   /* bytes: 4,000 samples of what is kept, so chance is off by 1.6 % */
	KEPT = 32 << 20,   /* bytes that leak between the two */
	PASSING = 64 << 20 /* bytes that are allocated and freed */
};

struct diff_run {
	int64_t inuse, alloc, sum, rss;
	int64_t map_bytes;
};

static const struct neap_map_type diff_type = {.size = sizeof(struct neap_map_type),
					       .kind = NEAP_KEY_BYTES,
					       .key_size = 8,
					       .key_align = 8,
					       .value_size = 8,
					       .value_align = 8};

/* Sizes that are size classes: nothing is rounded up. */
static size_t diff_size(size_t i)
{
	static const size_t sizes[] = {32, 64, 128, 512};
	return sizes[i % 4];
}

static void leak(void)
{
	size_t bytes = 0;
	for (size_t i = 0; bytes < KEPT; i++) {
		void *block = neap_heap_alloc(diff_size(i));
		if (block == NULL)
			abort();
		memset(block, 1, diff_size(i));
		bytes += diff_size(i);
	}
}

static void pass_through(void)
{
	size_t bytes = 0;
	for (size_t i = 0; bytes < PASSING; i++) {
		void *volatile block = neap_heap_alloc(diff_size(i));
		neap_heap_free(block);
		bytes += diff_size(i);
	}
}

/* Sums of `after`, and of what it has more than `base`; false when there is no account. */
static bool diff_of(struct diff_run *run, struct neap_profile *after, const struct neap_profile *base)
{
	struct neap_account account;
	if (neap_account_process(&account) != 0)
		return false;
	run->rss = (int64_t)account.rss;
	for (int type = NEAP_PROFILE_LIVE; type < NEAP_PROFILE_TYPES; type++)
		run->sum += neap_profile_total(after, (enum neap_profile_type)type);
	neap_profile_subtract(after, base);
	run->inuse = neap_profile_total(after, NEAP_PROFILE_INUSE_SPACE);
	run->alloc = neap_profile_total(after, NEAP_PROFILE_ALLOC_SPACE);
	return true;
}

static int diff_child(void *ctx)
{
	struct diff_run *run = ctx;
	if (neap_profile_start(RATE) != 0)
		return 1;
	(void)neap_heap_return(); /* this thread takes notice of the rate */
	/* neap-lint: allow leak: its bytes are part of what is measured, and the process ends here */
	struct neap_map *map = neap_map_create(&diff_type, &(struct neap_map_options){.name = "index"});
	leak(); /* before the first profile: not part of the difference */
	struct neap_profile *base = neap_profile_take();
	leak();
	pass_through();
	bool failed = map == NULL;
	for (uint64_t key = 0; !failed && key < 200000; key++)
		failed = neap_map_put(map, &key, NULL) != 0;
	struct neap_profile *after = neap_profile_take();
	failed |= base == NULL || after == NULL || !diff_of(run, after, base);
	run->map_bytes = (int64_t)neap_map_bytes(map);
	run->inuse -= run->map_bytes;
	neap_profile_destroy(after);
	neap_profile_destroy(base);
	return failed;
}

static double off_by(int64_t got, int64_t truth)
{
	double off = (double)(got - truth) / (double)truth;
	return off < 0 ? -off : off;
}

static void run_profile_diff(struct lab *lab)
{
	struct diff_run *run = lab_share(lab, sizeof *run);
	if (run == NULL || !lab_child(lab, "the profiles", diff_child, run))
		return;
	struct result *result = &lab->result;
	result_title(result, "%d MB kept, %d MB passed through, a map", KEPT >> 20, PASSING >> 20);
	result_say(result, "  between the two profiles, MB    %10s%10s", "truth", "profile");
	result_say(result, "  kept                            %10s%10s", megabytes(KEPT),
		   megabytes((double)run->inuse));
	result_say(result, "  allocated (with the map's)      %10s%10s", megabytes(KEPT + PASSING),
		   megabytes((double)run->alloc));
	result_say(result, "  the five parts, and RSS         %10s%10s", megabytes((double)run->rss),
		   megabytes((double)run->sum));
	result_check(result, off_by(run->inuse, KEPT) < 0.1,
		     "what is kept is known within 10 %% (off by %.1f %%)", off_by(run->inuse, KEPT) * 100);
	result_check(result, run->alloc > (KEPT + PASSING) * 9LL / 10 && run->inuse < run->alloc / 2,
		     "what passes through counts as allocated, not as in use");
	result_check(result, off_by(run->sum, run->rss) < 0.02,
		     "the parts of a profile sum to RSS within 2 %% (%.2f %%)",
		     off_by(run->sum, run->rss) * 100);
	result_figure(result, (double)run->inuse, "bytes", "kept");
	result_figure(result, (double)run->alloc, "bytes", "allocated");
}

const struct experiment experiment_profile_diff = {
	.name = "profile-diff",
	.claim = "The difference of two profiles shows what was kept between them within 10 %, whatever else "
		 "was allocated "
		 "and freed, and a profile's five parts sum to RSS within 2 %.",
	.method = "Sampling every 8 KB; 32 MB are kept and 64 MB freed at once between two "
		  "neap_profile_take, which are "
		  "subtracted.",
	.run = run_profile_diff,
};
