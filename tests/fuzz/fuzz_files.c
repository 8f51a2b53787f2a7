/* fuzz_files.c: the inspector against files that lie: snapshots, core files, executables.
 *
 * usage: fuzz_files snapshot|core|program FILE SEED ROUNDS [PID]
 *
 * Each round damages a copy of a good file in a few places (bits, words, lengths that are huge, the end cut off), reads
 * it, prints everything that is in it to /dev/null and repairs the copy. A damaged snapshot gets a right checksum, so
 * that the checks behind it are reached, a stream too. A damaged program is read as the executable of process PID. A round that hangs
 * is killed; one that crashes fails by itself.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "export.h"
#include "look.h"
#include "why.h"

enum { ROUND_SECONDS = 60, CHANGES_MAX = 24, HEAD = 4096 };

struct change {
	off_t at;
	uint64_t before;
};

static uint64_t state;

/* xorshift64*: the same seed gives the same round again */
static uint64_t draw(void)
{
	state ^= state >> 12;
	state ^= state << 25;
	state ^= state >> 27;
	return state * 0x2545F4914F6CDD1Dull;
}

static void fail(const char *what)
{
	fprintf(stderr, "fuzz_files: %s: %s\n", what, strerror(errno));
	exit(3);
}

static uint64_t damaged(uint64_t word)
{
	switch (draw() % 6) {
	case 0: return word ^ 1ull << draw() % 64;
	case 1: return word + draw() % 64 - 32;
	case 2: return draw() % 256;
	case 3: return UINT64_MAX - draw() % 16;
	case 4: return word << 32 | word >> 32;
	default: return draw();
	}
}

/* Half of the places lie where the headers are: at the beginning, or at the end, where sections and strings are. */
static off_t place(off_t size)
{
	uint64_t room = (uint64_t)size - 8, head = room < HEAD ? room : HEAD;
	switch (draw() % 4) {
	case 0: return (off_t)(draw() % head & ~7ull);
	case 1: return (off_t)(draw() % head);
	case 2: return (off_t)(room - draw() % head);
	default: return (off_t)(draw() % room);
	}
}

static unsigned damage(int file, off_t size, struct change *changes)
{
	unsigned count = 1 + (unsigned)(draw() % CHANGES_MAX);
	for (unsigned i = 0; i < count; i++) {
		changes[i].at = place(size);
		if (pread(file, &changes[i].before, 8, changes[i].at) != 8)
			fail("read");
		uint64_t word = damaged(changes[i].before);
		if (pwrite(file, &word, 8, changes[i].at) != 8)
			fail("write");
	}
	return count;
}

static void repair(int file, const struct change *changes, unsigned count)
{
	while (count-- > 0)
		if (pwrite(file, &changes[count].before, 8, changes[count].at) != 8)
			fail("write");
}

/* Everything that can be made of a look, to nowhere. */
static void use(struct look *look, FILE *nowhere)
{
	const struct render_options options = {.stale = true, .ghosts = true, .show_keys = true, .all = true};
	const struct snapshot *snapshot = look_snapshot(look);
	if (look->inspection != NULL) {
		render_inspection(nowhere, look->inspection, &options);
		json_inspection(nowhere, look->inspection);
		export_heapsnapshot(nowhere, look->inspection);
	}
	snapshot_render(nowhere, snapshot, &options);
	snapshot_json(nowhere, snapshot);
	for (uint64_t i = 0; i < snapshot->header->object_rows; i += 1 + snapshot->header->object_rows / 50) {
		struct why why = {0};
		why_object(snapshot, snapshot->objects[i].address, &why);
		why_free(&why);
	}
	for (uint64_t i = 0; i < snapshot->header->map_count && i < 50; i++)
		snapshot_render_map(nowhere, snapshot, &snapshot->maps[i]);
	export_report(nowhere, snapshot, snapshot);
}

/* The snapshot as bytes in memory, with a right checksum when its header allows one to be made. */
static bool read_snapshot(int file, size_t size, FILE *nowhere)
{
	struct problem problem = {0};
	struct look look = {0};
	char *bytes = calloc(1, size + sizeof(struct snapshot_header));
	if (bytes == NULL || pread(file, bytes, size, 0) < 0)
		fail("read");
	struct snapshot_header *header = (void *)bytes;
	if (size >= 32 && memcmp(bytes, SNAPSHOT_STREAM_MAGIC, 8) == 0) {
		const uint64_t sum = snapshot_stream_checksum(bytes, size);
		memcpy(bytes + size - sizeof sum, &sum, sizeof sum);
	} else if (size >= sizeof *header && header->file_size == size)
		header->checksum = snapshot_checksum(header);
	look.snapshot = snapshot_accept(bytes, size, "damaged", &problem);
	if (look.snapshot != NULL)
		use(&look, nowhere);
	bool good = look.snapshot != NULL;
	look_free(&look);
	return good;
}

static bool read_target(const char *name, const char *program, FILE *nowhere)
{
	struct problem problem = {0};
	struct look look;
	const struct inspection_wish wish = {.program = program, .every_type = true, .retained = true};
	if (look_make(name, &wish, &look, &problem) != 0)
		return false;
	use(&look, nowhere);
	look_free(&look);
	return true;
}

static int copy(const char *path, off_t *size)
{
	struct stat status;
	int from = open(path, O_RDONLY | O_CLOEXEC), to = memfd_create("damaged", 0);
	if (from < 0 || to < 0 || fstat(from, &status) != 0)
		fail(path);
	char block[1 << 16];
	for (ssize_t got = read(from, block, sizeof block); got > 0; got = read(from, block, sizeof block))
		if (write(to, block, (size_t)got) != got)
			fail("memory file");
	close(from);
	*size = status.st_size;
	return to;
}

int main(int argc, char **argv)
{
	if (argc < 5 || (strcmp(argv[1], "program") == 0) != (argc == 6)) {
		fprintf(stderr, "usage: fuzz_files snapshot|core|program FILE SEED ROUNDS [PID]\n");
		return 2;
	}
	off_t size;
	int file = copy(argv[2], &size);
	char path[64];
	snprintf(path, sizeof path, "/proc/self/fd/%d", file);
	FILE *nowhere = fopen("/dev/null", "we");
	uint64_t seed = strtoull(argv[3], NULL, 10), rounds = strtoull(argv[4], NULL, 10), read = 0;
	for (uint64_t round = 0; round < rounds; round++) {
		struct change changes[CHANGES_MAX];
		state = (seed + round) * 0x9E3779B97F4A7C15ull | 1;
		alarm(ROUND_SECONDS);
		fprintf(stderr, "\rround %" PRIu64 " of seed %" PRIu64 " ", round, seed);
		unsigned count = damage(file, size, changes);
		if (argv[1][0] == 's')
			read += read_snapshot(
				file, draw() % 8 == 0 ? draw() % (uint64_t)size : (uint64_t)size, nowhere);
		else if (argv[1][0] == 'c')
			read += read_target(path, NULL, nowhere);
		else
			read += read_target(argv[5], path, nowhere);
		repair(file, changes, count);
	}
	printf("\n%s: %" PRIu64 " of %" PRIu64 " damaged files could be read\n", argv[1], read, rounds);
	return 0;
}
