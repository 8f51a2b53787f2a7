/* keys.h: what a function's result depends on, as one number.
 *
 * Two runs in which a function has the same key find the same in it and say the same of it. The key covers the analyser, its own
 * instructions with their lines, the rows and attributes that name it, the globals that it mentions, and the keys of the
 * functions that it calls; functions that call each other have one between them. A call through a pointer may lead to any
 * function of the program, so with one of those, the function's own or a callee's, the key covers the whole program.
 */
#ifndef NEAP_LINT_KEYS_H
#define NEAP_LINT_KEYS_H

#include "code.h"

/* Sets content_key of every function with a body. After rows are attached and the escape analysis is done. */
void lint_keys_compute(struct program *program);

#endif
