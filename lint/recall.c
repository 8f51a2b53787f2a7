/* recall.c: what earlier runs found in functions that have not changed: see recall.h. */
#include "recall.h"

#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "effects.h"

struct entry {
	uint64_t key;
	char *text; /* the lines after "function", ended by a NUL */
};

struct recall {
	struct program *program;
	char path[PATH_MAX];
	char *old; /* the whole file as it was */
	struct entry *entries;
	size_t n_entries, cap_entries;
	FILE *out; /* what the file will be */
	char *new_text;
	size_t new_size;
	bool changed;
};

static char *read_old(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat info;
	char *text = NULL;
	if (fd >= 0 && fstat(fd, &info) == 0 && S_ISREG(info.st_mode)) {
		text = lint_calloc((size_t)info.st_size + 1, 1);
		ssize_t n = read(fd, text, (size_t)info.st_size);
		text[n > 0 ? n : 0] = '\0';
	}
	if (fd >= 0)
		close(fd);
	return text;
}

static int compare_keys(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;
	return x->key < y->key ? -1 : x->key > y->key;
}

static void index_entries(struct recall *recall)
{
	static const char head[] = "function ";
	for (char *at = recall->old; at != NULL && strncmp(at, head, sizeof head - 1) == 0;) {
		char *end;
		uint64_t key = strtoull(at + sizeof head - 1, &end, 16);
		if (*end != '\n')
			return;
		char *next = strstr(end, "\nfunction ");
		recall->entries = lint_grow(recall->entries, &recall->cap_entries, recall->n_entries + 1,
					    sizeof *recall->entries);
		recall->entries[recall->n_entries++] = (struct entry){key, end + 1};
		if (next != NULL && next > end)
			*next++ = '\0';
		else if (next == end) { /* an entry without a line */
			recall->entries[recall->n_entries - 1].text = end;
			*next++ = '\0';
		}
		at = next;
	}
	if (recall->n_entries > 1)
		qsort(recall->entries, recall->n_entries, sizeof *recall->entries, compare_keys);
}

struct recall *lint_recall_open(const char *folder, struct program *program)
{
	if (folder == NULL)
		return NULL;
	struct recall *recall = lint_calloc(1, sizeof *recall);
	recall->program = program;
	uint64_t hash = LINT_HASH_START;
	for (size_t i = 0; i < program->n_units; i++)
		hash = lint_hash(hash, program->units[i].path, strlen(program->units[i].path) + 1);
	if (program->folder != NULL)
		hash = lint_hash(hash, program->folder, strlen(program->folder));
	snprintf(recall->path, sizeof recall->path, "%s/%016" PRIx64 ".found", folder, hash);
	recall->old = read_old(recall->path);
	index_entries(recall);
	recall->out = open_memstream(&recall->new_text, &recall->new_size);
	return recall;
}

/* --- Reading ------------------------------------------------------------------------------------------------- */

static uint32_t file_of(struct recall *recall, const char *path)
{
	return lint_file_named(recall->program, NULL, path);
}

static uint32_t number(const char *text)
{
	return (uint32_t)strtoul(text, NULL, 10);
}

static int check_named(const char *id)
{
	for (int i = 0; i < CHECK_COUNT; i++)
		if (strcmp(lint_checks[i].id, id) == 0)
			return i;
	return -1;
}

/* "RULE FILE LINE COLUMN FUNCTION IN-CALL RELATED-FILE RELATED-LINE RELATED MESSAGE", tabs in between. */
enum { FINDING_FIELDS = 10 };

static bool read_finding(struct recall *recall, char *line, struct findings *ret)
{
	char *field[FINDING_FIELDS];
	for (int i = 0; i < FINDING_FIELDS; i++)
		if ((field[i] = strsep(&line, "\t")) == NULL)
			return false;
	int check = check_named(field[0]);
	if (check < 0 || line != NULL)
		return false;
	struct finding *finding =
		lint_finding_add(ret, (enum check_id)check, file_of(recall, field[1]), number(field[2]),
				 (uint16_t)number(field[3]), "%s", field[9]);
	if (finding == NULL)
		return true;
	finding->function = lint_region_text(&ret->region, field[4], strlen(field[4]));
	finding->in_call = field[5][0] == '1';
	if (field[8][0] != '\0') {
		finding->related_file = file_of(recall, field[6]);
		finding->related_line = number(field[7]);
		finding->related = lint_region_text(&ret->region, field[8], strlen(field[8]));
	}
	return true;
}

static bool read_note(struct recall *recall, char *line, struct findings *ret)
{
	char *file = strsep(&line, "\t"), *at = strsep(&line, "\t");
	if (at == NULL || line == NULL)
		return false;
	lint_note_add(ret, file_of(recall, file), number(at), "%s", line);
	return true;
}

static bool read_line(struct recall *recall, char *line, struct function *function, struct effects *effects,
		      struct findings *ret)
{
	const char *word = strsep(&line, " ");
	if (strcmp(word, "exits") == 0)
		return function->no_return = true;
	if (line == NULL)
		return word[0] == '\0';
	if (strcmp(word, "steps") == 0)
		return (function->steps = number(line)) > 0;
	if (strcmp(word, "effects") == 0)
		return lint_effects_parse(&recall->program->region, line, effects) == NULL;
	if (strcmp(word, "finding") == 0)
		return read_finding(recall, line, ret);
	return strcmp(word, "note") == 0 && read_note(recall, line, ret);
}

bool lint_recall_get(struct recall *recall, struct function *function, struct findings *ret)
{
	const struct entry wanted = {.key = function->content_key};
	const struct entry *entry =
		recall == NULL || recall->n_entries == 0
			? NULL
			: bsearch(&wanted, recall->entries, recall->n_entries, sizeof wanted, compare_keys);
	if (entry == NULL)
		return false;
	struct effects effects;
	lint_effects_init(&effects, function->name);
	char *copy = lint_region_text(&ret->region, entry->text, strlen(entry->text));
	bool exits = function->no_return, good = true;
	for (char *line; good && (line = strsep(&copy, "\n")) != NULL;)
		good = read_line(recall, line, function, &effects, ret);
	if (!good) { /* damaged: as if it were not there */
		function->no_return = exits;
		ret->n = ret->n_notes = 0;
		return false;
	}
	effects.n_args = function->summary->n_args;
	effects.exits = function->summary->exits;
	*function->summary = effects;
	return true;
}

/* --- Writing ------------------------------------------------------------------------------------------------- */

/* Words that cannot be read back would make the entry worthless; a family with a very long name does. */
static bool write_effects(FILE *out, const struct effects *effects)
{
	struct region region = {0};
	struct effects again;
	lint_effects_init(&again, effects->name);
	const char *words = lint_effects_text(&region, effects);
	bool good = lint_effects_parse(&region, words, &again) == NULL &&
		    strcmp(words, lint_effects_text(&region, &again)) == 0;
	if (good)
		fprintf(out, "effects %s\n", words);
	lint_region_clear(&region);
	return good;
}

static const char *path_of(const struct recall *recall, uint32_t file)
{
	return recall->program->files[file].path;
}

void lint_recall_put(struct recall *recall, const struct function *function, const struct findings *found)
{
	if (recall == NULL || recall->out == NULL)
		return;
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);
	if (out == NULL)
		return;
	bool good = write_effects(out, function->summary);
	fprintf(out, "steps %u\n", function->steps);
	if (function->no_return)
		fprintf(out, "exits\n");
	for (size_t i = 0; i < found->n; i++) {
		const struct finding *f = &found->items[i];
		bool related = f->related != NULL;
		fprintf(out, "finding %s\t%s\t%u\t%u\t%s\t%d\t%s\t%u\t%s\t%s\n", lint_checks[f->check].id,
			path_of(recall, f->file), f->line, (unsigned)f->column, f->function, f->in_call,
			related ? path_of(recall, f->related_file) : "", related ? f->related_line : 0,
			related ? f->related : "", f->message);
	}
	for (size_t i = 0; i < found->n_notes; i++)
		fprintf(out, "note %s\t%u\t%s\n", path_of(recall, found->notes[i].file), found->notes[i].line,
			found->notes[i].text);
	fclose(out);
	if (good && text != NULL)
		fprintf(recall->out, "function %016" PRIx64 "\n%s", function->content_key, text);
	recall->changed = true;
	free(text);
}

/* An entry that was used goes into the new file as it is. */
static void keep_used(struct recall *recall)
{
	for (uint32_t i = 0; i < recall->program->n_bottom_up; i++) {
		const struct function *function = &recall->program->functions[recall->program->bottom_up[i]];
		const struct entry wanted = {.key = function->content_key};
		const struct entry *entry = recall->n_entries == 0
						    ? NULL
						    : bsearch(&wanted, recall->entries, recall->n_entries,
							      sizeof wanted, compare_keys);
		if (entry != NULL && function->recalled)
			fprintf(recall->out, "function %016" PRIx64 "\n%s%s", entry->key, entry->text,
				entry->text[0] != '\0' && entry->text[strlen(entry->text) - 1] != '\n' ? "\n"
												       : "");
	}
}

void lint_recall_close(struct recall *recall)
{
	if (recall == NULL)
		return;
	if (recall->out != NULL && recall->changed)
		keep_used(recall);
	bool whole = recall->out != NULL && fclose(recall->out) == 0 && recall->changed;
	char temporary[PATH_MAX + 32];
	snprintf(temporary, sizeof temporary, "%s.%ld", recall->path, (long)getpid());
	FILE *file = whole ? fopen(temporary, "we") : NULL;
	if (file != NULL) {
		bool good = fwrite(recall->new_text, 1, recall->new_size, file) == recall->new_size;
		good = fclose(file) == 0 && good;
		if (!good || rename(temporary, recall->path) != 0)
			unlink(temporary);
	} else if (!recall->changed) { /* used now: see lint_cache_trim */
		utimensat(AT_FDCWD, recall->path, NULL, 0);
	}
	free(recall->new_text);
	free(recall->entries);
	free(recall->old);
	free(recall);
}
