/* cache.c: bitcode by content: see cache.h.
 *
 * Both files are written beside their place and renamed, the list of dependencies last, so that a run that is
 * interrupted leaves no entry that looks whole.
 */
#include "cache.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "neap/base.h"

/* Part of every key: a new form of the decoder makes old entries worthless. */
#define CACHE_FORM "neap-lint-1"

static char *whole_file(const char *path, size_t *ret_size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat info;
	if (fd < 0)
		return NULL;
	if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) {
		close(fd);
		return NULL;
	}
	size_t size = (size_t)info.st_size, have = 0;
	char *bytes = lint_calloc(size + 1, 1);
	for (ssize_t n; have < size && (n = read(fd, bytes + have, size - have)) > 0;)
		have += (size_t)n;
	close(fd);
	*ret_size = have;
	return bytes;
}

static uint64_t file_hash(const char *path)
{
	size_t size;
	char *bytes = whole_file(path, &size);
	if (bytes == NULL)
		return 0;
	uint64_t hash = lint_hash(LINT_HASH_START, bytes, size);
	free(bytes);
	return hash;
}

static uint64_t add_text(uint64_t hash, const char *text)
{
	return lint_hash(hash, text, strlen(text) + 1);
}

/* The entry's name: what was asked for, not yet what the files say. */
static uint64_t job_hash(const struct job *job)
{
	const char *clang = getenv("NEAP_CLANG");
	uint64_t hash = add_text(LINT_HASH_START, CACHE_FORM);
	hash = add_text(hash, neap_version());
	hash = add_text(hash, clang != NULL ? clang : "");
	hash = add_text(hash, job->file);
	hash = add_text(hash, job->directory != NULL ? job->directory : "");
	char here[PATH_MAX];
	if (job->directory == NULL && getcwd(here, sizeof here) != NULL)
		hash = add_text(hash, here);
	for (size_t i = 0; job->flags != NULL && job->flags[i] != NULL; i++)
		hash = add_text(hash, job->flags[i]);
	return hash;
}

static void entry_path(char *path, size_t size, const char *folder, const struct job *job, const char *ending)
{
	snprintf(path, size, "%s/%016" PRIx64 "%s", folder, job_hash(job), ending);
}

/* Every line of the list, "HASH PATH", holds. */
static bool still_true(char *list)
{
	unsigned lines = 0;
	for (char *line; (line = strsep(&list, "\n")) != NULL && *line != '\0'; lines++) {
		uint64_t hash = strtoull(line, &line, 16);
		if (*line != ' ' || file_hash(line + 1) != hash)
			return false;
	}
	return lines > 0;
}

char *lint_cache_get(const char *folder, const struct job *job, size_t *ret_size)
{
	char path[PATH_MAX];
	size_t size;
	entry_path(path, sizeof path, folder, job, ".deps");
	char *list = whole_file(path, &size);
	if (list == NULL)
		return NULL;
	bool good = still_true(list);
	free(list);
	if (!good)
		return NULL;
	entry_path(path, sizeof path, folder, job, ".bc");
	return whole_file(path, ret_size);
}

static bool write_beside(const char *path, const void *bytes, size_t size)
{
	char temporary[PATH_MAX + 16];
	snprintf(temporary, sizeof temporary, "%s.%ld", path, (long)getpid());
	FILE *out = fopen(temporary, "we");
	if (out == NULL)
		return false;
	bool good = fwrite(bytes, 1, size, out) == size;
	good = fclose(out) == 0 && good;
	good = good && rename(temporary, path) == 0;
	if (!good)
		unlink(temporary);
	return good;
}

/* The next name of a make rule, with its escapes undone, or NULL at the end. Moves `at` on. */
static char *next_dependency(char **at)
{
	char *in = *at;
	while (*in == ' ' || *in == '\n' || (*in == '\\' && in[1] == '\n'))
		in += *in == '\\' ? 2 : 1;
	if (*in == '\0')
		return NULL;
	char *name = in, *out = in;
	while (*in != '\0' && *in != ' ' && *in != '\n') {
		if (*in == '\\' && in[1] == ' ')
			in++;
		else if (*in == '$' && in[1] == '$')
			in++;
		*out++ = *in++;
	}
	*at = *in == '\0' ? in : in + 1;
	*out = '\0';
	return name;
}

void lint_cache_put(const char *folder, const struct job *job, const char *dependencies, const char *bytes,
		    size_t size)
{
	char path[PATH_MAX];
	if (mkdir(folder, 0777) != 0 && errno != EEXIST)
		return;
	char *rule = strdup(dependencies != NULL ? dependencies : ""), *list = NULL;
	size_t list_size = 0;
	FILE *out = open_memstream(&list, &list_size);
	char *at = rule != NULL ? strchr(rule, ':') : NULL;
	if (at != NULL && out != NULL) {
		at++;
		for (char *name; (name = next_dependency(&at)) != NULL;) {
			char full[PATH_MAX * 2];
			bool relative = name[0] != '/' && job->directory != NULL;
			snprintf(full, sizeof full, "%s%s%s", relative ? job->directory : "",
				 relative ? "/" : "", name);
			fprintf(out, "%016" PRIx64 " %s\n", file_hash(full), full);
		}
	}
	if (out != NULL)
		fclose(out);
	entry_path(path, sizeof path, folder, job, ".bc");
	if (at != NULL && list != NULL && write_beside(path, bytes, size)) {
		entry_path(path, sizeof path, folder, job, ".deps");
		write_beside(path, list, list_size);
	}
	free(list);
	free(rule);
}
