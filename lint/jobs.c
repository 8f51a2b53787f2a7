/* jobs.c: which files to analyse, and with which flags.
 *
 * Files come from the command line, from folders, or from a compile database. Of a recorded command only the
 * flags that change the meaning of the source are kept: search paths, macros, language and machine. Warnings,
 * optimisation, output and dependency flags are the analyser's business, and many of them are gcc's alone.
 */
#include <dirent.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "front.h"

static char *format_error(char **ret, const char *what, const char *name, const char *why)
{
	size_t size = strlen(what) + strlen(name) + strlen(why) + 8;
	*ret = lint_calloc(1, size);
	snprintf(*ret, size, "%s '%s': %s", what, name, why);
	return *ret;
}

static bool ends_with(const char *text, const char *ending)
{
	size_t len = strlen(text), end = strlen(ending);
	return len > end && strcmp(text + len - end, ending) == 0;
}

static bool is_cplusplus(const char *file)
{
	static const char *const endings[] = {".cc", ".cpp", ".cxx", ".c++", ".C", ".hpp", ".hh"};
	for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++)
		if (ends_with(file, endings[i]))
			return true;
	return false;
}

static struct job *add_job(struct job_list *list, const char *file)
{
	list->jobs = lint_grow(list->jobs, &list->capacity, list->n + 1, sizeof *list->jobs);
	struct job *job = &list->jobs[list->n++];
	memset(job, 0, sizeof *job);
	job->file = lint_region_text(&list->region, file, strlen(file));
	job->state = is_cplusplus(file) ? JOB_CPLUSPLUS : JOB_READY;
	return job;
}

void lint_jobs_add_flag(struct job_list *list, const char *flag)
{
	list->common = lint_grow(list->common, &list->cap_common, list->n_common + 2, sizeof *list->common);
	list->common[list->n_common++] = flag;
	list->common[list->n_common] = NULL;
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static int add_folder(struct job_list *list, const char *path, char **ret_error);

static int add_entry(struct job_list *list, const char *path, char **ret_error)
{
	struct stat info;
	if (lstat(path, &info) != 0)
		return 0;
	if (S_ISDIR(info.st_mode))
		return add_folder(list, path, ret_error);
	if (S_ISREG(info.st_mode) && (ends_with(path, ".c") || is_cplusplus(path)) &&
	    !ends_with(path, ".hpp") && !ends_with(path, ".hh"))
		add_job(list, path);
	return 0;
}

/* In the order of names, so that two runs say the same. Hidden folders are left out. */
static int add_folder(struct job_list *list, const char *path, char **ret_error)
{
	DIR *folder = opendir(path);
	if (folder == NULL) {
		format_error(ret_error, "cannot read folder", path, "no permission");
		return -1;
	}
	char **names = NULL;
	size_t n = 0, capacity = 0;
	for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
		if (entry->d_name[0] == '.')
			continue;
		names = lint_grow(names, &capacity, n + 1, sizeof *names);
		names[n++] = lint_region_format(&list->region, "%s/%s", path, entry->d_name);
	}
	closedir(folder);
	if (n > 1)
		qsort(names, n, sizeof *names, compare_names);
	int result = 0;
	for (size_t i = 0; i < n && result == 0; i++)
		result = add_entry(list, names[i], ret_error);
	free(names);
	return result;
}

int lint_jobs_add_path(struct job_list *list, const char *path, char **ret_error)
{
	struct stat info;
	if (stat(path, &info) != 0) {
		format_error(ret_error, "no such file or folder", path, "check the name");
		return -1;
	}
	if (!S_ISDIR(info.st_mode)) {
		add_job(list, path)->flags = list->common;
		return 0;
	}
	size_t before = list->n;
	if (add_folder(list, path, ret_error) != 0)
		return -1;
	if (list->n == before) {
		format_error(ret_error, "no .c file in", path, "name a C file, or a folder that has some");
		return -1;
	}
	return 0;
}

/* --- The compile database -------------------------------------------------------------------------------- */

/* How many words a flag takes, itself included, when it is to be kept; 0 when it is dropped. */
static int kept_words(const char *flag)
{
	static const char *const with_value[] = {"-I",	     "-D",	"-U",	     "-include",
						 "-isystem", "-iquote", "-idirafter"};
	static const char *const alone[] = {
		"-std=",	   "-m32",	    "-m64",	     "-march=",
		"-funsigned-char", "-fsigned-char", "-fshort-enums", "-fms-extensions",
		"-fno-builtin",	   "-nostdinc",	    "-ansi",	     "-pthread",
		"-fwrapv",	   "-ffreestanding"};
	for (size_t i = 0; i < sizeof with_value / sizeof with_value[0]; i++) {
		if (strcmp(flag, with_value[i]) == 0)
			return 2;
		if (strncmp(flag, with_value[i], strlen(with_value[i])) == 0)
			return 1;
	}
	for (size_t i = 0; i < sizeof alone / sizeof alone[0]; i++)
		if (strncmp(flag, alone[i], strlen(alone[i])) == 0)
			return 1;
	return 0;
}

struct words {
	const char **items;
	size_t n, capacity;
};

static void add_word(struct words *words, const char *word)
{
	words->items = lint_grow(words->items, &words->capacity, words->n + 2, sizeof *words->items);
	words->items[words->n++] = word;
	words->items[words->n] = NULL;
}

/* A recorded command line in words, by the shell's quoting rules as far as compile databases use them. */
static void split_command(struct region *region, const char *command, struct words *words)
{
	char *out = lint_region_text(region, command, strlen(command)), *word = out;
	char quote = 0;
	bool inside = false;
	for (const char *at = command;; at++) {
		if (*at == '\0' || (quote == 0 && (*at == ' ' || *at == '\t' || *at == '\n'))) {
			if (inside) {
				*out++ = '\0';
				add_word(words, word);
				word = out;
			}
			inside = false;
			if (*at == '\0')
				return;
			continue;
		}
		inside = true;
		if (quote == 0 && (*at == '"' || *at == '\''))
			quote = *at;
		else if (quote != 0 && *at == quote)
			quote = 0;
		else if (*at == '\\' && quote != '\'' && at[1] != '\0')
			*out++ = *++at;
		else
			*out++ = *at;
	}
}

static const char *entry_text(const json_t *entry, const char *key)
{
	return json_string_value(json_object_get(entry, key));
}

static int add_command(struct job_list *list, const json_t *entry)
{
	const char *file = entry_text(entry, "file"), *directory = entry_text(entry, "directory");
	const char *command = entry_text(entry, "command");
	const json_t *arguments = json_object_get(entry, "arguments");
	if (file == NULL || directory == NULL || (command == NULL && !json_is_array(arguments)))
		return -1;
	struct words words = {0};
	if (command != NULL)
		split_command(&list->region, command, &words);
	for (size_t i = 0; command == NULL && i < json_array_size(arguments); i++) {
		const char *word = json_string_value(json_array_get(arguments, i));
		if (word != NULL)
			add_word(&words, lint_region_text(&list->region, word, strlen(word)));
	}
	struct job *job = add_job(list, file);
	job->directory = lint_region_text(&list->region, directory, strlen(directory));
	job->flags = lint_region_alloc(&list->region, (words.n + 1) * sizeof *job->flags);
	size_t kept = 0;
	for (size_t i = 1; i < words.n; i++)
		for (int n = kept_words(words.items[i]); n > 0 && i<words.n; n--, i += n> 0)
			job->flags[kept++] = words.items[i];
	free(words.items);
	return 0;
}

int lint_jobs_add_database(struct job_list *list, const char *path, char **ret_error)
{
	json_error_t error;
	json_t *root = json_load_file(path, 0, &error);
	if (root == NULL) {
		format_error(ret_error, "cannot read compile database", path, error.text);
		return -1;
	}
	int result = json_is_array(root) ? 0 : -1;
	for (size_t i = 0; result == 0 && i < json_array_size(root); i++)
		result = add_command(list, json_array_get(root, i));
	json_decref(root);
	if (result != 0)
		format_error(ret_error, "not a compile database", path,
			     "each entry needs \"directory\", \"file\" and \"command\" or \"arguments\"");
	return result;
}

void lint_jobs_clear(struct job_list *list)
{
	for (size_t i = 0; i < list->n; i++)
		free(list->jobs[i].said);
	free(list->jobs);
	free(list->common);
	lint_region_clear(&list->region);
	memset(list, 0, sizeof *list);
}
