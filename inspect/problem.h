/* problem.h: why an inspection could not be made, in words for the person who asked. */
#ifndef NEAP_INSPECT_PROBLEM_H
#define NEAP_INSPECT_PROBLEM_H

#include <stddef.h>

/* The kinds have the numbers of the tool's exit codes (tool/command.h). */
enum problem_kind {
	PROBLEM_INPUT = 2,     /* a file that is not what it says, a program that is not Go */
	PROBLEM_NO_TARGET = 3, /* no such process or file, or no permission */
	PROBLEM_PARTIAL = 4,   /* the target went away or could only be read in part */
	PROBLEM_FEATURE = 5,   /* a version, a layout or a machine that is not supported */
};

struct problem {
	enum problem_kind kind; /* 0 while nothing is wrong */
	char text[600];		/* one or two sentences: what, and what to do next */
};

/* Records the problem and returns -1, so that a caller can `return problem_set(...)`. The first one stays. */
int problem_set(struct problem *problem, enum problem_kind kind, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Memory for the inspector itself: `count` zeroed elements, never NULL (running out ends the program). */
void *take(size_t count, size_t size);

/* A copy of `text`, never NULL. */
char *take_text(const char *text);

/* Makes room for one element more in a growing array: returns `array` or its new place. `*capacity` counts
   elements. The caller adds the element and counts it. */
void *make_room(void *array, size_t count, size_t *capacity, size_t size);

#endif
