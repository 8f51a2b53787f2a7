/* bars.h: an account as one line of characters whose lengths are its parts. */
#ifndef NEAP_LAB_BARS_H
#define NEAP_LAB_BARS_H

#include "lab/result.h"

enum {
	BAR_WIDEST = 80, /* cells */
};

/* How parts are told apart: always by the sign, by colour besides when `colour`. */
struct bar_style {
	bool colour;
	bool utf8; /* block elements; else ASCII */
};

/* For what goes to standard output: UTF-8 unless the locale in the environment says otherwise. */
struct bar_style bar_style_now(bool colour);

/* Divides `width` cells, which stand for `scale` bytes, among the parts: each is proportional within one cell,
 * and their sum is the sum of the parts in cells, rounded, at most `width`.
 */
void bar_cells(const struct neap_account *account, size_t scale, unsigned width, unsigned cells[PARTS]);

/* Appends the bar, padded to `width` columns. */
void bar_draw(struct text *text, const struct neap_account *account, size_t scale, unsigned width,
	      struct bar_style style);
/* Appends the sign of one part, as used in legends. */
void bar_sign(struct text *text, enum part part, struct bar_style style);

#endif
