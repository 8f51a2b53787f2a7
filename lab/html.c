/* html.c: a result as one HTML page that needs nothing from elsewhere.
 *
 * The charts are drawn by uPlot, which is part of the page; all else is plain HTML and reads without scripts.
 * The page's own policy forbids it to load anything.
 */
#include <stdio.h>
#include <string.h>

#include "lab/asset.h"
#include "lab/result.h"

enum {
	CHART_BUCKETS = 800, /* two points each, the lowest and the highest: more than a screen has columns */
	LABEL_PERCENT = 6,   /* a part narrower than this share of the page has no room for a number */
};

static void add_escaped(struct text *html, const char *string)
{
	for (; *string != '\0'; string++) {
		switch (*string) {
		case '&': text_puts(html, "&amp;"); break;
		case '<': text_puts(html, "&lt;"); break;
		case '>': text_puts(html, "&gt;"); break;
		case '"': text_puts(html, "&quot;"); break;
		default: text_add(html, string, 1); break;
		}
	}
}

static void add_element(struct text *html, const char *open, const char *string, const char *close)
{
	text_puts(html, open);
	add_escaped(html, string);
	text_puts(html, close);
}

static void add_head(struct text *html, const struct result *result)
{
	text_puts(html, "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
			"<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
			"<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
			"script-src 'unsafe-inline'; style-src 'unsafe-inline'\">\n");
	add_element(html, "<title>neap: ", result->name, "</title>\n<style>");
	text_add(html, asset_uplot_css.bytes, asset_uplot_css.len);
	text_add(html, asset_report_css.bytes, asset_report_css.len);
	text_puts(html, "</style></head><body>\n");
}

static void add_bar(struct text *html, const struct bar *bar, size_t scale)
{
	add_element(html, "<div class=\"row\"><div class=\"name\">", bar->label, "</div><div class=\"bar\">");
	for (enum part part = 0; part < PARTS; part++) {
		size_t bytes = account_part(&bar->account, part);
		double percent = (double)bytes * 100 / (double)(scale + 1);
		bool roomy = percent >= LABEL_PERCENT;
		text_printf(html, "<span class=\"%s%s\" style=\"width:%.3f%%\" title=\"%s %s MB\">%s</span>",
			    part_names[part], roomy ? "" : " thin", percent, part_names[part],
			    megabytes((double)bytes), roomy ? megabytes((double)bytes) : "");
	}
	text_printf(html, "</div><div class=\"rss\">%s MB</div></div>\n",
		    megabytes((double)bar->account.rss));
}

static void add_bars(struct text *html, const struct result *result)
{
	static const char *const meaning[PARTS] = {
		"live: entries, and blocks in use", "tombstone: slots of deleted entries",
		"empty: slots without an entry", "free-held: freed, not returned to the system",
		"other: code, libraries, stacks, the maps' metadata"};
	size_t scale = 0;
	for (size_t i = 0; i < result->bars_n; i++)
		if (result->bars[i].account.rss > scale)
			scale = result->bars[i].account.rss;
	for (size_t i = 0; i < result->bars_n; i++)
		add_bar(html, &result->bars[i], scale);
	text_puts(html, "<div class=\"legend\">");
	for (enum part part = 0; part < PARTS; part++)
		text_printf(html, "<span><i class=\"%s\"></i>%s</span>", part_names[part], meaning[part]);
	text_puts(html, "</div>\n<div class=\"scroll\"><table><tr><th>MB</th>");
	for (enum part part = 0; part < PARTS; part++)
		text_printf(html, "<th>%s</th>", part_names[part]);
	text_puts(html, "<th>unexplained</th><th>RSS</th><th>entries</th></tr>\n");
	for (size_t i = 0; i < result->bars_n; i++) {
		const struct neap_account *account = &result->bars[i].account;
		add_element(html, "<tr><td>", result->bars[i].label, "</td>");
		for (enum part part = 0; part < PARTS; part++)
			text_printf(html, "<td>%.2f</td>", (double)account_part(account, part) / 1e6);
		text_printf(html, "<td>%.2f</td><td>%.2f</td><td>%s</td></tr>\n",
			    (double)account->unexplained / 1e6, (double)account->rss / 1e6,
			    thousands(account->objects));
	}
	text_puts(html, "</table></div>\n");
}

static void add_point(struct text *ms, struct text *mb, const struct rss_sample *sample)
{
	text_printf(ms, "%s%.2f", ms->len > 0 ? "," : "", (double)sample->at / 1e6);
	text_printf(mb, "%s%.3f", mb->len > 0 ? "," : "", (double)sample->bytes / 1e6);
}

/* Two samples stand for each bucket, its lowest and its highest, in the order of time. */
static void add_points(struct text *ms, struct text *mb, const struct rss_curve *curve)
{
	size_t buckets = curve->n < CHART_BUCKETS ? curve->n : CHART_BUCKETS;
	for (size_t bucket = 0; bucket < buckets; bucket++) {
		size_t from = bucket * curve->n / buckets, to = (bucket + 1) * curve->n / buckets;
		size_t low = from, high = from;
		for (size_t i = from; i < to; i++) {
			low = curve->samples[i].bytes < curve->samples[low].bytes ? i : low;
			high = curve->samples[i].bytes > curve->samples[high].bytes ? i : high;
		}
		add_point(ms, mb, &curve->samples[low < high ? low : high]);
		if (low != high)
			add_point(ms, mb, &curve->samples[low < high ? high : low]);
	}
}

static void add_curve_json(struct json *json, const struct rss_curve *curve)
{
	struct text ms = {0}, mb = {0};
	add_points(&ms, &mb, curve);
	lab_json_open(json, NULL, '{');
	lab_json_open(json, "ms", '[');
	text_puts(&json->text, ms.at != NULL ? ms.at : "");
	lab_json_close(json, ']');
	lab_json_open(json, "mb", '[');
	text_puts(&json->text, mb.at != NULL ? mb.at : "");
	lab_json_close(json, ']');
	lab_json_open(json, "marks", '[');
	for (size_t i = 0; i < curve->marks_n; i++) {
		lab_json_open(json, NULL, '{');
		lab_json_string(json, "label", curve->marks[i].label);
		lab_json_number(json, "ms", (double)curve->marks[i].at / 1e6);
		lab_json_close(json, '}');
	}
	lab_json_close(json, ']');
	lab_json_close(json, '}');
	text_free(&ms);
	text_free(&mb);
}

static void add_charts(struct text *html, const struct result *result)
{
	text_puts(html, "<h2>Resident memory over time</h2>\n");
	for (size_t i = 0; i < result->curves_n; i++) {
		const struct rss_curve *curve = result->curves[i].samples;
		struct rss_resolution got = rss_resolution_of(curve, 0, UINT64_MAX);
		add_element(html, "<div class=\"chart\"><h3>", result->curves[i].label, "</h3>");
		text_printf(html, "<div id=\"chart-%zu\"></div><div class=\"note\">", i);
		text_printf(
			html,
			"sampled every %.1f ms; reached p50 %.2f, p99 %.2f, worst %.2f ms; %zu of %zu late; "
			"statm off by at most %llu KB</div></div>\n",
			(double)RSS_PERIOD / 1e6, (double)got.p50 / 1e6, (double)got.p99 / 1e6,
			(double)got.worst / 1e6, got.late, got.samples,
			(unsigned long long)got.statm_off / 1024);
	}
	struct json json = {0};
	lab_json_open(&json, NULL, '[');
	for (size_t i = 0; i < result->curves_n; i++)
		add_curve_json(&json, result->curves[i].samples);
	lab_json_close(&json, ']');
	/* Labels are ours and hold no '<', which would be the one way out of a script element. */
	text_puts(html, "<noscript><p class=\"note\">The curves need JavaScript.</p></noscript>\n"
			"<script type=\"application/json\" id=\"curves\">");
	text_puts(html, json.text.at);
	text_puts(html, "</script>\n<script>");
	text_add(html, asset_uplot_js.bytes, asset_uplot_js.len);
	text_puts(html, "</script>\n<script>");
	text_add(html, asset_report_js.bytes, asset_report_js.len);
	text_puts(html, "</script>\n");
	text_free(&json.text);
}

static void add_checks(struct text *html, const struct result *result)
{
	enum verdict verdict = result_verdict(result);
	text_puts(html, "<h2>The claim, checked</h2>\n");
	if (result->headline != NULL)
		add_element(html, "<p>", result->claim, "</p>\n");
	add_element(html, "<p class=\"soft\">", result->method, "</p>\n<ul class=\"checks\">\n");
	for (size_t i = 0; i < result->checks_n; i++) {
		const char *word = result->checks[i].holds ? "holds" : "fails";
		text_printf(html, "<li><span class=\"%s\">%s</span> ", word, word);
		add_escaped(html, result->checks[i].sentence);
		text_puts(html, "</li>\n");
	}
	text_printf(html, "</ul>\n<p>Verdict: <span class=\"%s\">%s</span>", verdict_text(verdict),
		    verdict_text(verdict));
	if (result->skip_reason != NULL)
		add_element(html, ", ", result->skip_reason, "");
	text_puts(html, "</p>\n");
}

static void add_figures(struct text *html, const struct result *result)
{
	text_puts(html, "<details><summary>All figures</summary><div class=\"scroll\"><table>"
			"<tr><th>figure</th><th>value</th><th>unit</th></tr>\n");
	for (size_t i = 0; i < result->figures_n; i++) {
		add_element(html, "<tr><td>", result->figures[i].name, "</td>");
		text_printf(html, "<td>%.10g</td><td>%s</td></tr>\n", result->figures[i].value,
			    result->figures[i].unit);
	}
	text_puts(html, "</table></div></details>\n");
}

static void add_environment(const char *name, const char *value, void *ctx)
{
	add_element(ctx, "<tr><td>", name, "</td>");
	add_element(ctx, "<td>", value, "</td></tr>\n");
}

void result_html(const struct result *result, struct text *html)
{
	add_head(html, result);
	add_element(html, "<p class=\"soft\">neap ", result->name, "");
	if (result->title != NULL)
		add_element(html, " · ", result->title, "");
	add_element(html, "</p>\n<h1>", result->headline != NULL ? result->headline : result->claim,
		    "</h1>\n");
	if (result->bars_n > 0)
		add_bars(html, result);
	if (result->curves_n > 0)
		add_charts(html, result);
	add_checks(html, result);
	if (result->evidence.len > 0)
		add_element(html, "<h2>Evidence</h2>\n<pre>", result->evidence.at, "</pre>\n");
	if (result->figures_n > 0)
		add_figures(html, result);
	text_puts(html, "<h2>Measured on</h2>\n<div class=\"scroll\"><table>\n");
	environment_each(add_environment, html);
	text_puts(html, "</table></div>\n</body></html>\n");
}
