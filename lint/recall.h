/* recall.h: what earlier runs found in functions that have not changed.
 *
 * A text file in the cache folder, one for each set of files that is analysed together, named by their paths:
 *
 *     function KEY                       see keys.h
 *     effects WORDS                      its summary: effects.h
 *     exits                              it was found never to return
 *     finding RULE FILE LINE COLUMN ...  tabs between the fields
 *     note FILE LINE TEXT
 *
 * Only entries of the last run are kept. A file that cannot be read, or makes no sense, is as good as none.
 */
#ifndef NEAP_LINT_RECALL_H
#define NEAP_LINT_RECALL_H

#include "code.h"
#include "findings.h"

struct recall;

/* NULL when `folder` is: then the other functions do nothing. */
struct recall *lint_recall_open(const char *folder, struct program *program);
/* What is known of the function: sets its summary, and adds what was found in it to `ret`. False: nothing. */
bool lint_recall_get(struct recall *recall, struct function *function, struct findings *ret);
/* Keeps what this run found in it. */
void lint_recall_put(struct recall *recall, const struct function *function, const struct findings *found);
/* Writes the file when something is new, and ends it. */
void lint_recall_close(struct recall *recall);

#endif
