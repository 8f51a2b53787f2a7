/* findings.h: what the checks say. */
#ifndef NEAP_LINT_FINDINGS_H
#define NEAP_LINT_FINDINGS_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "storage.h"

/* A rule. The identifier is what suppressions, baselines and SARIF name. */
struct check {
	const char *id, *title, *why;
	int cwe;     /* number in the Common Weakness Enumeration, 0 when there is none */
	bool states; /* found by following states along paths, as opposed to by looking at one place */
};

enum check_id {
	CHECK_USE_AFTER_FREE,
	CHECK_USE_AFTER_DELETE,
	CHECK_USE_AFTER_CLEAR,
	CHECK_KEPT_ACROSS_CHANGE,
	CHECK_USE_AFTER_PUT,
	CHECK_USE_AFTER_RETURN,
	CHECK_DOUBLE_FREE,
	CHECK_DOUBLE_PUT,
	CHECK_BAD_FREE,
	CHECK_MISMATCHED_RELEASE,
	CHECK_DANGLING_STACK,
	CHECK_NULL_DEREFERENCE,
	CHECK_UNCHECKED_ALLOCATION,
	CHECK_LATE_NULL_TEST,
	CHECK_LEAK,
	CHECK_ITERATOR_AFTER_CHANGE,
	CHECK_PUT_WITHOUT_RESET,
	CHECK_MISSING_BARRIER,
	CHECK_UNLOCKED_SHARING,
	CHECK_CONTRACT_BROKEN,
	CHECK_BANNED_FUNCTION,
	CHECK_COUNT
};

extern const struct check lint_checks[CHECK_COUNT];

struct finding {
	enum check_id check;
	uint32_t file, line;
	uint16_t column;
	const char *message;
	const char *function;
	uint32_t related_file, related_line; /* 0: none */
	const char *related;
	bool in_call;		/* the related place is the mistake itself, in a function that was called */
	const char *suppressed; /* the reason in the source, or NULL */
	bool in_baseline;
};

/* A part of the program of which less is known than it seems. */
struct note {
	uint32_t file, line;
	const char *text;
};

struct findings {
	struct finding *items;
	struct note *notes;
	size_t n, capacity, n_notes, cap_notes;
	struct region region;
};

/* Adds a finding unless the same rule has spoken at the same place. */
struct finding *lint_finding_add(struct findings *findings, enum check_id check, uint32_t file, uint32_t line,
				 uint16_t column, const char *format, ...)
	__attribute__((format(printf, 6, 7)));
void lint_note_add(struct findings *findings, uint32_t file, uint32_t line, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
/* Takes out what is told of the same mistake at a call and, by itself, where it is made. After the last root. */
void lint_findings_fold(struct findings *findings);
void lint_findings_clear(struct findings *findings);

#endif
