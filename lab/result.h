/* result.h: what an experiment found, and the ways to show it: text, JSON, HTML.
 *
 * A result is a claim, the checks that decide it, and the evidence. The verdict is computed, never set: it
 * holds when at least one check was made and all of them hold.
 */
#ifndef NEAP_LAB_RESULT_H
#define NEAP_LAB_RESULT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lab/rss.h"
#include "lab/text.h"
#include "neap/observe.h"

enum verdict { VERDICT_HOLDS, VERDICT_FAILS, VERDICT_SKIPPED };

struct figure {
	char *name; /* snake_case, unique in the result */
	double value;
	const char *unit; /* "bytes", "ns", "s", "count", "ratio"; static */
};

struct check {
	bool holds;
	char *sentence; /* with the measured values in it */
};

/* One moment of one process: a bar whose parts add up to its RSS. */
struct bar {
	char *label;
	struct neap_account account;
};

/* RSS over time. The samples belong to the caller and outlive the result. */
struct curve {
	char *label;
	const struct rss_curve *samples;
};

struct result {
	const char *name, *claim, *method; /* static */
	char *title;			   /* what it ran on: "200,000 keys, seed 1" */
	char *headline;			   /* one sentence for the top of the report; NULL: the claim */
	char *skip_reason;		   /* set: skipped */
	double seconds;
	struct text evidence; /* lines of at most 80 columns */
	struct check *checks;
	size_t checks_n;
	struct figure *figures;
	size_t figures_n;
	struct bar *bars;
	size_t bars_n;
	struct curve *curves;
	size_t curves_n;
};

/* Builders. Strings are copied. */
void result_say(struct result *result, const char *format, ...) __attribute__((format(printf, 2, 3)));
void result_check(struct result *result, bool holds, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
void result_skip(struct result *result, const char *format, ...) __attribute__((format(printf, 2, 3)));
void result_figure(struct result *result, double value, const char *unit, const char *name_format, ...)
	__attribute__((format(printf, 4, 5)));
void result_bar(struct result *result, const struct neap_account *account, const char *label_format, ...)
	__attribute__((format(printf, 3, 4)));
void result_curve(struct result *result, const struct rss_curve *samples, const char *label);
void result_headline(struct result *result, const char *format, ...) __attribute__((format(printf, 2, 3)));
void result_title(struct result *result, const char *format, ...) __attribute__((format(printf, 2, 3)));
void result_free(struct result *result);

enum verdict result_verdict(const struct result *result);
const char *verdict_text(enum verdict verdict);

/* Shows. */
void result_print(const struct result *result, bool colour);
void result_json(const struct result *result, struct json *json);
/* A page that needs nothing from elsewhere. */
void result_html(const struct result *result, struct text *html);

/* The machine, for JSON and HTML: calls `each` with name and value. */
void environment_each(void (*each)(const char *name, const char *value, void *ctx), void *ctx);

/* The five parts of an account, in the order in which they are drawn. */
enum part { PART_LIVE, PART_TOMBSTONE, PART_EMPTY, PART_FREE_HELD, PART_OTHER, PARTS };
extern const char *const part_names[PARTS];
size_t account_part(const struct neap_account *account, enum part part);

/* "68.5" of bytes in MB (10^6); "1,234,567". Static storage, eight calls deep. */
const char *megabytes(double bytes);
const char *thousands(uint64_t number);
/* "850 ns", "12.3 us", "4.5 ms", "1.2 s". Static storage likewise. */
const char *duration(double ns);

#endif
