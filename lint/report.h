/* report.h: findings in order, without those that were answered already, as text, JSON and SARIF. */
#ifndef NEAP_LINT_REPORT_H
#define NEAP_LINT_REPORT_H

#include <stdio.h>

#include "code.h"
#include "findings.h"
#include "front.h"

/* Sorts by place. Call before the others. */
void lint_findings_sort(struct program *program, struct findings *findings);
/* Marks findings that a comment answers: "neap-lint: allow RULE: REASON" on the line or the line above. Comments
 * without a reason count for nothing and become notes.
 */
void lint_findings_suppress(struct program *program, struct findings *findings);

/* The reason of such a comment for `rule` on the line or the one above, in `region`: NULL when there is no comment, ""
 * when it has no reason. `ret_line` is where it stands.
 */
const char *lint_answer_at(struct program *program, struct region *region, uint32_t file, uint32_t line,
			   const char *rule, uint32_t *ret_line);

/* Marks findings that the file lists. 0, or -1 with `ret_error` set, to be freed. */
int lint_baseline_read(struct program *program, struct findings *findings, const char *path,
		       char **ret_error);
/* Writes all open findings, whole or not at all. */
int lint_baseline_write(struct program *program, const struct findings *findings, const char *path,
			char **ret_error);

static inline bool lint_is_open(const struct finding *finding)
{
	return finding->suppressed == NULL && !finding->in_baseline;
}

void lint_print_text(struct program *program, const struct findings *findings, FILE *out, bool colour);
void lint_print_json(struct program *program, const struct findings *findings, FILE *out, unsigned left_out);
/* Names the jobs that are not in the program, too. */
void lint_print_sarif(struct program *program, const struct findings *findings, const struct job_list *jobs,
		      FILE *out);

#endif
