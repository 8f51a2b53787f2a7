/* text.c: see text.h. */
#include "observe/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void text_flush(struct neap__text *text)
{
	if (text->error == 0 && text->len > 0)
		text->error = text->write(text->ctx, text->buffer, text->len);
	text->len = 0;
}

static void text_bytes(struct neap__text *text, const char *bytes, size_t size)
{
	if (size > sizeof text->buffer - text->len)
		text_flush(text);
	memcpy(text->buffer + text->len, bytes, size);
	text->len += size;
}

void neap__text_put(struct neap__text *text, const char *format, ...)
{
	char piece[512];
	va_list arguments;
	va_start(arguments, format);
	int len = vsnprintf(piece, sizeof piece, format, arguments);
	va_end(arguments);
	if (len > 0)
		text_bytes(text, piece, (size_t)len < sizeof piece ? (size_t)len : sizeof piece - 1);
}

/* Bytes of the UTF-8 sequence that begins here, 0: none does (RFC 3629). */
static size_t utf8_length(const unsigned char *at)
{
	size_t len = at[0] < 0x80   ? 1
		     : at[0] < 0xc2 ? 0
		     : at[0] < 0xe0 ? 2
		     : at[0] < 0xf0 ? 3
		     : at[0] < 0xf5 ? 4
				    : 0;
	for (size_t i = 1; i < len; i++)
		if ((at[i] & 0xc0) != 0x80)
			return 0;
	bool too_long = (at[0] == 0xe0 && at[1] < 0xa0) || (at[0] == 0xf0 && at[1] < 0x90);
	bool outside = (at[0] == 0xed && at[1] >= 0xa0) || (at[0] == 0xf4 && at[1] >= 0x90);
	return too_long || outside ? 0 : len;
}

void neap__text_quote(struct neap__text *text, const char *name)
{
	text_bytes(text, "\"", 1);
	while (*name != '\0') {
		size_t len = utf8_length((const unsigned char *)name);
		if (*name == '\n')
			text_bytes(text, "\\n", 2);
		else if (*name == '"' || *name == '\\')
			neap__text_put(text, "\\%c", *name);
		else if (len == 0 || (unsigned char)*name < 0x20 || *name == 0x7f)
			text_bytes(text, "?", 1);
		else
			text_bytes(text, name, len);
		name += len > 0 ? len : 1;
	}
	text_bytes(text, "\"", 1);
}

int neap__text_end(struct neap__text *text)
{
	text_flush(text);
	return text->error;
}

int neap__answer_line(int status, const char *line, neap_write_fn *write, void *ctx)
{
	return write(ctx, line, strlen(line)) == 0 ? status : 500;
}
