/* text.c: see text.h. */
#include "lab/text.h"

#include <math.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	FIRST_ROOM = 256, /* bytes: most lines of evidence */
};

static void *must(void *block)
{
	if (block == NULL) {
		fprintf(stderr, "neap: out of memory for the report\n");
		exit(1);
	}
	return block;
}

void *grow(void *array, size_t n, size_t size)
{
	if ((n & (n - 1)) != 0)
		return array;
	return must(realloc(array, (n == 0 ? 1 : 2 * n) * size));
}

void text_add(struct text *text, const char *bytes, size_t n)
{
	if (text->len + n + 1 > text->room) {
		size_t room = text->room == 0 ? FIRST_ROOM : text->room;
		while (room < text->len + n + 1)
			room *= 2;
		text->at = must(realloc(text->at, room));
		text->room = room;
	}
	if (n != 0)
		memcpy(text->at + text->len, bytes, n);
	text->len += n;
	text->at[text->len] = '\0';
}

void text_puts(struct text *text, const char *string)
{
	text_add(text, string, strlen(string));
}

void text_printf(struct text *text, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	char *line;
	int n = vasprintf(&line, format, args);
	va_end(args);
	if (n < 0)
		must(NULL);
	text_add(text, line, (size_t)n);
	free(line);
}

void text_free(struct text *text)
{
	free(text->at);
	*text = (struct text){0};
}

/* The length of the well-formed UTF-8 sequence at `s`, or 0. */
static size_t utf8_length(const unsigned char *s)
{
	if (s[0] < 0x80)
		return 1;
	size_t n = s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;
	if (s[0] < 0xc2 || s[0] > 0xf4)
		return 0;
	for (size_t i = 1; i < n; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	/* Too long, surrogate, past the last code point. */
	if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) || (s[0] == 0xf0 && s[1] < 0x90) ||
	    (s[0] == 0xf4 && s[1] > 0x8f))
		return 0;
	return n;
}

static void add_quoted(struct text *text, const char *string)
{
	text_puts(text, "\"");
	for (const unsigned char *s = (const unsigned char *)string; *s != '\0';) {
		size_t n = utf8_length(s);
		if (*s == '"' || *s == '\\')
			text_printf(text, "\\%c", *s);
		else if (*s == '\n')
			text_puts(text, "\\n");
		else if (n == 0)
			text_puts(text, "\xef\xbf\xbd"); /* U+FFFD for a byte that is no UTF-8 */
		else if (*s < 0x20 || *s == 0x7f)
			text_printf(text, "\\u%04x", *s);
		else
			text_add(text, (const char *)s, n);
		s += n == 0 ? 1 : n;
	}
	text_puts(text, "\"");
}

static void begin_member(struct json *json, const char *name)
{
	if (json->needs_comma)
		text_puts(&json->text, ", ");
	json->needs_comma = true;
	if (name != NULL) {
		add_quoted(&json->text, name);
		text_puts(&json->text, ": ");
	}
}

void lab_json_open(struct json *json, const char *name, char bracket)
{
	begin_member(json, name);
	text_add(&json->text, &bracket, 1);
	json->needs_comma = false;
}

void lab_json_close(struct json *json, char bracket)
{
	text_add(&json->text, &bracket, 1);
	json->needs_comma = true;
}

void lab_json_string(struct json *json, const char *name, const char *value)
{
	begin_member(json, name);
	add_quoted(&json->text, value);
}

void lab_json_number(struct json *json, const char *name, double value)
{
	begin_member(json, name);
	if (isfinite(value))
		text_printf(&json->text, "%.15g", value);
	else
		text_puts(&json->text, "null");
}

void lab_json_bool(struct json *json, const char *name, bool value)
{
	begin_member(json, name);
	text_puts(&json->text, value ? "true" : "false");
}
