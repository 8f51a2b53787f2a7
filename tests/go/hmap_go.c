/* hmap_go.c: Neap's classic map beside a real Go map, compared after every step.
 *
 *     hmap_go TRACER DIRECTORY [SCENARIO...]     TRACER is hmap_trace/ built by the installed Go
 *
 * For each scenario a script of operations is written to DIRECTORY, the tracer runs it on Go's map and writes
 * its state after every step, and the same steps are repeated here. Both use the same hash (Go's portable one,
 * with a fixed key) and the same random numbers (Go's, the state set before each step), so that everything must
 * agree: results, the order of iteration, the header, the spare overflow buckets, how many random numbers were
 * drawn, and every byte of every bucket that the step can have changed: tophashes, keys and values in used and
 * unused slots, links. From time to time, and for small maps after every step, every bucket is compared.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "go_hash.h"
#include "hmap/internal.h"
#include "hmap_script.h"

static _Noreturn void give_up(const char *what)
{
	fprintf(stderr, "hmap_go: %s\n", what);
	exit(1);
}

/* ---- Digests: the same as hmap_trace/digest.go ---- */

typedef uint64_t digest;

static const digest digest_start = UINT64_C(0xcbf29ce484222325);

static void add_bytes(digest *d, const void *bytes, size_t n)
{
	const uint8_t *at = bytes;
	for (size_t i = 0; i < n; i++)
		*d = (*d ^ at[i]) * UINT64_C(0x100000001b3);
}

static void add_byte(digest *d, uint8_t byte)
{
	add_bytes(d, &byte, 1);
}

static void add_word(digest *d, uint64_t word)
{
	add_bytes(d, &word, sizeof word);
}

static void add_content(digest *d, const void *at, size_t size, bool text)
{
	if (!text) {
		add_bytes(d, at, size);
		return;
	}
	struct neap_str str;
	memcpy(&str, at, sizeof str);
	add_word(d, str.len);
	add_byte(d, str.ptr != NULL);
	if (str.ptr != NULL)
		add_bytes(d, str.ptr, str.len);
}

static void add_slot(digest *d, const void *slot, size_t size, bool text, bool indirect, uint8_t tophash)
{
	if (!indirect) {
		add_content(d, slot, size, text);
		return;
	}
	void *block;
	memcpy(&block, slot, sizeof block);
	add_byte(d, block != NULL);
	if (block != NULL && tophash >= NEAP_HMAP_MIN_TOPHASH)
		add_content(d, block, size, text);
}

static void add_chain(digest *d, const struct neap_hmap *map, struct neap__hmap_table *table, size_t index)
{
	const struct neap_hmap_type *type = map->type;
	uint8_t *array = neap__hmap_array(table);
	struct neap__hmap_bucket *b = neap__hmap_at(map, array, index);
	for (; b != NULL; b = neap__hmap_overflow(map, b)) {
		size_t place = ((uintptr_t)b - (uintptr_t)array) / map->bucket_size;
		if ((uint8_t *)b < array || place >= table->buckets)
			place = (size_t)1 << 40; /* allocated by itself */
		add_word(d, place);
		add_bytes(d, b->tophash, HMAP_SLOTS);
		for (size_t i = 0; i < HMAP_SLOTS; i++) {
			add_slot(d, neap__hmap_key_slot(map, b, i), type->key_size,
				 type->kind == NEAP_HMAP_STR, map->key_indirect, b->tophash[i]);
			add_slot(d, neap__hmap_value_slot(map, b, i), type->value_size, false,
				 map->value_indirect, b->tophash[i]);
		}
	}
}

static digest digest_touched(const struct neap_hmap *map, uint64_t hash)
{
	digest d = digest_start;
	if (map->table == NULL)
		return d;
	size_t mask = neap__hmap_mask(map->head.B);
	add_chain(&d, map, map->table, hash & mask);
	if (map->old == NULL)
		return d;
	size_t old = neap__hmap_old_buckets(map);
	const size_t at[] = {hash, map->head.nevacuate, map->head.nevacuate + old - 1};
	for (size_t i = 0; i < 3; i++) {
		size_t index = at[i] & (old - 1);
		add_chain(&d, map, map->old, index);
		add_chain(&d, map, map->table, index);
		add_chain(&d, map, map->table, (index + old) & mask);
	}
	return d;
}

static digest digest_all(const struct neap_hmap *map)
{
	digest d = digest_start;
	if (map->table == NULL)
		return d;
	for (size_t i = 0; i <= neap__hmap_mask(map->head.B); i++)
		add_chain(&d, map, map->table, i);
	for (size_t i = 0; map->old != NULL && i < neap__hmap_old_buckets(map); i++)
		add_chain(&d, map, map->old, i);
	return d;
}

/* ---- Steps ---- */

static const char *const op_names[] = {"make", "put", "delete", "get", "clear", "open", "step", "close"};

enum { WORDS = 9 };

static const char *const word_names[WORDS] = {"result",
					      "count",
					      "flags, B, noverflow, hash0",
					      "nevacuate and oldbuckets",
					      "next spare overflow bucket",
					      "extra: lengths of the overflow lists",
					      "random numbers drawn",
					      "the buckets that the step touched",
					      "all buckets"};

/* One run of one kind of map. */
struct run {
	const struct hmap_kind *kind;
	struct neap_hmap_type type; /* of the kind, with Go's hash */
	struct neap_hmap *map;
	struct neap_hmap_iter iter[ITERATORS];
	bool open[ITERATORS];
	/* What the run has met, so that a scenario can't pass by not happening. */
	size_t grows, same_size_grows, produced_growing, most_overflow;
	unsigned B;
};

static void run_drop_map(struct run *run)
{
	for (size_t i = 0; i < ITERATORS; i++) {
		if (run->open[i])
			neap_hmap_iter_deinit(&run->iter[i]);
		run->open[i] = false;
	}
	if (run->map == NULL)
		return;
	run->grows += run->map->grows;
	run->same_size_grows += run->map->same_size_grows;
	neap_hmap_destroy(run->map);
	run->map = NULL;
}

static uint64_t run_make(struct run *run, uint32_t hint)
{
	run_drop_map(run);
	run->map = neap_hmap_create(
		&run->type,
		&(struct neap_hmap_options){.hint = hint, .version = NEAP_HMAP_GO_1_19, .random = go_random});
	if (run->map == NULL)
		give_up("out of memory");
	return 0;
}

static uint64_t run_iterate(struct run *run, uint32_t i)
{
	if (!run->open[i] || !neap_hmap_iter_next(&run->iter[i]))
		return 0;
	const struct neap_hmap_type *type = &run->type;
	digest d = digest_start;
	add_content(&d, run->iter[i].key, type->key_size, type->kind == NEAP_HMAP_STR);
	add_content(&d, run->iter[i].value, type->value_size, false);
	run->produced_growing += run->map->old != NULL;
	return d;
}

static uint64_t run_get(struct run *run, const void *key)
{
	const void *value = neap_hmap_get(run->map, key);
	if (value == NULL)
		return 0;
	digest d = digest_start;
	add_content(&d, value, run->type.value_size, false);
	return d;
}

static uint64_t run_step(struct run *run, const struct step *step)
{
	uint64_t key[HMAP_LARGEST / 8], value[HMAP_LARGEST / 8];
	run->kind->key(step->arg, key);
	run->kind->value(step->value, value);
	switch ((enum op)step->op) {
	case OP_MAKE: return run_make(run, step->arg);
	case OP_PUT:
		if (neap_hmap_put(run->map, key, value) != NEAP_OK)
			give_up("out of memory");
		break;
	case OP_DELETE: neap_hmap_delete(run->map, key); break;
	case OP_GET: return run_get(run, key);
	case OP_CLEAR: neap_hmap_clear(run->map); break;
	case OP_OPEN:
		if (run->open[step->arg])
			neap_hmap_iter_deinit(&run->iter[step->arg]);
		neap_hmap_iter_init(&run->iter[step->arg], run->map);
		run->open[step->arg] = true;
		return run_iterate(run, step->arg);
	case OP_STEP: return run_iterate(run, step->arg);
	case OP_CLOSE:
		if (run->open[step->arg])
			neap_hmap_iter_deinit(&run->iter[step->arg]);
		run->open[step->arg] = false;
		break;
	}
	return 0;
}

static uint64_t run_hash(const struct run *run, uint32_t id)
{
	uint64_t key[HMAP_LARGEST / 8];
	run->kind->key(id, key);
	if (!neap__hmap_equal(run->map, key, key) && !run->map->reflexive)
		return 0;
	return neap__hmap_hash(run->map, key);
}

static void run_record(struct run *run, const struct step *step, uint64_t result, uint64_t ret[WORDS])
{
	const struct neap_hmap *map = run->map;
	const struct neap_hmap_header *head = neap_hmap_header(map);
	ret[0] = result;
	ret[1] = head->count;
	ret[2] = head->flags | (uint64_t)head->B << 8 | (uint64_t)head->noverflow << 16 |
		 (uint64_t)head->hash0 << 32;
	ret[3] = head->nevacuate | (uint64_t)(head->oldbuckets != NULL) << 63;
	ret[4] = ret[5] = 0;
	if (head->extra != NULL) {
		if (map->extra.next_overflow != NULL)
			ret[4] = ((uintptr_t)map->extra.next_overflow - (uintptr_t)head->buckets) /
					 map->bucket_size +
				 1;
		ret[5] = (uint64_t)1 << 63;
		if (map->extra.overflow != NULL)
			ret[5] |= map->extra.overflow->overflow_len + 1;
		if (map->extra.oldoverflow != NULL)
			ret[5] |= (map->extra.oldoverflow->overflow_len + 1) << 32;
	}
	ret[6] = go_random_state;
	ret[7] = digest_touched(map, run_hash(run, step->arg));
	ret[8] = step->full != 0 ? digest_all(map) : 0;
	if (head->B > run->B)
		run->B = head->B;
	if (head->noverflow > run->most_overflow)
		run->most_overflow = head->noverflow;
}

static void save(const char *path, const void *bytes, size_t size)
{
	FILE *file = fopen(path, "wb");
	if (file == NULL || fwrite(bytes, 1, size, file) != size || fclose(file) != 0)
		give_up("can't write the script");
}

static void trace_go(const char *tracer, const char *kind, const char *script, const char *trace)
{
	pid_t child = fork();
	if (child == 0) {
		execl(tracer, tracer, kind, script, trace, (char *)NULL);
		_exit(127);
	}
	int status;
	if (child < 0 || waitpid(child, &status, 0) != child || status != 0)
		give_up("the tracer failed");
}

static int differ(const struct scenario *scenario, const struct script *script, size_t at, const uint64_t *go,
		  const uint64_t *here)
{
	const struct step *step = &script->steps[at];
	fprintf(stderr, "hmap_go: %s: step %zu, %s %u:\n", scenario->name, at, op_names[step->op], step->arg);
	for (size_t i = 0; i < WORDS; i++) {
		if (go[i] != here[i])
			fprintf(stderr, "  %s: Go %#llx, here %#llx\n", word_names[i],
				(unsigned long long)go[i], (unsigned long long)here[i]);
	}
	return 1;
}

static int compare(const struct scenario *scenario, const struct script *script, FILE *trace, struct run *run)
{
	for (size_t i = 0; i < script->len; i++) {
		uint64_t go[WORDS], here[WORDS];
		if (fread(go, sizeof go, 1, trace) != 1)
			give_up("the trace ends early");
		go_random_state = i * 16 * UINT64_C(0x9e3779b97f4a7c15);
		uint64_t result = run_step(run, &script->steps[i]);
		run_record(run, &script->steps[i], result, here);
		if (memcmp(go, here, sizeof go) != 0)
			return differ(scenario, script, i, go, here);
		const char *broken = script->steps[i].full != 0 ? neap__hmap_check(run->map) : NULL;
		if (broken != NULL) {
			fprintf(stderr, "hmap_go: step %zu: law broken: %s\n", i, broken);
			return 1;
		}
	}
	return 0;
}

static int judge(const struct scenario *scenario, const struct run *run)
{
	if (run->B >= scenario->B && run->same_size_grows >= scenario->same_size_grows &&
	    run->produced_growing >= scenario->produced_growing && run->most_overflow >= scenario->noverflow)
		return 0;
	fprintf(stderr, "hmap_go: %s never met what it is there for\n", scenario->name);
	return 1;
}

static int scenario_run(const struct scenario *scenario, size_t kind, const char *tracer,
			const char *directory)
{
	char script_path[4096], trace_path[4096];
	snprintf(script_path, sizeof script_path, "%s/script", directory);
	snprintf(trace_path, sizeof trace_path, "%s/trace", directory);
	struct script script;
	scenario_write(scenario, &script);
	save(script_path, script.steps, script.len * sizeof *script.steps);
	trace_go(tracer, hmap_kinds[kind].name, script_path, trace_path);
	FILE *trace = fopen(trace_path, "rb");
	if (trace == NULL)
		give_up("no trace");
	struct run run = {.kind = &hmap_kinds[kind], .type = hmap_kinds[kind].type};
	run.type.hash = go_hashes[kind];
	int failed = compare(scenario, &script, trace, &run);
	fclose(trace);
	run_drop_map(&run);
	if (!failed)
		failed = judge(scenario, &run);
	printf("%-13s %-10s %8zu steps, B up to %u, grown %zu, same size %zu, noverflow up to %zu, "
	       "produced while growing %zu: %s\n",
	       scenario->name, hmap_kinds[kind].name, script.len, run.B, run.grows, run.same_size_grows,
	       run.most_overflow, run.produced_growing, failed ? "DIFFERENT" : "same");
	fflush(stdout);
	free(script.steps);
	return failed;
}

int main(int argc, char **argv)
{
	if (argc < 3)
		give_up("usage: hmap_go TRACER DIRECTORY [SCENARIO]");
	int failed = 0;
	for (size_t i = 0; i < scenario_count; i++) {
		const struct scenario *scenario = &scenarios[i];
		if (argc > 3 && strcmp(argv[3], scenario->name) != 0)
			continue;
		for (size_t k = 0; k < HMAP_KINDS; k++) {
			if (scenario->kind == NULL || strcmp(scenario->kind, hmap_kinds[k].name) == 0)
				failed |= scenario_run(scenario, k, argv[1], argv[2]);
		}
	}
	hmap_kinds_free_texts();
	return failed;
}
