/* bars.c: see bars.h.
 *
 * The ends of the parts are rounded, not their lengths, so that rounding never adds up and two bars of the same
 * scale can be compared by eye:
 *
 *     end[i] = round((part[0] + ... + part[i]) * width / scale),   cells[i] = end[i] - end[i - 1]
 */
#include "lab/bars.h"

#include <stdlib.h>
#include <string.h>

struct bar_style bar_style_now(bool colour)
{
	const char *locale = NULL;
	const char *const names[] = {"LC_ALL", "LC_CTYPE", "LANG"};
	for (size_t i = 0; i < 3 && (locale == NULL || *locale == '\0'); i++)
		locale = getenv(names[i]);
	bool plain = locale != NULL && (strcmp(locale, "C") == 0 || strcmp(locale, "POSIX") == 0);
	return (struct bar_style){.colour = colour, .utf8 = !plain};
}

void bar_cells(const struct neap_account *account, size_t scale, unsigned width, unsigned cells[PARTS])
{
	double sum = 0;
	unsigned end = 0;
	for (enum part part = 0; part < PARTS; part++) {
		sum += (double)account_part(account, part);
		double exact = scale == 0 ? 0 : sum * width / (double)scale;
		unsigned next = exact >= width ? width : (unsigned)(exact + 0.5);
		cells[part] = next - end;
		end = next;
	}
}

/* 256-colour codes that read on black and on white, and for the colour-blind: green, red, yellow, blue, grey. */
static const char *const colours[PARTS] = {"\033[38;5;35m", "\033[38;5;167m", "\033[38;5;178m",
					   "\033[38;5;68m", "\033[38;5;245m"};
static const char *const blocks[PARTS] = {"\xe2\x96\x88" /* full block */, "\xe2\x96\x92" /* medium shade */,
					  "\xe2\x96\x91" /* light shade */,
					  "\xe2\x96\x9e" /* two quadrants */, "\xc2\xb7" /* middle dot */};
static const char *const letters[PARTS] = {"#", "x", ".", "~", ":"};

void bar_sign(struct text *text, enum part part, struct bar_style style)
{
	if (style.colour)
		text_puts(text, colours[part]);
	text_puts(text, style.utf8 ? blocks[part] : letters[part]);
	if (style.colour)
		text_puts(text, "\033[0m");
}

void bar_draw(struct text *text, const struct neap_account *account, size_t scale, unsigned width,
	      struct bar_style style)
{
	unsigned cells[PARTS], used = 0;
	bar_cells(account, scale, width, cells);
	for (enum part part = 0; part < PARTS; part++) {
		if (cells[part] == 0)
			continue;
		if (style.colour)
			text_puts(text, colours[part]);
		for (unsigned i = 0; i < cells[part]; i++)
			text_puts(text, style.utf8 ? blocks[part] : letters[part]);
		used += cells[part];
	}
	if (style.colour)
		text_puts(text, "\033[0m");
	text_printf(text, "%*s", (int)(width - used), "");
}
