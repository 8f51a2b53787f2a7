/* answers.c: findings that somebody has answered: in a comment, with a reason, or in a baseline file.
 *
 * A baseline names a finding by rule, file, function and the text of its line, not by its number, so that it
 * survives edits elsewhere in the file.
 */
#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "report.h"

static const char marker[] = "neap-lint: allow ";

static int compare_findings(const void *a, const void *b, void *ctx)
{
	const struct program *program = ctx;
	const struct finding *x = a, *y = b;
	int by_file = strcmp(program->files[x->file].path, program->files[y->file].path);
	if (by_file != 0)
		return by_file;
	if (x->line != y->line)
		return x->line < y->line ? -1 : 1;
	return x->check < y->check ? -1 : x->check > y->check;
}

void lint_findings_sort(struct program *program, struct findings *findings)
{
	if (findings->n > 1)
		qsort_r(findings->items, findings->n, sizeof *findings->items, compare_findings, program);
}

/* The reason after "neap-lint: allow RULE:" in the line, "" when there is none, NULL when the rule is not named. */
static const char *reason_in(struct region *region, const char *line, const char *rule)
{
	const char *at = line != NULL ? strstr(line, marker) : NULL;
	if (at == NULL)
		return NULL;
	at += strlen(marker);
	size_t len = strlen(rule);
	if (strncmp(at, rule, len) != 0 || (at[len] != ':' && at[len] != ' ' && at[len] != '\0'))
		return NULL;
	at += len;
	while (*at == ':' || *at == ' ')
		at++;
	const char *end = strstr(at, "*/");
	size_t n = end != NULL ? (size_t)(end - at) : strlen(at);
	while (n > 0 && isspace((unsigned char)at[n - 1]))
		n--;
	return lint_region_text(region, at, n);
}

const char *lint_answer_at(struct program *program, struct region *region, uint32_t file, uint32_t line,
			   const char *rule, uint32_t *ret_line)
{
	for (uint32_t back = 0; back < 2 && line > back; back++) {
		const char *reason = reason_in(region, lint_source_line(program, file, line - back), rule);
		*ret_line = line - back;
		if (reason != NULL)
			return reason;
	}
	return NULL;
}

void lint_findings_suppress(struct program *program, struct findings *findings)
{
	for (size_t i = 0; i < findings->n; i++) {
		struct finding *finding = &findings->items[i];
		const char *rule = lint_checks[finding->check].id;
		uint32_t line;
		const char *reason =
			lint_answer_at(program, &findings->region, finding->file, finding->line, rule, &line);
		if (reason != NULL && reason[0] != '\0')
			finding->suppressed = reason;
		else if (reason != NULL)
			lint_note_add(findings, finding->file, line,
				      "this comment allows %s without a reason, so it counts for nothing",
				      rule);
	}
}

/* --- The baseline ------------------------------------------------------------------------------------------------ */

static char *baseline_line(struct program *program, struct region *region, const struct finding *finding)
{
	const char *text = lint_source_line(program, finding->file, finding->line);
	uint64_t hash = LINT_HASH_START;
	for (; text != NULL && *text != '\0'; text++)
		if (!isspace((unsigned char)*text))
			hash = lint_hash(hash, text, 1);
	return lint_region_format(region, "%s %s %s %016" PRIx64, lint_checks[finding->check].id,
				  program->files[finding->file].path, finding->function, hash);
}

static char *baseline_error(const char *what, const char *path)
{
	char *error = lint_calloc(1, strlen(path) + 64);
	snprintf(error, strlen(path) + 64, "cannot %s the baseline '%s'", what, path);
	return error;
}

int lint_baseline_read(struct program *program, struct findings *findings, const char *path, char **ret_error)
{
	FILE *in = fopen(path, "re");
	if (in == NULL) {
		*ret_error = baseline_error("read", path);
		return -1;
	}
	char *line = NULL;
	size_t size = 0;
	while (getline(&line, &size, in) > 0) {
		line[strcspn(line, "\n")] = '\0';
		for (size_t i = 0; i < findings->n; i++)
			if (strcmp(line, baseline_line(program, &findings->region, &findings->items[i])) == 0)
				findings->items[i].in_baseline = true;
	}
	free(line);
	fclose(in);
	return 0;
}

int lint_baseline_write(struct program *program, const struct findings *findings, const char *path,
			char **ret_error)
{
	struct region region = {0};
	char *temporary = lint_region_format(&region, "%s.%ld", path, (long)getpid());
	FILE *out = fopen(temporary, "we");
	bool good = out != NULL;
	for (size_t i = 0; good && i < findings->n; i++)
		if (findings->items[i].suppressed == NULL)
			good = fprintf(out, "%s\n", baseline_line(program, &region, &findings->items[i])) > 0;
	good = out != NULL && fclose(out) == 0 && good && rename(temporary, path) == 0;
	if (!good) {
		unlink(temporary);
		*ret_error = baseline_error("write", path);
	}
	lint_region_clear(&region);
	return good ? 0 : -1;
}
