/* problem.c: see problem.h. */
#include "problem.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int problem_set(struct problem *problem, enum problem_kind kind, const char *format, ...)
{
	if (problem->kind != 0)
		return -1;
	problem->kind = kind;
	va_list args;
	va_start(args, format);
	vsnprintf(problem->text, sizeof problem->text, format, args);
	va_end(args);
	return -1;
}

static void *must(void *memory)
{
	if (memory == NULL) {
		fprintf(stderr, "neap: out of memory\n");
		exit(PROBLEM_PARTIAL);
	}
	return memory;
}

void *take(size_t count, size_t size)
{
	return must(calloc(count == 0 ? 1 : count, size));
}

char *take_text(const char *text)
{
	return must(strdup(text));
}

void *make_room(void *array, size_t count, size_t *capacity, size_t size)
{
	if (count < *capacity)
		return array;
	*capacity = *capacity == 0 ? 16 : *capacity * 2;
	if (*capacity > SIZE_MAX / size)
		return must(NULL);
	return must(realloc(array, *capacity * size));
}
