/* show.c: a result as text in 80 columns, and as JSON. */
#include <stdio.h>
#include <string.h>

#include "lab/bars.h"
#include "lab/result.h"

enum {
	WIDTH = 80,
	LABEL = 10,	/* columns of "  method  " */
	BAR_LABEL = 26, /* columns before a bar */
	BAR_WIDTH = 42,
	SCHEMA = 1, /* of the JSON: raised when a member changes its meaning or goes */
};

/* Adds `string` wrapped at spaces to WIDTH, behind `label` and then under its end. */
static void add_wrapped(struct text *text, const char *label, const char *string)
{
	int column = LABEL;
	text_printf(text, "  %-*s", LABEL - 2, label);
	for (const char *word = string; *word != '\0';) {
		int n = (int)strcspn(word, " ");
		if (column > LABEL && column + 1 + n > WIDTH) {
			text_printf(text, "\n%*s", LABEL, "");
			column = LABEL;
		}
		bool first = column == LABEL;
		text_printf(text, "%s%.*s", first ? "" : " ", n, word);
		column += n + !first;
		word += n;
		while (*word == ' ')
			word++;
	}
	text_puts(text, "\n");
}

static void add_legend(struct text *text, struct bar_style style)
{
	text_puts(text, "  ");
	for (enum part part = 0; part < PARTS; part++) {
		bar_sign(text, part, style);
		text_printf(text, " %s   ", part_names[part]);
	}
	text_puts(text, "in MB, to scale\n");
}

static void add_bars(struct text *text, const struct result *result, struct bar_style style)
{
	size_t scale = 0;
	for (size_t i = 0; i < result->bars_n; i++)
		if (result->bars[i].account.rss > scale)
			scale = result->bars[i].account.rss;
	for (size_t i = 0; i < result->bars_n; i++) {
		text_printf(text, "  %-*.*s", BAR_LABEL, BAR_LABEL - 1, result->bars[i].label);
		bar_draw(text, &result->bars[i].account, scale, BAR_WIDTH, style);
		text_printf(text, " %7s\n", megabytes((double)result->bars[i].account.rss));
	}
	if (result->bars_n > 0) {
		add_legend(text, style);
		text_puts(text, "\n");
	}
}

static const char *verdict_colour(enum verdict verdict)
{
	return verdict == VERDICT_HOLDS ? "\033[32m" : verdict == VERDICT_FAILS ? "\033[31m" : "\033[33m";
}

void result_print(const struct result *result, bool colour)
{
	struct text text = {0};
	enum verdict verdict = result_verdict(result);
	text_printf(&text, "%s%s%s%s%s\n", colour ? "\033[1m" : "", result->name, colour ? "\033[0m" : "",
		    result->title != NULL ? " - " : "", result->title != NULL ? result->title : "");
	add_wrapped(&text, "claim", result->claim);
	add_wrapped(&text, "method", result->method);
	text_puts(&text, "\n");
	if (result->evidence.len > 0)
		text_printf(&text, "%s\n", result->evidence.at);
	add_bars(&text, result, bar_style_now(colour));
	size_t held = 0;
	for (size_t i = 0; i < result->checks_n; i++) {
		held += result->checks[i].holds;
		add_wrapped(&text, result->checks[i].holds ? "holds" : "FAILS", result->checks[i].sentence);
	}
	if (result->skip_reason != NULL)
		add_wrapped(&text, "skip", result->skip_reason);
	text_printf(&text, "%s%s%s%s: %zu of %zu checks hold, %.1f s\n", result->checks_n > 0 ? "\n" : "",
		    colour ? verdict_colour(verdict) : "", verdict_text(verdict), colour ? "\033[0m" : "",
		    held, result->checks_n, result->seconds);
	fwrite(text.at, 1, text.len, stdout);
	text_free(&text);
}

static void json_environment(const char *name, const char *value, void *ctx)
{
	lab_json_string(ctx, name, value);
}

static void json_account(struct json *json, const struct bar *bar)
{
	const struct neap_account *account = &bar->account;
	lab_json_open(json, NULL, '{');
	lab_json_string(json, "label", bar->label);
	lab_json_number(json, "rss", (double)account->rss);
	for (enum part part = 0; part < PARTS; part++)
		lab_json_number(json, part == PART_FREE_HELD ? "free_held" : part_names[part],
				(double)account_part(account, part));
	lab_json_number(json, "unexplained", (double)account->unexplained);
	lab_json_number(json, "metadata", (double)account->metadata);
	lab_json_number(json, "malloc_live", (double)account->malloc_live);
	lab_json_number(json, "malloc_held", (double)account->malloc_held);
	lab_json_number(json, "objects", (double)account->objects);
	lab_json_number(json, "spans", (double)account->spans);
	lab_json_close(json, '}');
}

static void json_lines(struct json *json, const char *name, const struct text *lines)
{
	lab_json_open(json, name, '[');
	for (const char *line = lines->at; line != NULL && *line != '\0';) {
		size_t n = strcspn(line, "\n");
		struct text copy = {0};
		text_add(&copy, line, n);
		lab_json_string(json, NULL, copy.at);
		text_free(&copy);
		line += n + (line[n] == '\n');
	}
	lab_json_close(json, ']');
}

void result_json(const struct result *result, struct json *json)
{
	lab_json_open(json, NULL, '{');
	lab_json_number(json, "schema", SCHEMA);
	lab_json_string(json, "name", result->name);
	lab_json_string(json, "claim", result->claim);
	lab_json_string(json, "method", result->method);
	if (result->title != NULL)
		lab_json_string(json, "title", result->title);
	lab_json_string(json, "verdict", verdict_text(result_verdict(result)));
	if (result->skip_reason != NULL)
		lab_json_string(json, "reason", result->skip_reason);
	lab_json_number(json, "seconds", result->seconds);
	lab_json_open(json, "checks", '[');
	for (size_t i = 0; i < result->checks_n; i++) {
		lab_json_open(json, NULL, '{');
		lab_json_bool(json, "holds", result->checks[i].holds);
		lab_json_string(json, "sentence", result->checks[i].sentence);
		lab_json_close(json, '}');
	}
	lab_json_close(json, ']');
	lab_json_open(json, "figures", '{');
	for (size_t i = 0; i < result->figures_n; i++) {
		lab_json_open(json, result->figures[i].name, '{');
		lab_json_number(json, "value", result->figures[i].value);
		lab_json_string(json, "unit", result->figures[i].unit);
		lab_json_close(json, '}');
	}
	lab_json_close(json, '}');
	lab_json_open(json, "accounts", '[');
	for (size_t i = 0; i < result->bars_n; i++)
		json_account(json, &result->bars[i]);
	lab_json_close(json, ']');
	json_lines(json, "evidence", &result->evidence);
	lab_json_open(json, "environment", '{');
	environment_each(json_environment, json);
	lab_json_close(json, '}');
	lab_json_close(json, '}');
}
