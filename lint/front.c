/* front.c: runs clang, reads its bitcode, fills the program.
 *
 *     job -> clang -O0 -g -emit-llvm -> memory file -> LLVM module -> lint_decode
 *
 * Two memory files stand for clang's output and its messages, so nothing is written to the disk. As many
 * clangs run as there are processors: compiling is nine tenths of the time of an analysis. With a cache
 * folder, bitcode is kept under the hash of everything that it was made of; see cache.h.
 */
#include "front.h"

#include <errno.h>
#include <fcntl.h>
#include <llvm-c/BitReader.h>
#include <llvm/Config/llvm-config.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "annotations.h"
#include "cache.h"
#include "decode.h"

#ifndef NEAP_CLANG
#	define NEAP_CLANG "clang"
#endif

/* More clangs at once than this fill the memory of a small machine before they save time. */
#define PARALLEL_MAX 16

extern char **environ;

struct running {
	pid_t pid;
	struct job *job;
	int output, messages, dependencies;
	double started;
};

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static const char *clang_name(void)
{
	const char *chosen = getenv("NEAP_CLANG");
	return chosen != NULL && chosen[0] != '\0' ? chosen : NEAP_CLANG;
}

/* argv for the job; freed by the caller, its words are not its own. */
static const char **clang_words(const struct job *job)
{
	static const char *const fixed[] = {"-O0",
					    "-g",
					    "-fno-discard-value-names",
					    "-emit-llvm",
					    "-c",
					    "-w",
					    "-Qunused-arguments",
					    "-fdiagnostics-absolute-paths",
					    "-MD",
					    "-MF",
					    "/dev/fd/3",
					    "-x",
					    "c",
					    "-o",
					    "-"};
	size_t n_fixed = sizeof fixed / sizeof fixed[0], n_flags = 0;
	while (job->flags != NULL && job->flags[n_flags] != NULL)
		n_flags++;
	const char **words = lint_calloc(n_fixed + n_flags + 3, sizeof *words);
	size_t n = 0;
	words[n++] = clang_name();
	for (size_t i = 0; i < n_flags; i++)
		words[n++] = job->flags[i];
	for (size_t i = 0; i < n_fixed; i++)
		words[n++] = fixed[i];
	words[n] = job->file;
	return words;
}

static int start(struct job *job, struct running *ret)
{
	posix_spawn_file_actions_t actions;
	*ret = (struct running){.job = job,
				.output = memfd_create("bitcode", MFD_CLOEXEC),
				.messages = memfd_create("messages", MFD_CLOEXEC),
				.dependencies = memfd_create("dependencies", MFD_CLOEXEC),
				.started = now()};
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, ret->output, STDOUT_FILENO);
	posix_spawn_file_actions_adddup2(&actions, ret->messages, STDERR_FILENO);
	posix_spawn_file_actions_adddup2(&actions, ret->dependencies, 3);
	if (job->directory != NULL)
		posix_spawn_file_actions_addchdir_np(&actions, job->directory);
	const char **words = clang_words(job);
	int error = posix_spawnp(&ret->pid, words[0], &actions, NULL, (char *const *)words, environ);
	free(words);
	posix_spawn_file_actions_destroy(&actions);
	if (error != 0) {
		close(ret->output);
		close(ret->messages);
		close(ret->dependencies);
	}
	return error;
}

static char *read_text(int fd)
{
	struct stat info;
	if (fstat(fd, &info) != 0)
		return NULL;
	size_t size = (size_t)info.st_size;
	char *text = lint_calloc(size + 1, 1);
	ssize_t n = pread(fd, text, size, 0);
	if (n < 0)
		text[0] = '\0';
	return text;
}

/* The bitcode was written by the clang that belongs to our LLVM. */
static bool is_own_clang(LLVMModuleRef module)
{
	LLVMValueRef record = NULL, text = NULL;
	if (LLVMGetNamedMetadataNumOperands(module, "llvm.ident") != 1)
		return false;
	LLVMGetNamedMetadataOperands(module, "llvm.ident", &record);
	if (record == NULL || LLVMGetMDNodeNumOperands(record) != 1)
		return false;
	LLVMGetMDNodeOperands(record, &text);
	unsigned len = 0;
	const char *said = text != NULL ? LLVMGetMDString(text, &len) : NULL;
	const char *version = said != NULL ? strstr(said, "clang version ") : NULL;
	return version != NULL && atoi(version + strlen("clang version ")) == LLVM_VERSION_MAJOR;
}

/* Bodies stay bytes until the decoder wants them, which spares LLVM a check of the whole module; a body that it could
 * not read would end the process, so what another clang wrote is read, and may be refused, at once. NULL: refused.
 */
static LLVMModuleRef read_module(LLVMContextRef context, const char *bytes, size_t size, const char *name)
{
	LLVMModuleRef module = NULL;
	LLVMMemoryBufferRef buffer = LLVMCreateMemoryBufferWithMemoryRange(bytes, size, name, false);
	if (LLVMGetBitcodeModuleInContext2(context, buffer, &module) != 0) {
		LLVMDisposeMemoryBuffer(buffer);
		return NULL;
	}
	if (is_own_clang(module)) /* the buffer is the module's now */
		return module;
	LLVMDisposeModule(module);
	buffer = LLVMCreateMemoryBufferWithMemoryRange(bytes, size, name, false);
	bool failed = LLVMParseBitcodeInContext2(context, buffer, &module) != 0;
	LLVMDisposeMemoryBuffer(buffer);
	return failed ? NULL : module;
}

/* Decodes the bitcode; false with job->said set when it cannot be read. */
static bool load_bitcode(struct program *program, struct job *job, const char *bytes, size_t size)
{
	LLVMContextRef context = LLVMContextCreate();
	LLVMModuleRef module = size > 0 ? read_module(context, bytes, size, job->file) : NULL;
	if (module != NULL) {
		lint_decode(program, module, job->file);
		program->units[program->n_units - 1].key = lint_hash(LINT_HASH_START, bytes, size);
		job->state = JOB_LOADED;
		LLVMDisposeModule(module);
	} else {
		job->state = JOB_FAILED;
		job->said =
			strdup("its bitcode cannot be read: clang is newer than the LLVM that neap was built "
			       "with; set NEAP_CLANG to the matching clang");
	}
	LLVMContextDispose(context);
	return module != NULL;
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
		if ((*in == '\\' && in[1] == ' ') || (*in == '$' && in[1] == '$'))
			in++;
		*out++ = *in++;
	}
	*at = *in == '\0' ? in : in + 1;
	*out = '\0';
	return name;
}

/* `rule` is what clang wrote for make. Names are relative to where clang ran. */
static void note_inputs(struct region *region, struct job *job, char *rule)
{
	char *at = rule != NULL ? strchr(rule, ':') : NULL;
	const char **inputs = NULL;
	size_t capacity = 0;
	job->n_inputs = 0;
	if (at != NULL)
		at++;
	for (char *name; at != NULL && (name = next_dependency(&at)) != NULL;) {
		inputs = lint_grow(inputs, &capacity, job->n_inputs + 1, sizeof *inputs);
		inputs[job->n_inputs++] = name[0] != '/' && job->directory != NULL
						  ? lint_region_format(region, "%s/%s", job->directory, name)
						  : lint_region_text(region, name, strlen(name));
	}
	job->inputs = lint_region_alloc(region, (job->n_inputs + 1) * sizeof *inputs);
	if (job->n_inputs > 0)
		memcpy(job->inputs, inputs, job->n_inputs * sizeof *inputs);
	free(inputs);
}

static void finish(struct program *program, struct running *running, const char *cache)
{
	int status = 0;
	while (waitpid(running->pid, &status, 0) < 0 && errno == EINTR)
		;
	struct job *job = running->job;
	job->seconds = now() - running->started;
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
		job->state = JOB_FAILED;
		job->said = read_text(running->messages);
	} else {
		char *dependencies = read_text(running->dependencies);
		note_inputs(&program->region, job, dependencies);
		free(dependencies);
		struct stat info;
		fstat(running->output, &info);
		size_t size = (size_t)info.st_size;
		char *bytes = size > 0 ? mmap(NULL, size, PROT_READ, MAP_PRIVATE, running->output, 0) : NULL;
		if (load_bitcode(program, job, bytes != MAP_FAILED ? bytes : NULL,
				 bytes != MAP_FAILED ? size : 0) &&
		    cache != NULL)
			lint_cache_put(cache, job, bytes, size);
		if (bytes != NULL && bytes != MAP_FAILED)
			munmap(bytes, size);
	}
	close(running->output);
	close(running->messages);
	close(running->dependencies);
}

static bool from_cache(struct program *program, struct job *job, const char *cache)
{
	size_t size;
	char *bytes = cache != NULL ? lint_cache_get(cache, &program->region, job, &size) : NULL;
	if (bytes == NULL)
		return false;
	job->from_cache = load_bitcode(program, job, bytes, size);
	free(bytes);
	if (!job->from_cache) { /* made by another clang: compile anew */
		free(job->said);
		job->said = NULL;
		job->state = JOB_READY;
	}
	return job->from_cache;
}

int lint_front_load(struct program *program, struct job_list *list, const char *cache, char **ret_error)
{
	long processors = sysconf(_SC_NPROCESSORS_ONLN);
	size_t width = processors < 1 ? 1 : processors > PARALLEL_MAX ? PARALLEL_MAX : (size_t)processors;
	struct running running[PARALLEL_MAX];
	size_t first = 0, n_running = 0; /* a ring: results are decoded in the order of the jobs */
	int loaded = 0, error = 0;
	for (size_t i = 0; i < list->n || n_running > 0;) {
		if (i < list->n && list->jobs[i].flags == NULL)
			list->jobs[i].flags = list->common;
		if (i < list->n && (list->jobs[i].state != JOB_READY ||
				    (n_running == 0 && from_cache(program, &list->jobs[i], cache)))) {
			i++;
		} else if (i < list->n && n_running < width && error == 0) {
			error = start(&list->jobs[i], &running[(first + n_running) % width]);
			n_running += error == 0;
			i = error == 0 ? i + 1 : list->n;
		} else {
			finish(program, &running[first], cache);
			first = (first + 1) % width;
			n_running--;
		}
	}
	if (error != 0) {
		*ret_error = lint_calloc(1, 512);
		snprintf(*ret_error, 512,
			 "cannot run '%s': %s\n  install clang (scripts/setup test), or name one in "
			 "NEAP_CLANG",
			 clang_name(), strerror(error));
		return -1;
	}
	for (size_t i = 0; i < list->n; i++) {
		loaded += list->jobs[i].state == JOB_LOADED;
		for (size_t f = 0; list->jobs[i].state == JOB_LOADED && f < list->jobs[i].n_inputs; f++)
			lint_annotations_read(program, list->jobs[i].inputs[f]);
	}
	if (cache != NULL)
		lint_cache_trim(cache, CACHE_MAX);
	lint_program_finish(program);
	return loaded;
}
