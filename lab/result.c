/* result.c: building a result. show.c, result_json.c and html.c show it. */
#include "lab/result.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	RING = 8,	/* strings that format helpers keep alive at once */
	RING_TEXT = 32, /* bytes of each: 2^64 with commas is 26 */
};

const char *const part_names[PARTS] = {"live", "tombstone", "empty", "free-held", "other"};

static char *format_copy(const char *format, va_list args)
{
	char *copy = NULL;
	if (vasprintf(&copy, format, args) < 0) {
		fprintf(stderr, "neap: out of memory for the report\n");
		exit(1);
	}
	return copy;
}

void result_say(struct result *result, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	char *line = format_copy(format, args);
	va_end(args);
	text_puts(&result->evidence, line);
	text_puts(&result->evidence, "\n");
	free(line);
}

void result_check(struct result *result, bool holds, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	result->checks = grow(result->checks, result->checks_n, sizeof *result->checks);
	result->checks[result->checks_n++] = (struct check){holds, format_copy(format, args)};
	va_end(args);
}

void result_skip(struct result *result, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	free(result->skip_reason);
	result->skip_reason = format_copy(format, args);
	va_end(args);
}

void result_figure(struct result *result, double value, const char *unit, const char *name_format, ...)
{
	va_list args;
	va_start(args, name_format);
	result->figures = grow(result->figures, result->figures_n, sizeof *result->figures);
	result->figures[result->figures_n++] = (struct figure){format_copy(name_format, args), value, unit};
	va_end(args);
}

void result_bar(struct result *result, const struct neap_account *account, const char *label_format, ...)
{
	va_list args;
	va_start(args, label_format);
	result->bars = grow(result->bars, result->bars_n, sizeof *result->bars);
	result->bars[result->bars_n++] = (struct bar){format_copy(label_format, args), *account};
	va_end(args);
}

void result_curve(struct result *result, const struct rss_curve *samples, const char *label)
{
	result->curves = grow(result->curves, result->curves_n, sizeof *result->curves);
	result->curves[result->curves_n++] = (struct curve){strdup(label), samples};
}

void result_headline(struct result *result, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	free(result->headline);
	result->headline = format_copy(format, args);
	va_end(args);
}

void result_title(struct result *result, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	free(result->title);
	result->title = format_copy(format, args);
	va_end(args);
}

void result_free(struct result *result)
{
	for (size_t i = 0; i < result->checks_n; i++)
		free(result->checks[i].sentence);
	for (size_t i = 0; i < result->figures_n; i++)
		free(result->figures[i].name);
	for (size_t i = 0; i < result->bars_n; i++)
		free(result->bars[i].label);
	for (size_t i = 0; i < result->curves_n; i++)
		free(result->curves[i].label);
	free(result->checks);
	free(result->figures);
	free(result->bars);
	free(result->curves);
	free(result->title);
	free(result->headline);
	free(result->skip_reason);
	text_free(&result->evidence);
	*result = (struct result){0};
}

enum verdict result_verdict(const struct result *result)
{
	if (result->skip_reason != NULL)
		return VERDICT_SKIPPED;
	for (size_t i = 0; i < result->checks_n; i++)
		if (!result->checks[i].holds)
			return VERDICT_FAILS;
	return result->checks_n > 0 ? VERDICT_HOLDS : VERDICT_FAILS;
}

const char *verdict_text(enum verdict verdict)
{
	switch (verdict) {
	case VERDICT_HOLDS: return "holds";
	case VERDICT_FAILS: return "fails";
	case VERDICT_SKIPPED: return "skipped";
	}
	return "fails";
}

size_t account_part(const struct neap_account *account, enum part part)
{
	switch (part) {
	case PART_LIVE: return account->live;
	case PART_TOMBSTONE: return account->tombstone;
	case PART_EMPTY: return account->empty;
	case PART_FREE_HELD: return account->free_held;
	case PART_OTHER: return account->other;
	case PARTS: break;
	}
	return 0;
}

static char *ring(void)
{
	static char texts[RING][RING_TEXT];
	static unsigned next;
	return texts[next++ % RING];
}

const char *megabytes(double bytes)
{
	char *text = ring();
	double rounded = bytes > -50000 && bytes < 0 ? 0 : bytes; /* no "-0.0" */
	snprintf(text, RING_TEXT, "%.1f", rounded / 1e6);
	return text;
}

const char *thousands(uint64_t number)
{
	char digits[RING_TEXT], *text = ring(), *to = text;
	int n = snprintf(digits, sizeof digits, "%llu", (unsigned long long)number);
	for (int i = 0; i < n; i++) {
		if (i > 0 && (n - i) % 3 == 0)
			*to++ = ',';
		*to++ = digits[i];
	}
	*to = '\0';
	return text;
}

const char *duration(double ns)
{
	char *text = ring();
	if (ns < 1e3)
		snprintf(text, RING_TEXT, "%.0f ns", ns);
	else if (ns < 1e6)
		snprintf(text, RING_TEXT, "%.1f us", ns / 1e3);
	else if (ns < 1e9)
		snprintf(text, RING_TEXT, "%.1f ms", ns / 1e6);
	else
		snprintf(text, RING_TEXT, "%.1f s", ns / 1e9);
	return text;
}
