/* text.h: writing text piece by piece, with one buffer and no allocation. */
#ifndef NEAP_SRC_OBSERVE_TEXT_H
#define NEAP_SRC_OBSERVE_TEXT_H

#include "neap/profile.h"

struct neap__text {
	neap_write_fn *write;
	void *ctx;
	int error; /* the first that `write` returned; nothing is written after it */
	size_t len;
	char buffer[4096];
};

/* Formats at most 511 bytes. */
__attribute__((format(printf, 2, 3))) void neap__text_put(struct neap__text *text, const char *format, ...);
/* A name in quotes. Quotes, backslashes and newlines are escaped as JSON and Prometheus both want it; other control
 * characters and bytes that are not UTF-8 become '?'.
 */
void neap__text_quote(struct neap__text *text, const char *name);
/* Hands over what is left; the error. */
int neap__text_end(struct neap__text *text);

/* Writes a line as the body of an answer that is no success: `status`, or 500 when `write` failed. */
int neap__answer_line(int status, const char *line, neap_write_fn *write, void *ctx);

/* /debug/why; `query` begins with its '?' or is empty. The status. */
int neap__why_request(const char *query, neap_write_fn *write, void *ctx);
/* The three texts that there are. */
void neap__metrics_text(struct neap__text *text);
void neap__maps_json(struct neap__text *text);
void neap__account_json(struct neap__text *text);

#endif
