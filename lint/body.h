/* body.h: what a body says about itself, without the compiler's help. */
#ifndef NEAP_LINT_BODY_H
#define NEAP_LINT_BODY_H

#include "code.h"

/* Completes the body that the decoder filled in: the order of its blocks, loop heads, irreducible loops, which local
 * shadows which parameter, which integers carry a pointer.
 */
void lint_body_finish(struct program *program, const struct function *function, struct body *body);

#endif
