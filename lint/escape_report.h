/* escape_report.h: what `neap escape` prints. */
#ifndef NEAP_LINT_ESCAPE_REPORT_H
#define NEAP_LINT_ESCAPE_REPORT_H

#include <jansson.h>
#include <stdio.h>

#include "escape.h"

enum escape_detail {
	DETAIL_GRADES,	  /* stack objects that dangle or may */
	DETAIL_DECISIONS, /* -m: every decision */
	DETAIL_CHAINS	  /* -m=2: and how it came about */
};

struct escape_report {
	struct program *program;
	enum escape_detail detail;
	FILE *out;	   /* text, or NULL */
	json_t *functions; /* JSON array, or NULL */
	unsigned dangling, may_dangle, info, gave_up;
};

/* Prints or collects the decisions about one function; an escape_fn whose ctx is a struct escape_report. */
void lint_escape_report(const struct escape *escape, void *ctx);

#endif
