/* test_checks.c: the labelled pairs: what share of the bad functions is found, and of the good ones accused.
 *
 * usage: test_checks NEAP INCLUDE-FOLDER FIXTURE...
 *
 * Above each function of a fixture stands   // bad RULE: reason   or   // good RULE: reason . A bad function counts as
 * found when that rule names it; a good one is falsely accused when any rule does. A fixture NAME.c may have
 * NAME.api beside it.
 */
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The figures that are owed. */
enum { PAIRS_MIN = 60, FOUND_MIN_PERCENT = 100, ACCUSED_MAX_PERCENT = 0 };

static unsigned n_bad, n_found, n_good, n_accused;

static json_t *run_neap(const char *neap, const char *include, const char *path)
{
	char command[4096], api[1024] = "";
	snprintf(api, sizeof api, "%.*s.api", (int)strlen(path) - 2, path);
	snprintf(command, sizeof command, "'%s' lint --json '-I%s' %s%s%s '%s'", neap, include,
		 access(api, R_OK) == 0 ? "--api '" : "", access(api, R_OK) == 0 ? api : "",
		 access(api, R_OK) == 0 ? "'" : "", path);
	FILE *run = popen(command, "r");
	json_error_t error;
	json_t *result = run != NULL ? json_loadf(run, 0, &error) : NULL;
	int status = run != NULL ? pclose(run) : -1;
	if (result == NULL || (status != 0 && status != 1 << 8)) {
		fprintf(stderr, "%s: no result (status %d)\n", path, status);
		exit(1);
	}
	return result;
}

/* A rule that names the function; any rule when `rule` is NULL. */
static const char *accuses(const json_t *result, const char *function, const char *rule)
{
	const json_t *findings = json_object_get(result, "findings");
	for (size_t i = 0; i < json_array_size(findings); i++) {
		const json_t *finding = json_array_get(findings, i);
		const char *name = json_string_value(json_object_get(finding, "function"));
		const char *by = json_string_value(json_object_get(finding, "rule"));
		if (strcmp(name, function) == 0 && (rule == NULL || strcmp(by, rule) == 0))
			return by;
	}
	return NULL;
}

/* "bad_name" in "int *bad_name(struct item *p)". */
static bool function_name(const char *line, const char *prefix, char *ret, size_t size)
{
	const char *at = strstr(line, prefix);
	if (at == NULL)
		return false;
	snprintf(ret, size, "%.*s", (int)strcspn(at, "("), at);
	return true;
}

static void judge(const json_t *result, const char *path, bool bad, const char *rule, const char *function)
{
	const char *by = accuses(result, function, bad ? rule : NULL);
	n_bad += bad;
	n_good += !bad;
	n_found += bad && by != NULL;
	n_accused += !bad && by != NULL;
	if (bad && by == NULL)
		printf("%s: %s: not found in %s\n", path, rule, function);
	if (!bad && by != NULL)
		printf("%s: %s: falsely told of %s\n", path, by, function);
}

static void check_fixture(const char *neap, const char *include, const char *path)
{
	json_t *result = run_neap(neap, include, path);
	FILE *in = fopen(path, "r");
	char *line = NULL, rule[64] = "", kind[8] = "", function[128];
	size_t size = 0;
	while (in != NULL && getline(&line, &size, in) > 0) {
		if (sscanf(line, "// %7s %63[^:]:", kind, rule) == 2)
			continue;
		if (rule[0] == '\0' || !function_name(line, strcmp(kind, "bad") == 0 ? "bad_" : "good_",
						      function, sizeof function))
			continue;
		judge(result, path, strcmp(kind, "bad") == 0, rule, function);
		rule[0] = '\0';
	}
	free(line);
	if (in != NULL)
		fclose(in);
	json_decref(result);
}

int main(int argc, char **argv)
{
	if (argc < 4) {
		fprintf(stderr, "usage: test_checks NEAP INCLUDE-FOLDER FIXTURE...\n");
		return 2;
	}
	for (int i = 3; i < argc; i++)
		check_fixture(argv[1], argv[2], argv[i]);
	printf("%u of %u bad functions found, %u of %u good ones accused\n", n_found, n_bad, n_accused,
	       n_good);
	bool enough = n_bad >= PAIRS_MIN && n_good >= PAIRS_MIN;
	return enough && n_found * 100 >= n_bad * FOUND_MIN_PERCENT &&
			       n_accused * 100 <= n_good * ACCUSED_MAX_PERCENT
		       ? 0
		       : 1;
}
