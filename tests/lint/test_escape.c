/* test_escape.c: the decisions of `neap escape -m` against the expectations in the fixtures.
 *
 * usage: test_escape NEAP INCLUDE-FOLDER FIXTURE...
 *
 * A line of a fixture ends in   // want "decision" "decision"   when decisions are due on it. Both directions
 * count: a decision that is wanted and missing, and one that is printed and not wanted.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINES_MAX = 1000, WANTS_MAX = 8, EXPECTATIONS_MIN = 300 };

struct line {
	char *wants[WANTS_MAX];
	bool met[WANTS_MAX];
	int n;
};

static unsigned expectations, failures;

static void read_wants(const char *path, struct line *lines)
{
	FILE *in = fopen(path, "r");
	if (in == NULL) {
		fprintf(stderr, "cannot read %s\n", path);
		exit(2);
	}
	char *text = NULL;
	size_t size = 0;
	for (int number = 1; getline(&text, &size, in) > 0 && number < LINES_MAX; number++) {
		char *at = strstr(text, "// want ");
		while (at != NULL && (at = strchr(at, '"')) != NULL) {
			char *end = strchr(at + 1, '"');
			struct line *line = &lines[number];
			if (end == NULL || line->n == WANTS_MAX) {
				fprintf(stderr, "%s:%d: malformed expectation\n", path, number);
				exit(2);
			}
			line->wants[line->n++] = strndup(at + 1, (size_t)(end - at - 1));
			expectations++;
			at = end + 1;
		}
	}
	free(text);
	fclose(in);
}

static void check_decision(const char *path, struct line *lines, long number, const char *decision)
{
	if (number < 1 || number >= LINES_MAX)
		return;
	struct line *line = &lines[number];
	for (int i = 0; i < line->n; i++)
		if (!line->met[i] && strcmp(line->wants[i], decision) == 0) {
			line->met[i] = true;
			return;
		}
	fprintf(stderr, "%s:%ld: not wanted: %s\n", path, number, decision);
	failures++;
}

/* "PATH:LINE:[COLUMN:] DECISION"; PATH may be relative to here. */
static void check_output(const char *path, struct line *lines, char *output)
{
	const char *slash = strrchr(path, '/'), *name = slash != NULL ? slash + 1 : path;
	size_t prefix = strcspn(output, ":"), len = strlen(name);
	output[strcspn(output, "\n")] = '\0';
	if (prefix < len || strncmp(output + prefix - len, name, len) != 0) {
		fprintf(stderr, "%s: strange line of output: %s\n", path, output);
		failures++;
		return;
	}
	char *at;
	long number = strtol(output + prefix + 1, &at, 10);
	char *decision = strstr(at, ": ");
	if (decision != NULL)
		check_decision(path, lines, number, decision + 2);
}

static void check_fixture(const char *neap, const char *include, const char *path)
{
	static struct line lines[LINES_MAX];
	memset(lines, 0, sizeof lines);
	read_wants(path, lines);
	char command[4096];
	snprintf(command, sizeof command, "'%s' escape -m '%s' '-I%s'", neap, path, include);
	FILE *run = popen(command, "r");
	char *output = NULL;
	size_t size = 0;
	while (run != NULL && getline(&output, &size, run) > 0)
		check_output(path, lines, output);
	free(output);
	int status = run != NULL ? pclose(run) : -1;
	if (status != 0 && status != 1 << 8) {
		fprintf(stderr, "%s: neap escape ended with status %d\n", path, status);
		failures++;
	}
	for (int number = 1; number < LINES_MAX; number++)
		for (int i = 0; i < lines[number].n; i++) {
			if (!lines[number].met[i]) {
				fprintf(stderr, "%s:%d: missing: %s\n", path, number, lines[number].wants[i]);
				failures++;
			}
			free(lines[number].wants[i]);
		}
}

int main(int argc, char **argv)
{
	if (argc < 4) {
		fprintf(stderr, "usage: test_escape NEAP INCLUDE-FOLDER FIXTURE...\n");
		return 2;
	}
	for (int i = 3; i < argc; i++)
		check_fixture(argv[1], argv[2], argv[i]);
	printf("%u expectations, %u failures\n", expectations, failures);
	if (expectations < EXPECTATIONS_MIN) {
		fprintf(stderr, "only %u expectations; %d are owed\n", expectations, EXPECTATIONS_MIN);
		return 1;
	}
	return failures > 0;
}
