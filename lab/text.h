/* text.h: text that grows, and JSON written into it. Running out of memory for either ends the program. */
#ifndef NEAP_LAB_TEXT_H
#define NEAP_LAB_TEXT_H

#include <stdbool.h>
#include <stddef.h>

/* `at` is NUL-terminated once anything was added, NULL before. */
struct text {
	char *at;
	size_t len, room;
};

void text_add(struct text *text, const char *bytes, size_t n);
void text_puts(struct text *text, const char *string);
void text_printf(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
void text_free(struct text *text);

/* `array` grown by one element of `size` bytes when `n` elements fill it: n is a power of two or 0. */
void *grow(void *array, size_t n, size_t size);

/* A JSON writer: commas and quoting are its business, nesting is the caller's. A `name` is the member's name
 * inside an object and NULL inside an array.
 */
struct json {
	struct text text;
	bool needs_comma;
};

void lab_json_open(struct json *json, const char *name, char bracket); /* '{' or '[' */
void lab_json_close(struct json *json, char bracket);		       /* '}' or ']' */
void lab_json_string(struct json *json, const char *name, const char *value);
/* Finite numbers as %.15g without a needless point; others as null. */
void lab_json_number(struct json *json, const char *name, double value);
void lab_json_bool(struct json *json, const char *name, bool value);

#endif
