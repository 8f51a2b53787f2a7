/* fuzz_inspect.c: the inspector against a process that lies.
 *
 * usage: fuzz_inspect PID SEED ROUNDS [linked]
 *
 * Each round inspects the process through a target whose reads are damaged: bits flipped, words replaced by
 * other words of the same memory (pointers to the wrong place, cycles), by small and by huge numbers, reads cut
 * short or refused. How much is damaged differs from round to round, from one word in ten million to one in a
 * hundred. Whatever comes out, the inspector must end by itself, within the time limit, without touching memory
 * that is not its own; what it prints is written to /dev/null.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "linked_graph.h"

enum { ROUND_SECONDS = 60, REMEMBERED = 4096 };

static uint64_t state;			/* of the generator */
static uint64_t words_between;		/* undamaged words between two damaged ones, on average */
static uint64_t remembered[REMEMBERED]; /* words seen, to be put where they do not belong */
static const struct target_ops *real_ops;
static struct target_ops lying_ops;

/* xorshift64*: the same seed gives the same round again */
static uint64_t draw(void)
{
	state ^= state >> 12;
	state ^= state << 25;
	state ^= state >> 27;
	return state * 0x2545F4914F6CDD1Dull;
}

static uint64_t damaged(uint64_t word)
{
	switch (draw() % 6) {
	case 0: return word ^ 1ull << draw() % 64;
	case 1: return remembered[draw() % REMEMBERED];
	case 2: return draw() % 256;
	case 3: return UINT64_MAX - draw() % 16;
	case 4: return remembered[draw() % REMEMBERED] + draw() % 64;
	default: return draw();
	}
}

static void damage(uint8_t *bytes, size_t size)
{
	for (size_t at = draw() % (2 * words_between) * 8; at + 8 <= size;
	     at += (1 + draw() % (2 * words_between)) * 8) {
		uint64_t word;
		memcpy(&word, bytes + at, sizeof word);
		remembered[draw() % REMEMBERED] = word;
		word = damaged(word);
		memcpy(bytes + at, &word, sizeof word);
	}
}

static size_t lying_read(struct target *target, uint64_t address, void *buffer, size_t size)
{
	size_t got = real_ops->read(target, address, buffer, size);
	if (draw() % (words_between / 4 + 16) == 0)
		got = got == 0 ? 0 : draw() % got;
	damage(buffer, got);
	return got;
}

static struct target *open_target(int pid)
{
	struct problem problem = {0};
	struct target *target = target_live_open(pid, NULL, TARGET_RUNNING, &problem);
	if (target == NULL) {
		fprintf(stderr, "fuzz_inspect: %s\n", problem.text);
		exit((int)problem.kind);
	}
	real_ops = target->ops;
	lying_ops = *target->ops;
	lying_ops.read = lying_read;
	return target;
}

/* A program linked with libneap: its maps, and everything that it holds. In half of the rounds what the library tells of its
   layout is whole, or little behind it would be reached. */
static int look_at_linked(int pid, FILE *nowhere)
{
	struct problem problem = {0};
	struct target *target = open_target(pid);
	const struct inspection_wish wish = {.graph = true};
	const struct render_options options = {.all = true};
	bool whole = draw() % 2 == 0;
	if (!whole)
		target->ops = &lying_ops;
	struct linked_process *process = linked_from(target, &wish, &problem);
	if (process == NULL)
		return (int)problem.kind;
	target->ops = &lying_ops;
	struct snapshot *snapshot = linked_snapshot_of(process, &wish, &problem);
	int code = process->torn > 0 ? PROBLEM_PARTIAL : 0;
	linked_close(process);
	if (snapshot == NULL)
		return (int)problem.kind;
	snapshot_render(nowhere, snapshot, &options);
	snapshot_json(nowhere, snapshot);
	snapshot_close(snapshot);
	return code;
}

/* Returns the exit code that the tool would give, 0 when the inspection was complete. */
static int inspect_once(int pid, FILE *nowhere)
{
	struct problem problem = {0};
	struct target *target = open_target(pid);
	target->ops = &lying_ops;
	const struct inspection_wish wish = {.every_type = true, .retained = true};
	struct inspection *inspection = inspection_from(target, &wish, &problem);
	if (inspection == NULL)
		return (int)problem.kind;
	const struct render_options options = {.stale = true, .ghosts = true, .show_keys = true, .all = true};
	render_inspection(nowhere, inspection, &options);
	json_inspection(nowhere, inspection);
	for (size_t i = 0; i < inspection->maps.count && i < 50; i++) {
		render_map(nowhere, inspection, &inspection->maps.list[i], &options);
		json_close_up(nowhere, inspection, &inspection->maps.list[i]);
	}
	int code = inspection->process->torn > 0 ? PROBLEM_PARTIAL : 0;
	inspection_free(inspection);
	return code;
}

int main(int argc, char **argv)
{
	if (argc != 4 && argc != 5) {
		fprintf(stderr, "usage: fuzz_inspect PID SEED ROUNDS [linked]\n");
		return 2;
	}
	uint64_t seed = strtoull(argv[2], NULL, 10), rounds = strtoull(argv[3], NULL, 10);
	FILE *nowhere = fopen("/dev/null", "we");
	unsigned results[8] = {0};
	for (uint64_t round = 0; round < rounds; round++) {
		state = (seed + round) * 0x9E3779B97F4A7C15ull | 1;
		words_between = 100ull << draw() % 18;
		alarm(ROUND_SECONDS); /* a round that hangs is killed, which fails the test */
		fprintf(stderr, "\rround %" PRIu64 " of seed %" PRIu64 ", one word in %" PRIu64 " ", round,
			seed, words_between);
		int code = argc == 5 ? look_at_linked(atoi(argv[1]), nowhere)
				     : inspect_once(atoi(argv[1]), nowhere);
		results[code & 7]++;
	}
	fclose(nowhere);
	printf("\n%u complete, %u partial, %u refused\n", results[0], results[PROBLEM_PARTIAL],
	       results[PROBLEM_INPUT] + results[PROBLEM_NO_TARGET] + results[PROBLEM_FEATURE]);
	return 0;
}
