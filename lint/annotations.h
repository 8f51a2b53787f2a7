/* annotations.h: ownership as headers state it: NEAP_GIVES, NEAP_FREES, NEAP_TAKEN, NEAP_LENT of neap/safe.h.
 *
 * The compiler drops annotations of functions that are only declared, so they are read from the text: of every file
 * that the compiler read and that is no system header. What is looked for is a declaration with one of the four words:
 *
 *     NEAP_GIVES(close_it) struct it *open_it(NEAP_LENT const char *name, NEAP_TAKEN struct box *box);
 *     NEAP_FREES(1) void close_it(struct it *it);
 *
 * The result is the caller's, to be released by close_it; name is kept by nobody; box is the callee's from now on, and so
 * is what NEAP_FREES counts from 1.
 */
#ifndef NEAP_LINT_ANNOTATIONS_H
#define NEAP_LINT_ANNOTATIONS_H

#include "code.h"

/* Reads one file, unless it was read before. A file that cannot be read has no annotations. */
void lint_annotations_read(struct program *program, const char *path);
/* To the functions that were named: as `known` when nothing better is known and there is no body, else as `promised`,
 * which lint_check_contract() holds against the body. After the rows of tables.
 */
void lint_annotations_attach(struct program *program);

#endif
