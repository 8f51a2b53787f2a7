/* snapshot.c: the stream of docs/snapshot-format.md.
 *
 *     head    map's slots, map's slots, ..., the map    the next one's slots, ...    end
 *
 * The head of a file would have to say how much follows and what it sums to; a stream says so at its end, and each map
 * after its slots, when it is known how many there were. So nothing is kept but one step's groups and their keys, and
 * no lock while they are handed over: base/survey.h looks, under the lock of the map's shard, this file writes without.
 *
 * A map that is freed between two steps leaves slots without a map behind; the record "gone" says so.
 */
#include "neap/snapshot.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/os.h"
#include "base/registry.h"
#include "base/survey.h"
#include "observe/profile.h"

/* ---- Records ---- */

enum { STREAM_VERSION = 1, RECORD_SLOTS = 1, RECORD_MAP, RECORD_GONE, RECORD_END };
enum { MAP_REACHABLE = 1, MAP_GROWING = 2, MAP_TORN = 4, MAP_CONFIDENT = 4 };
enum { FILE_VERSION = 3, FILE_OF_LIBRARY = 1 };

struct stream_head {
	char magic[8];
	uint32_t version, reserved;
};

struct record_head {
	uint32_t kind;
	uint32_t size; /* bytes that follow, a multiple of 8 */
};

struct slots_head {
	uint32_t groups, keys;
};

struct map_record {
	uint64_t address, seed, count, slots, live, tombstones, stale, ghosts, bytes, rebuilt, retained;
	uint64_t places[4]; /* in a file: where its groups, keys and steps are */
	uint32_t step_count, group_size, group_slots, slot_at, slot_stride;
	uint32_t type, holder; /* offsets in the text behind the record */
	uint32_t confidence, candidates, flags;
};

struct end_record {
	char magic[8];
	uint32_t version, header_size;
	uint64_t file_size, checksum, time;
	uint32_t pid, torn, program, runtime, kind, fingerprints;
	uint64_t rss, live, tombstone, empty, stale, objects, free_held, other;
	int64_t unexplained;
	uint64_t object_count, object_bytes, stopped;
	uint64_t places[12];
};

_Static_assert(sizeof(struct stream_head) == 16, "docs/snapshot-format.md");
_Static_assert(sizeof(struct map_record) == 160, "docs/snapshot-format.md");
_Static_assert(sizeof(struct end_record) == 256, "docs/snapshot-format.md");
_Static_assert(sizeof(struct neap__survey_group) == 16, "docs/snapshot-format.md");
_Static_assert(offsetof(struct end_record, fingerprints) == 60, "docs/snapshot-format.md");
_Static_assert(offsetof(struct end_record, rss) == 64, "docs/snapshot-format.md");

/* ---- Fingerprints ---- */

static uint64_t print_secret[2];
static pthread_once_t print_once = PTHREAD_ONCE_INIT;

static void draw_secret(void)
{
	neap__os_random(print_secret, sizeof print_secret);
}

/* Tells the secrets of two processes apart; never 0, which means that there is none. */
static uint32_t secret_number(void)
{
	return (uint32_t)neap__siphash("secret", 6, print_secret) | 1u;
}

/* ---- Writing ---- */

enum {
	OUT_BYTES = 64 << 10,
	KEYS_MOST = NEAP__SURVEY_GROUPS * NEAP__GROUP_SLOTS_MOST,
	KEY_MOST =
		1 << 20, /* bytes of a key outside its slot; of a longer one its address is what is printed */
	TEXT_MOST = 160	 /* a map's type and name; the program's and the runtime's */
};

struct snapshot_job {
	neap_write_fn *write;
	void *ctx;
	int error;    /* the first that `write` returned */
	uint64_t sum; /* of all that was put */
	uint64_t maps_live;
	uint32_t torn;

	uint64_t address; /* of the map that is looked at */
	const char *noun;
	bool open; /* slots were written whose map was not */
	bool gone; /* and will not be */

	size_t len;
	uint8_t out[OUT_BYTES];
	uint64_t keys[KEYS_MOST];
	struct neap__piece outside[KEYS_MOST];
	struct neap__survey survey;
	uint8_t key[KEY_MOST]; /* untouched, and so not resident, without keys that long */
};

static void job_flush(struct snapshot_job *job)
{
	if (job->error == 0 && job->len > 0)
		job->error = job->write(job->ctx, job->out, job->len);
	job->len = 0;
}

/* Whole words: `size` is a multiple of 8. */
static void job_put(struct snapshot_job *job, const void *bytes, size_t size)
{
	const uint8_t *at = bytes;
	if (size > sizeof job->out - job->len)
		job_flush(job);
	for (size_t i = 0; i < size; i += 8) {
		uint64_t word;
		memcpy(&word, at + i, sizeof word);
		job->sum = (job->sum ^ word) * UINT64_C(0x100000001B3);
		job->sum ^= job->sum >> 29;
	}
	memcpy(job->out + job->len, at, size);
	job->len += size;
}

_Static_assert(KEYS_MOST * sizeof(uint64_t) <= OUT_BYTES, "whatever is put fits into an empty buffer");

static void put_record(struct snapshot_job *job, uint32_t kind, size_t size)
{
	const struct record_head head = {kind, (uint32_t)size};
	job_put(job, &head, sizeof head);
}

/* ---- Maps ---- */

/* Where the key in a slot is, when it is outside. */
static struct neap__piece key_at(const struct neap__survey *survey, const uint8_t *slot)
{
	struct neap_str text = {NULL, 0, 0};
	if (survey->string_keys)
		memcpy(&text, slot, sizeof text);
	else
		memcpy(&text.ptr, slot, sizeof text.ptr);
	return (struct neap__piece){text.ptr, survey->string_keys ? text.len : survey->key_size};
}

/* Copies as many of `count` keys as fit into job->key, one behind the other, until one can't be read. Returns how many. */
static size_t copy_keys(struct snapshot_job *job, const struct neap__piece *keys, size_t count)
{
	size_t fit = 0, bytes = 0;
	while (fit < count && fit < NEAP__PIECES_MOST && keys[fit].size <= sizeof job->key - bytes)
		bytes += keys[fit++].size;
	const size_t got = fit == 0 ? 0 : neap__os_peek_many(job->key, keys, fit);
	return got > 0 || fit == 0 ? got : neap__os_peek(job->key, keys[0].at, keys[0].size);
}

/* Prints keys that are outside their slots. Their bytes may be freed and overwritten while they are read: what is printed
 * then is of no entry. Of a key that can't be read, or is too long, it is the address.
 */
static void print_outside(struct snapshot_job *job, size_t count)
{
	for (size_t from = 0; from < count;) {
		const struct neap__piece *keys = &job->outside[from];
		const size_t ready = copy_keys(job, keys, count - from);
		const uint8_t *at = job->key;
		for (size_t i = 0; i < ready; at += keys[i++].size)
			job->keys[from + i] = neap__siphash(at, keys[i].size, print_secret);
		if (ready == 0)
			job->keys[from] = neap__siphash(&keys->at, sizeof keys->at, print_secret);
		from += ready > 0 ? ready : 1;
	}
}

static uint32_t print_keys(struct snapshot_job *job)
{
	const struct neap__survey *survey = &job->survey;
	const bool outside = survey->string_keys || survey->key_outside;
	uint32_t count = 0;
	for (uint32_t i = 0; i < survey->groups; i++) {
		const uint8_t *slot = survey->slot + (size_t)i * survey->group_size + survey->slot_at;
		for (uint32_t s = 0; s < survey->group_slots; s++, slot += survey->slot_stride) {
			if ((survey->group[i].states >> 2 * s & 3) != NEAP__SLOT_LIVE)
				continue;
			if (outside)
				job->outside[count] = key_at(survey, slot);
			else
				job->keys[count] = neap__siphash(slot, survey->key_size, print_secret);
			count++;
		}
	}
	if (outside)
		print_outside(job, count);
	return count;
}

static void put_slots(struct snapshot_job *job)
{
	const struct neap__survey *survey = &job->survey;
	const struct slots_head head = {survey->groups, print_keys(job)};
	const size_t groups = head.groups * sizeof survey->group[0], keys = head.keys * sizeof job->keys[0];
	put_record(job, RECORD_SLOTS, sizeof head + groups + keys);
	job_put(job, &head, sizeof head);
	job_put(job, survey->group, groups);
	job_put(job, job->keys, keys);
}

/* Two texts, each ended by a zero, filled up to whole words. *ret_second is the offset of the second. */
static size_t two_texts(char text[static TEXT_MOST], const char *first, const char *second,
			uint32_t *ret_second)
{
	const size_t a = strlen(first) + 1, b = strlen(second) + 1;
	memset(text, 0, TEXT_MOST);
	memcpy(text, first, a);
	memcpy(text + a, second, b);
	*ret_second = (uint32_t)a;
	return (a + b + 7) & ~(size_t)7;
}

static void put_map(struct snapshot_job *job)
{
	const struct neap__survey *survey = &job->survey;
	struct map_record record = {
		.address = job->address,
		.count = survey->count,
		.slots = survey->slots,
		.live = survey->live,
		.tombstones = survey->tombstones,
		.bytes = survey->bytes,
		.rebuilt = survey->rebuilt,
		.group_size = survey->group_size,
		.group_slots = survey->group_slots,
		.slot_at = survey->slot_at,
		.slot_stride = survey->slot_stride,
		.confidence = MAP_CONFIDENT,
		.candidates = 1,
		.flags =
			MAP_REACHABLE | (survey->growing ? MAP_GROWING : 0u) | (survey->torn ? MAP_TORN : 0u),
	};
	char type[64], text[TEXT_MOST];
	if (survey->string_keys)
		snprintf(type, sizeof type, "%s, strings, values of %u B", job->noun, survey->value_size);
	else
		snprintf(type, sizeof type, "%s, keys of %u B, values of %u B", job->noun, survey->key_size,
			 survey->value_size);
	const size_t size =
		two_texts(text, type, survey->name[0] != '\0' ? survey->name : "(no name)", &record.holder);
	put_record(job, RECORD_MAP, sizeof record + size);
	job_put(job, &record, sizeof record);
	job_put(job, text, size);
	job->torn += survey->torn;
}

static bool look_at_map(const struct neap__link *link, bool again, void *ctx)
{
	struct snapshot_job *job = ctx;
	struct neap__survey *survey = &job->survey;
	if (!again) {
		job->gone = job->open;
		job->address = (uint64_t)(uintptr_t)link->object;
		job->noun = link->species->noun;
		memset(survey, 0, offsetof(struct neap__survey, group));
	}
	link->species->survey(link->object, survey);
	return !survey->done;
}

static void put_map_gone(struct snapshot_job *job)
{
	put_record(job, RECORD_GONE, 0);
	job->torn++;
	job->open = job->gone = false;
}

static bool put_look(void *ctx)
{
	struct snapshot_job *job = ctx;
	if (job->gone)
		put_map_gone(job);
	if (job->survey.groups > 0)
		put_slots(job);
	job->open = !job->survey.done;
	if (!job->open)
		put_map(job);
	return job->error == 0;
}

/* ---- The whole ---- */

static void sum_live(const struct neap__link *link, const struct neap__glance *glance, bool on_heap,
		     void *ctx)
{
	(void)link, (void)on_heap;
	((struct snapshot_job *)ctx)->maps_live += glance->live;
}

static void put_snapshot_end(struct snapshot_job *job)
{
	struct neap_account account = {0};
	struct timespec now;
	char text[TEXT_MOST];
	(void)neap__account_census(&account, sum_live, job); /* all 0 where /proc can't be read */
	clock_gettime(CLOCK_REALTIME, &now);
	struct end_record end = {
		.version = FILE_VERSION,
		.header_size = sizeof end,
		.time = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec,
		.pid = (uint32_t)getpid(),
		.torn = job->torn,
		.kind = FILE_OF_LIBRARY,
		.fingerprints = secret_number(),
		.rss = account.rss,
		.live = job->maps_live < account.live ? job->maps_live : account.live,
		.tombstone = account.tombstone,
		.empty = account.empty,
		.free_held = account.free_held,
		.other = account.other,
		.unexplained = account.unexplained,
	};
	end.objects = account.live - end.live;
	memcpy(end.magic, "NEAPSNAP", sizeof end.magic);
	char program[TEXT_MOST - 8];
	snprintf(program, sizeof program, "%s", program_invocation_short_name);
	const size_t size = two_texts(text, program, "libneap", &end.runtime);
	put_record(job, RECORD_END, sizeof end + size + sizeof job->sum);
	job_put(job, &end, sizeof end);
	job_put(job, text, size);
	const uint64_t sum = job->sum;
	job_put(job, &sum, sizeof sum);
}

int neap_snapshot_write(neap_write_fn *write, void *ctx)
{
	struct snapshot_job *job = neap__scratch(sizeof *job);
	if (job == NULL)
		return NEAP_ENOMEM;
	pthread_once(&print_once, draw_secret);
	job->write = write;
	job->ctx = ctx;
	job->sum = UINT64_C(0xCBF29CE484222325);
	const struct stream_head head = {"NEAPSTRM", STREAM_VERSION, 0};
	job_put(job, &head, sizeof head);
	if (neap__registry_steps(look_at_map, put_look, job)) {
		if (job->open) /* the last one was freed */
			put_map_gone(job);
		put_snapshot_end(job);
		job_flush(job);
	}
	const int error = job->error;
	neap__scratch_free(job, sizeof *job);
	return error;
}
