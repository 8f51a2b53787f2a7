/* cache.c: bitcode by content: see cache.h.
 *
 * Both files are written beside their place and renamed, the list of dependencies last, so that a run that is
 * interrupted leaves no entry that looks whole.
 */
#include "cache.h"

#include <dirent.h>
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
#define CACHE_FORM "neap-lint-2"

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
	hash = add_text(hash, NEAP_LLVM); /* each has a clang of its own */
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

/* Every line of the list, "HASH PATH", holds; the paths go to job->inputs. */
static bool still_true(char *list, struct region *region, struct job *job)
{
	size_t capacity = 0;
	const char **inputs = NULL;
	job->n_inputs = 0;
	bool good = true;
	for (char *line; good && (line = strsep(&list, "\n")) != NULL && *line != '\0';) {
		uint64_t hash = strtoull(line, &line, 16);
		good = *line == ' ' && file_hash(line + 1) == hash;
		inputs = lint_grow(inputs, &capacity, job->n_inputs + 1, sizeof *inputs);
		if (good)
			inputs[job->n_inputs++] = lint_region_text(region, line + 1, strlen(line + 1));
	}
	job->inputs = lint_region_alloc(region, (job->n_inputs + 1) * sizeof *inputs);
	if (job->n_inputs > 0)
		memcpy(job->inputs, inputs, job->n_inputs * sizeof *inputs);
	free(inputs);
	return good && job->n_inputs > 0;
}

/* The bitcode itself, when it has the hash that the list begins with. */
static char *read_bitcode(const char *folder, const struct job *job, uint64_t hash, size_t *ret_size)
{
	char path[PATH_MAX];
	entry_path(path, sizeof path, folder, job, ".bc");
	char *bytes = whole_file(path, ret_size);
	if (bytes != NULL && lint_hash(LINT_HASH_START, bytes, *ret_size) != hash) {
		free(bytes);
		return NULL;
	}
	if (bytes != NULL) /* used now: see lint_cache_trim */
		utimensat(AT_FDCWD, path, NULL, 0);
	return bytes;
}

char *lint_cache_get(const char *folder, struct region *region, struct job *job, size_t *ret_size)
{
	char path[PATH_MAX];
	size_t size;
	entry_path(path, sizeof path, folder, job, ".deps");
	char *list = whole_file(path, &size), *at = list;
	if (list == NULL)
		return NULL;
	uint64_t hash = strtoull(list, &at, 16);
	bool good = *at++ == '\n' && still_true(at, region, job);
	free(list);
	if (!good)
		return NULL;
	utimensat(AT_FDCWD, path, NULL, 0);
	return read_bitcode(folder, job, hash, ret_size);
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

void lint_cache_put(const char *folder, const struct job *job, const char *bytes, size_t size)
{
	char path[PATH_MAX], *list = NULL;
	size_t list_size = 0;
	FILE *out = open_memstream(&list, &list_size);
	if (out == NULL)
		return;
	mkdir(folder, 0777); /* there already, mostly; when it cannot be, writing fails */
	fprintf(out, "%016" PRIx64 "\n", lint_hash(LINT_HASH_START, bytes, size));
	for (size_t i = 0; i < job->n_inputs; i++)
		fprintf(out, "%016" PRIx64 " %s\n", file_hash(job->inputs[i]), job->inputs[i]);
	fclose(out);
	entry_path(path, sizeof path, folder, job, ".bc");
	if (list != NULL && job->n_inputs > 0 && write_beside(path, bytes, size)) {
		entry_path(path, sizeof path, folder, job, ".deps");
		write_beside(path, list, list_size);
	}
	free(list);
}

/* --- The folder ------------------------------------------------------------------------------------------------ */

/* Makes the folder and those above it. */
static bool make_folder(char *path)
{
	for (char *slash = strchr(path + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		mkdir(path, 0777);
		*slash = '/';
	}
	return mkdir(path, 0777) == 0 || errno == EEXIST;
}

const char *lint_cache_folder(struct region *region)
{
	const char *base = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
	char *path = NULL;
	if (base != NULL && base[0] == '/')
		path = lint_region_format(region, "%s/neap/lint", base);
	else if (home != NULL && home[0] == '/')
		path = lint_region_format(region, "%s/.cache/neap/lint", home);
	return path != NULL && make_folder(path) ? path : NULL;
}

struct cached_file {
	char name[64];
	struct timespec used;
	uint64_t size;
};

static int by_use(const void *a, const void *b)
{
	const struct cached_file *x = a, *y = b;
	if (x->used.tv_sec != y->used.tv_sec)
		return x->used.tv_sec < y->used.tv_sec ? -1 : 1;
	return x->used.tv_nsec < y->used.tv_nsec ? -1 : x->used.tv_nsec > y->used.tv_nsec;
}

/* Our own files and no others: a folder that the user named may hold more. */
static bool is_cached_file(const char *name)
{
	size_t digits = strspn(name, "0123456789abcdef");
	return digits == 16 && strlen(name) < sizeof((struct cached_file *)0)->name &&
	       (strncmp(name + digits, ".bc", 3) == 0 || strncmp(name + digits, ".deps", 5) == 0 ||
		strncmp(name + digits, ".found", 6) == 0);
}

void lint_cache_trim(const char *folder, uint64_t most)
{
	DIR *open_folder = opendir(folder);
	struct cached_file *files = NULL;
	size_t n = 0, capacity = 0;
	uint64_t total = 0;
	for (struct dirent *entry; open_folder != NULL && (entry = readdir(open_folder)) != NULL;) {
		struct stat info;
		if (!is_cached_file(entry->d_name) ||
		    fstatat(dirfd(open_folder), entry->d_name, &info, 0) != 0)
			continue;
		files = lint_grow(files, &capacity, n + 1, sizeof *files);
		files[n] = (struct cached_file){.used = info.st_mtim, .size = (uint64_t)info.st_size};
		snprintf(files[n++].name, sizeof files->name, "%s", entry->d_name);
		total += (uint64_t)info.st_size;
	}
	if (n > 1)
		qsort(files, n, sizeof *files, by_use);
	for (size_t i = 0; i < n && total > most; i++)
		if (unlinkat(dirfd(open_folder), files[i].name, 0) == 0)
			total -= files[i].size;
	if (open_folder != NULL)
		closedir(open_folder);
	free(files);
}
