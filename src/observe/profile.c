/* profile.c: collecting the rows of a profile, and subtracting one from another.
 *
 *     rows of sites    what sampled blocks add up to, per stack
 *     rows of maps     what each map holds, per map; of one on Neap's heap only what does not come from there
 *     named rows       what the account of the process has beyond those
 *
 * The last are differences: account - rows. So the five columns of a profile always sum to the RSS of the account,
 * and a sampling error shows as a small, perhaps negative, row "[neap heap: not sampled]" instead of hiding.
 */
#include "observe/profile.h"

#include <string.h>
#include <time.h>

#include "base/os.h"
#include "base/registry.h"
#include "base/sampling.h"
#include "observe/sites.h"

void *neap__scratch(size_t size)
{
	return neap__os_reserve(size);
}

void neap__scratch_free(void *block, size_t size)
{
	neap__os_release(block, size);
}

/* ---- Switching ---- */

int neap_profile_start(size_t rate)
{
	if (!neap__sites_start())
		return NEAP_ENOMEM;
	atomic_store_explicit(&neap__sampling.rate, rate != 0 ? rate : NEAP_PROFILE_RATE,
			      memory_order_release);
	return NEAP_OK;
}

void neap_profile_stop(void)
{
	atomic_store_explicit(&neap__sampling.rate, 0, memory_order_release);
}

size_t neap_profile_rate(void)
{
	return neap__sampling_rate();
}

/* ---- Rows ---- */

enum {
	NAMED_MOST = 8,	  /* rows without a stack */
	SPARE_ROWS = 4096 /* for maps that are made between counting and looking */
};

static struct neap__row *row_add(struct neap_profile *profile, enum neap__row_kind kind, uint64_t key)
{
	if (profile->rows == profile->room)
		return NULL;
	struct neap__row *row = &profile->row[profile->rows++];
	row->kind = kind;
	row->key = key;
	return row;
}

static void add_sites(struct neap_profile *profile, uint32_t count)
{
	for (uint32_t number = 1; number <= count; number++) {
		struct neap__site site;
		neap__site_get(number, &site);
		struct neap__row *row = row_add(profile, NEAP__ROW_SITE, number);
		if (row == NULL)
			return;
		row->site = number;
		row->value[NEAP_PROFILE_ALLOC_OBJECTS] = (int64_t)(site.alloc_objects + site.growth + 0.5);
		row->value[NEAP_PROFILE_ALLOC_SPACE] = (int64_t)(site.alloc_bytes + site.growth_bytes + 0.5);
		row->value[NEAP_PROFILE_INUSE_OBJECTS] =
			(int64_t)(site.alloc_objects - site.free_objects + 0.5);
		row->value[NEAP_PROFILE_INUSE_SPACE] = (int64_t)(site.alloc_bytes - site.free_bytes + 0.5);
		row->value[NEAP_PROFILE_LIVE] = row->value[NEAP_PROFILE_INUSE_SPACE];
	}
}

static void add_map(const struct neap__link *link, const struct neap__glance *glance, bool on_heap, void *ctx)
{
	size_t bytes = on_heap ? glance->from_system : glance->total;
	struct neap__row *row = row_add(ctx, NEAP__ROW_MAP, (uint64_t)(uintptr_t)link->object);
	if (row == NULL || bytes == 0)
		return;
	row->site = __atomic_load_n(&link->site, __ATOMIC_RELAXED);
	row->frame = "[map: no growth sampled]";
	row->noun = link->species->noun;
	memcpy(row->name, glance->name, sizeof row->name);
	size_t slots = glance->tombstone + glance->empty + glance->free_held;
	size_t live = glance->live, most = bytes > slots ? bytes - slots : 0;
	live = live < most ? live : most;
	row->value[NEAP_PROFILE_INUSE_OBJECTS] = (int64_t)glance->len;
	row->value[NEAP_PROFILE_INUSE_SPACE] = (int64_t)bytes;
	row->value[NEAP_PROFILE_LIVE] = (int64_t)live;
	row->value[NEAP_PROFILE_TOMBSTONE] = (int64_t)glance->tombstone;
	row->value[NEAP_PROFILE_EMPTY] = (int64_t)glance->empty;
	row->value[NEAP_PROFILE_FREE_HELD] = (int64_t)glance->free_held;
	row->value[NEAP_PROFILE_OTHER] = (int64_t)(most - live);
}

int64_t neap_profile_total(const struct neap_profile *profile, enum neap_profile_type type)
{
	int64_t sum = 0;
	for (size_t i = 0; i < profile->rows; i++)
		sum += profile->row[i].value[type];
	return sum;
}

static void add_named(struct neap_profile *profile, const char *frame, enum neap_profile_type type,
		      int64_t bytes)
{
	struct neap__row *row = row_add(profile, NEAP__ROW_NAMED, (uint64_t)(uintptr_t)frame);
	if (row == NULL)
		return;
	row->frame = frame;
	row->value[type] = bytes;
}

/* What the account has more of a part than the rows. */
static int64_t missing(const struct neap_profile *profile, enum neap_profile_type type, size_t whole)
{
	return (int64_t)whole - neap_profile_total(profile, type);
}

static void add_rest(struct neap_profile *profile, const struct neap_account *account)
{
	profile->room += NAMED_MOST; /* kept back for these */
	add_named(profile, "[malloc: blocks in use]", NEAP_PROFILE_LIVE, (int64_t)account->malloc_live);
	profile->row[profile->rows - 1].value[NEAP_PROFILE_INUSE_SPACE] = (int64_t)account->malloc_live;
	add_named(profile, "[malloc: free, not returned]", NEAP_PROFILE_FREE_HELD,
		  (int64_t)account->malloc_held);
	add_named(profile, "[neap heap: not sampled]", NEAP_PROFILE_LIVE,
		  missing(profile, NEAP_PROFILE_LIVE, account->live));
	add_named(profile, "[neap heap: free, not returned]", NEAP_PROFILE_FREE_HELD,
		  missing(profile, NEAP_PROFILE_FREE_HELD, account->free_held));
	add_named(profile, "[files: code and libraries]", NEAP_PROFILE_OTHER, (int64_t)account->file);
	add_named(profile, "[stacks and static data]", NEAP_PROFILE_OTHER, (int64_t)account->other_anonymous);
	add_named(profile, "[unexplained]", NEAP_PROFILE_OTHER, account->unexplained);
	/* Slots of maps on Neap's heap, too: their small tables are blocks there. */
	size_t slots = account->tombstone + account->empty;
	int64_t in_rows = neap_profile_total(profile, NEAP_PROFILE_TOMBSTONE) +
			  neap_profile_total(profile, NEAP_PROFILE_EMPTY);
	add_named(profile, "[metadata]", NEAP_PROFILE_OTHER,
		  missing(profile, NEAP_PROFILE_OTHER, account->other) + account->unexplained +
			  ((int64_t)slots - in_rows));
}

static int64_t wall_clock(void)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

struct neap_profile *neap_profile_take(void)
{
	uint32_t sites = neap__sites_count();
	size_t room = sites + neap__registry_count() + SPARE_ROWS;
	size_t size = sizeof(struct neap_profile) + (room + NAMED_MOST) * sizeof(struct neap__row);
	struct neap_profile *profile = neap__scratch(size);
	if (profile == NULL)
		return NULL;
	*profile = (struct neap_profile){
		.reserved = size, .time = wall_clock(), .rate = neap__sampling_rate(), .room = room};
	struct neap_account account;
	add_sites(profile, sites);
	if (neap__account_census(&account, add_map, profile) == NEAP_OK)
		add_rest(profile, &account);
	return profile;
}

void neap_profile_destroy(struct neap_profile *profile)
{
	if (profile != NULL)
		neap__scratch_free(profile, profile->reserved);
}

/* ---- Differences ---- */

/* Rows of both profiles come in the order of their collection: sites by number, maps by their place in the list, in
 * which new ones are in front; so the search for a row goes on where the last one was found.
 */
static const struct neap__row *same_row(const struct neap_profile *base, const struct neap__row *row,
					size_t *at)
{
	for (size_t i = 0; i < base->rows; i++) {
		const struct neap__row *other = &base->row[(*at + i) % base->rows];
		if (other->kind == row->kind && other->key == row->key) {
			*at = (*at + i + 1) % base->rows;
			return other;
		}
	}
	return NULL;
}

void neap_profile_subtract(struct neap_profile *profile, const struct neap_profile *base)
{
	size_t at = 0, mine = profile->rows;
	for (size_t i = 0; i < mine; i++) {
		const struct neap__row *other = same_row(base, &profile->row[i], &at);
		for (int type = 0; other != NULL && type < NEAP_PROFILE_TYPES; type++)
			profile->row[i].value[type] -= other->value[type];
	}
	/* Rows that are gone: as far as there is room, which SPARE_ROWS usually leaves. */
	at = 0;
	for (size_t i = 0; i < base->rows; i++) {
		const struct neap__row *gone = &base->row[i];
		if (same_row(profile, gone, &at) != NULL)
			continue;
		struct neap__row *row = row_add(profile, (enum neap__row_kind)gone->kind, gone->key);
		if (row == NULL)
			break;
		*row = *gone;
		for (int type = 0; type < NEAP_PROFILE_TYPES; type++)
			row->value[type] = -gone->value[type];
	}
	profile->duration = profile->time - base->time;
}
