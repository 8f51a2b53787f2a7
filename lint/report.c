/* report.c: findings as text with the line of source, as JSON, and as SARIF 2.1.0 for editors. */
#include "report.h"

#include <jansson.h>
#include <string.h>

#include "neap/base.h"

/* A byte of UTF-8 that does not continue a character. */
static bool starts_character(char c)
{
	return ((unsigned char)c & 0xc0) != 0x80;
}

static void print_source(struct program *program, uint32_t file, uint32_t line, unsigned column, FILE *out)
{
	const char *text = lint_source_line(program, file, line);
	if (text == NULL)
		return;
	fprintf(out, "%6u | %s\n", line, text);
	if (column == 0)
		return;
	fprintf(out, "       | ");
	for (unsigned i = 1; i < column && text[i - 1] != '\0'; i++)
		if (starts_character(text[i - 1]))
			fputc(text[i - 1] == '\t' ? '\t' : ' ', out);
	fprintf(out, "^\n");
}

void lint_print_text(struct program *program, const struct findings *findings, FILE *out, bool colour)
{
	const char *bold = colour ? "\033[1m" : "", *red = colour ? "\033[31m" : "",
		   *plain = colour ? "\033[0m" : "";
	for (size_t i = 0; i < findings->n; i++) {
		const struct finding *finding = &findings->items[i];
		if (!lint_is_open(finding))
			continue;
		fprintf(out, "%s%s:%u:", bold, program->files[finding->file].path, finding->line);
		if (finding->column != 0)
			fprintf(out, "%u:", (unsigned)finding->column);
		fprintf(out, "%s %s%s%s [%s]\n", plain, red, finding->message, plain,
			lint_checks[finding->check].id);
		print_source(program, finding->file, finding->line, finding->column, out);
		if (finding->related != NULL)
			fprintf(out, "  %s:%u: %s\n", program->files[finding->related_file].path,
				finding->related_line, finding->related);
	}
}

void lint_print_json(struct program *program, const struct findings *findings, FILE *out, unsigned left_out)
{
	json_t *list = json_array(), *notes = json_array();
	for (size_t i = 0; i < findings->n; i++) {
		const struct finding *finding = &findings->items[i];
		json_t *item = json_pack("{s:s, s:s, s:i, s:i, s:s, s:s, s:i}", "rule",
					 lint_checks[finding->check].id, "file",
					 program->files[finding->file].path, "line", (int)finding->line,
					 "column", (int)finding->column, "function", finding->function,
					 "message", finding->message, "cwe", lint_checks[finding->check].cwe);
		if (finding->related != NULL)
			json_object_set_new(item, "related",
					    json_pack("{s:s, s:i, s:s}", "file",
						      program->files[finding->related_file].path, "line",
						      (int)finding->related_line, "text", finding->related));
		if (finding->suppressed != NULL)
			json_object_set_new(item, "allowed", json_string(finding->suppressed));
		if (finding->in_baseline)
			json_object_set_new(item, "in_baseline", json_true());
		json_array_append_new(list, item);
	}
	for (size_t i = 0; i < findings->n_notes; i++)
		json_array_append_new(notes, json_pack("{s:s, s:i, s:s}", "file",
						       program->files[findings->notes[i].file].path, "line",
						       (int)findings->notes[i].line, "text",
						       findings->notes[i].text));
	json_t *root = json_pack("{s:i, s:s, s:o, s:o, s:i}", "schema", 1, "command", "lint", "findings",
				 list, "notes", notes, "files_not_analysed", (int)left_out);
	json_dumpf(root, out, JSON_INDENT(1));
	fputc('\n', out);
	json_decref(root);
}

/* --- SARIF ---------------------------------------------------------------------------------------------------------- */

/* The path as part of a URI: what has a meaning there is written as %XX. In `region`. */
static const char *uri_text(struct region *region, const char *path)
{
	static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~/";
	char *text = lint_region_alloc(region, strlen(path) * 3 + 1), *out = text;
	for (; *path != '\0'; path++)
		if (strchr(plain, *path) != NULL)
			*out++ = *path;
		else
			out += snprintf(out, 4, "%%%02X", (unsigned)(unsigned char)*path);
	return text;
}

/* Columns are bytes to clang, and characters here, as the run says: the column of the byte that is `column`, from 1. */
static unsigned character_column(struct program *program, uint32_t file, uint32_t line, unsigned column)
{
	const char *text = lint_source_line(program, file, line);
	unsigned n = 0;
	for (unsigned i = 0; text != NULL && text[i] != '\0' && i + 1 < column; i++)
		n += !starts_character(text[i]);
	return column - n;
}

/* Relative paths stand on SOURCES, which the run names, so that an editor on another machine can put its own there. */
static json_t *sarif_place(struct program *program, uint32_t file, uint32_t line, unsigned column)
{
	json_t *region = json_pack("{s:i}", "startLine", (int)(line == 0 ? 1 : line));
	if (column != 0)
		json_object_set_new(region, "startColumn",
				    json_integer(character_column(program, file, line, column)));
	const char *path = program->files[file].path, *uri = uri_text(&program->region, path);
	json_t *artifact = path[0] == '/' ? json_pack("{s:o}", "uri", json_sprintf("file://%s", uri))
					  : json_pack("{s:s, s:s}", "uri", uri, "uriBaseId", "SOURCES");
	return json_pack("{s:{s:o, s:o}}", "physicalLocation", "artifactLocation", artifact, "region",
			 region);
}

static json_t *sarif_result(struct program *program, const struct finding *finding)
{
	json_t *result = json_pack("{s:s, s:i, s:s, s:{s:s}, s:[o]}", "ruleId",
				   lint_checks[finding->check].id, "ruleIndex", (int)finding->check, "level",
				   "warning", "message", "text", finding->message, "locations",
				   sarif_place(program, finding->file, finding->line, finding->column));
	if (finding->related != NULL) {
		json_t *place = sarif_place(program, finding->related_file, finding->related_line, 0);
		json_object_set_new(place, "message", json_pack("{s:s}", "text", finding->related));
		json_object_set_new(result, "relatedLocations", json_pack("[o]", place));
	}
	if (finding->suppressed != NULL)
		json_object_set_new(
			result, "suppressions",
			json_pack("[{s:s, s:s}]", "kind", "inSource", "justification", finding->suppressed));
	else if (finding->in_baseline)
		json_object_set_new(result, "suppressions", json_pack("[{s:s}]", "kind", "external"));
	return result;
}

/* A file that is not in the program. */
static json_t *sarif_left_out(struct program *program, const struct job *job)
{
	uint32_t file = lint_file_named(program, job->directory, job->file);
	return json_pack("{s:s, s:{s:s}, s:[o]}", "level", "error", "message", "text",
			 job->state == JOB_CPLUSPLUS ? "C++ is not analysed"
						     : "does not compile, so nothing is known of it",
			 "locations", sarif_place(program, file, 1, 0));
}

void lint_print_sarif(struct program *program, const struct findings *findings, const struct job_list *jobs,
		      FILE *out)
{
	bool whole = true;
	json_t *rules = json_array(), *results = json_array(), *notes = json_array();
	for (int i = 0; i < CHECK_COUNT; i++) {
		const struct check *check = &lint_checks[i];
		json_t *rule = json_pack("{s:s, s:{s:s}, s:{s:s}}", "id", check->id, "shortDescription",
					 "text", check->title, "fullDescription", "text", check->why);
		if (check->cwe != 0)
			json_object_set_new(rule, "properties",
					    json_pack("{s:[o]}", "tags",
						      json_sprintf("external/cwe/cwe-%d", check->cwe)));
		json_array_append_new(rules, rule);
	}
	for (size_t i = 0; i < findings->n; i++)
		json_array_append_new(results, sarif_result(program, &findings->items[i]));
	for (size_t i = 0; i < findings->n_notes; i++)
		json_array_append_new(notes, json_pack("{s:s, s:{s:s}, s:[o]}", "level", "note", "message",
						       "text", findings->notes[i].text, "locations",
						       sarif_place(program, findings->notes[i].file,
								   findings->notes[i].line, 0)));
	for (size_t i = 0; i < jobs->n; i++)
		if (jobs->jobs[i].state != JOB_LOADED) {
			json_array_append_new(notes, sarif_left_out(program, &jobs->jobs[i]));
			whole = false;
		}
	const char *folder = program->folder != NULL ? uri_text(&program->region, program->folder) : "";
	json_t *run = json_pack("{s:{s:{s:s, s:s, s:o}}, s:s, s:{s:{s:o}}, s:o, s:[{s:b, s:o}]}", "tool",
				"driver", "name", "neap lint", "version", neap_version(), "rules", rules,
				"columnKind", "unicodeCodePoints", "originalUriBaseIds", "SOURCES", "uri",
				json_sprintf("file://%s/", folder), "results", results, "invocations",
				"executionSuccessful", whole, "toolExecutionNotifications", notes);
	json_t *root =
		json_pack("{s:s, s:s, s:[o]}", "$schema", "https://json.schemastore.org/sarif-2.1.0.json",
			  "version", "2.1.0", "runs", run);
	json_dumpf(root, out, JSON_INDENT(1));
	fputc('\n', out);
	json_decref(root);
}
