/* watch_keep.c: saving a process that is about to run out of memory: cheap things first, for it may be gone soon. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "command.h"
#include "lab/atomic_file.h"
#include "lab/result.h"
#include "watch.h"

#ifdef NEAP_HAVE_INSPECT
#	include "look.h"
#	include "snapshot.h"
#endif

static bool write_kept(const char *path, const struct text *text)
{
	int reason = atomic_file_write(path, text->at != NULL ? text->at : "", text->len);
	if (reason == 0)
		return true;
	fprintf(stderr, "neap watch: %s: %s\n", path, strerror(reason));
	return false;
}

static void add_proc_file(struct text *text, pid_t pid, const char *name)
{
	char path[64], line[512];
	snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
	text_printf(text, "== %s\n", path);
	FILE *file = fopen(path, "re");
	while (file != NULL && fgets(line, sizeof line, file) != NULL)
		text_puts(text, line);
	if (file != NULL)
		fclose(file);
	else
		text_printf(text, "%s\n", strerror(errno));
}

static bool save_text(const char *base, pid_t pid)
{
	char path[320];
	struct text text = {0};
	add_proc_file(&text, pid, "status");
	add_proc_file(&text, pid, "smaps_rollup");
	add_proc_file(&text, pid, "maps");
	snprintf(path, sizeof path, "%s.txt", base);
	bool written = write_kept(path, &text);
	text_free(&text);
	return written;
}

static bool save_profile(const char *base, const struct endpoint *endpoint)
{
	char path[320], error[ENDPOINT_ERROR];
	struct text profile = {0};
	snprintf(path, sizeof path, "%s.pb.gz", base);
	bool written = false;
	if (profile_take(endpoint, "/debug/pprof/heap", 0, &profile, error) != EXIT_CLEAN)
		fprintf(stderr, "neap watch: no profile: %s\n", error);
	else if ((written = write_kept(path, &profile)))
		printf("    profile  -> %s (%zu bytes)\n", path, profile.len);
	text_free(&profile);
	return written;
}

/* The maps of a Go program or of one linked with Neap, read from outside; of one that may not be read what it says itself.
 * Other programs have none: no failure. One that can't be looked at, or whose Go is not known, is.
 */
static bool save_snapshot(const char *base, pid_t pid, const struct endpoint *endpoint)
{
#ifdef NEAP_HAVE_INSPECT
	char path[320], name[16];
	struct problem problem = {0};
	struct inspection_wish wish = {0};
	struct look look;
	snprintf(name, sizeof name, "%d", (int)pid);
	snprintf(path, sizeof path, "%s.snap", base);
	if (look_make(name, &wish, &look, &problem) != 0 &&
	    (endpoint->address[0] == '\0' ||
	     snapshot_ask(endpoint, &look.snapshot, &(struct problem){0}) != 0)) {
		if (problem.kind != PROBLEM_INPUT)
			fprintf(stderr, "neap watch: no snapshot: %s\n", problem.text);
		return problem.kind == PROBLEM_INPUT;
	}
	const struct snapshot *snapshot = look_snapshot(&look);
	uint64_t reclaimable = 0;
	for (uint64_t i = 0; i < snapshot->header->map_count; i++)
		reclaimable += snapshot_reclaimable(&snapshot->maps[i]);
	bool written = snapshot_write(snapshot, path, &problem) == 0;
	if (written)
		printf("    snapshot -> %s: %zu maps, %s MB would come back\n", path,
		       (size_t)snapshot->header->map_count, megabytes((double)reclaimable));
	else
		fprintf(stderr, "neap watch: %s\n", problem.text);
	look_free(&look);
	return written;
#else
	(void)base, (void)pid, (void)endpoint;
	return true;
#endif
}

static void remove_saved(const struct saved *saved)
{
	static const char *const endings[] = {"txt", "pb.gz", "snap"};
	char path[320];
	for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++) {
		snprintf(path, sizeof path, "%s.%s", saved->base, endings[i]);
		unlink(path);
	}
}

static void drop_least(struct keepsakes *kept)
{
	unsigned least = 0;
	for (unsigned i = 1; i < kept->n; i++)
		if (kept->saved[i].bytes < kept->saved[least].bytes)
			least = i;
	remove_saved(&kept->saved[least]);
	kept->saved[least] = kept->saved[--kept->n];
}

/* Two triggers never share a name, also when the clock was set back between them. */
static void name_saved(struct saved *saved, const char *folder, const char *program, pid_t pid)
{
	char when[32], path[320];
	struct timespec now;
	struct tm local;
	clock_gettime(CLOCK_REALTIME, &now);
	localtime_r(&now.tv_sec, &local);
	strftime(when, sizeof when, "%Y%m%d-%H%M%S", &local);
	for (unsigned n = (unsigned)(now.tv_nsec / 1000000);; n++) {
		snprintf(saved->base, sizeof saved->base, "%.200s/%s.%d.%s.%03u", folder, program, (int)pid,
			 when, n);
		snprintf(path, sizeof path, "%s.txt", saved->base);
		if (access(path, F_OK) != 0)
			return;
	}
}

bool keep_trigger(struct keepsakes *kept, pid_t pid, const struct process_memory *memory,
		  const struct endpoint *endpoint)
{
	struct saved *saved = &kept->saved[kept->n];
	char name[16];
	for (size_t i = 0; i < sizeof name; i++) /* a process may call itself anything */
		name[i] = memory->name[i] == '/' || (unsigned char)memory->name[i] <= 0x20
				  ? (memory->name[i] ? '_' : '\0')
				  : memory->name[i];
	name_saved(saved, kept->folder, name, pid);
	saved->bytes = memory->anonymous + memory->swap;
	bool whole = save_text(saved->base, pid);
	if (endpoint->address[0] != '\0')
		whole &= save_profile(saved->base, endpoint);
	whole &= save_snapshot(saved->base, pid, endpoint);
	printf("    saved    -> %s.*\n", saved->base);
	if (++kept->n > kept->keep)
		drop_least(kept);
	return whole;
}
