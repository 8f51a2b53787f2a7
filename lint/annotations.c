/* annotations.c: reads ownership from the text of declarations: see annotations.h. */
#include "annotations.h"

#include <ctype.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "effects.h"

static const char gives[] = "NEAP_GIVES", frees[] = "NEAP_FREES", taken[] = "NEAP_TAKEN",
		  lent[] = "NEAP_LENT";

static bool is_word(int c)
{
	return isalnum(c) || c == '_';
}

/* --- Text ----------------------------------------------------------------------------------------------------- */

static char *read_file(struct region *region, const char *path, size_t *ret_size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat info;
	char *text = NULL;
	if (fd >= 0 && fstat(fd, &info) == 0 && S_ISREG(info.st_mode)) {
		text = lint_region_alloc(region, (size_t)info.st_size + 1);
		ssize_t n = read(fd, text, (size_t)info.st_size);
		*ret_size = n < 0 ? 0 : (size_t)n;
		text[*ret_size] = '\0';
	}
	if (fd >= 0)
		close(fd);
	return text;
}

/* The end of a comment, literal or preprocessor line that begins at `at`, or `at` when none does. */
static char *skip_quiet(char *at, bool line_start)
{
	if (at[0] == '/' && at[1] == '/') {
		return at + strcspn(at, "\n");
	} else if (at[0] == '/' && at[1] == '*') {
		char *end = strstr(at + 2, "*/");
		return end != NULL ? end + 2 : at + strlen(at);
	} else if (at[0] == '"' || at[0] == '\'') {
		char quote = *at++;
		while (*at != '\0' && *at != quote && *at != '\n')
			at += at[0] == '\\' && at[1] != '\0' ? 2 : 1;
		return *at == quote ? at + 1 : at;
	} else if (at[0] == '#' && line_start) {
		while (*at != '\0' && !(*at == '\n' && at[-1] != '\\'))
			at++;
	}
	return at;
}

/* Comments, literals and preprocessor lines become blanks. */
static void blank_out(char *text)
{
	bool line_start = true;
	for (char *at = text; *at != '\0';) {
		char *end = skip_quiet(at, line_start);
		if (end == at) {
			line_start = *at == '\n' || (line_start && isspace((unsigned char)*at));
			at++;
			continue;
		}
		memset(at, ' ', (size_t)(end - at));
		at = end;
	}
}

static bool word_at(const char *text, const char *at, const char *word)
{
	size_t len = strlen(word);
	return strncmp(at, word, len) == 0 && !is_word((unsigned char)at[len]) &&
	       (at == text || !is_word((unsigned char)at[-1]));
}

static bool has_word(const char *text, const char *from, const char *to, const char *word)
{
	for (const char *at = from; at < to; at++)
		if (word_at(text, at, word))
			return true;
	return false;
}

/* The word that ends before `at`, blanks left out. */
static const char *word_before(const char *from, const char *at, size_t *ret_len)
{
	while (at > from && isspace((unsigned char)at[-1]))
		at--;
	const char *end = at;
	while (at > from && is_word((unsigned char)at[-1]))
		at--;
	*ret_len = (size_t)(end - at);
	return at;
}

static const char *closing(const char *open, const char *end)
{
	int depth = 0;
	for (const char *at = open; at < end; at++) {
		depth += *at == '(';
		depth -= *at == ')';
		if (depth == 0)
			return at;
	}
	return end;
}

/* --- Declarations ------------------------------------------------------------------------------------------------ */

static void read_params(struct annotation *annotation, const char *text, const char *open, const char *close)
{
	const char *from = open + 1;
	int depth = 0;
	uint32_t i = 0;
	for (const char *at = from; at <= close && i < 32; at++) {
		depth += at < close && *at == '(';
		depth -= at < close && *at == ')';
		if (at < close && (*at != ',' || depth > 0))
			continue;
		annotation->taken |= (uint32_t)has_word(text, from, at, taken) << i;
		annotation->lent |= (uint32_t)has_word(text, from, at, lent) << i;
		from = at + 1;
		i++;
	}
}

/* `from` to `to` is one declaration, or the head of a definition. */
static void read_declaration(struct program *program, const char *text, const char *from, const char *to)
{
	if (!has_word(text, from, to, gives) && !has_word(text, from, to, frees) &&
	    !has_word(text, from, to, taken) && !has_word(text, from, to, lent))
		return;
	struct annotation annotation = {0};
	for (const char *at = from; at < to; at++) {
		if (*at != '(')
			continue;
		const char *close = closing(at, to);
		size_t len;
		const char *name = word_before(from, at, &len);
		if (len == strlen(gives) && strncmp(name, gives, len) == 0) {
			const char *release = word_before(at, close, &len);
			annotation.gives = lint_region_text(&program->region, release, len);
		} else if (len == strlen(frees) && strncmp(name, frees, len) == 0) {
			long param = strtol(at + 1, NULL, 10);
			annotation.taken |= param >= 1 && param <= 32 ? 1u << (param - 1) : 0;
		} else if (len > 0 && strncmp(name, "__", 2) != 0) { /* not __attribute__ */
			annotation.function = lint_region_text(&program->region, name, len);
			read_params(&annotation, text, at, close);
			break;
		}
		at = close;
	}
	if (annotation.function == NULL)
		return;
	program->annotations = lint_grow(program->annotations, &program->cap_annotations,
					 program->n_annotations + 1, sizeof *program->annotations);
	program->annotations[program->n_annotations++] = annotation;
}

void lint_annotations_read(struct program *program, const char *path)
{
	if (strncmp(path, "/usr/", 5) == 0)
		return;
	for (size_t i = 0; i < program->n_read; i++)
		if (strcmp(program->read[i], path) == 0)
			return;
	program->read =
		lint_grow(program->read, &program->cap_read, program->n_read + 1, sizeof *program->read);
	program->read[program->n_read++] = lint_region_text(&program->region, path, strlen(path));
	struct region region = {0};
	size_t size = 0;
	char *text = read_file(&region, path, &size);
	if (text != NULL && (strstr(text, gives) != NULL || strstr(text, frees) != NULL ||
			     strstr(text, taken) != NULL || strstr(text, lent) != NULL)) {
		blank_out(text);
		char *from = text;
		for (char *at = text; *at != '\0'; at++)
			if (*at == ';' || *at == '{' || *at == '}') {
				read_declaration(program, text, from, at);
				from = at + 1;
			}
	}
	lint_region_clear(&region);
}

/* --- Attaching -------------------------------------------------------------------------------------------------- */

/* Objects of functions that are released by free() are of malloc's family. */
static const char *family_of(const char *release)
{
	return strcmp(release, "free") == 0 ? "malloc" : release;
}

static const char *released_by(const struct program *program, const char *function)
{
	for (size_t i = 0; i < program->n_annotations; i++)
		if (program->annotations[i].gives != NULL &&
		    strcmp(program->annotations[i].gives, function) == 0)
			return family_of(function);
	return NULL;
}

/* What is said of some arguments; of the others nothing is known, so they may be kept and written to. */
static struct effects *effects_for(struct program *program, const struct function *function,
				   const struct annotation *annotation)
{
	struct effects *effects = lint_region_alloc(&program->region, sizeof *effects);
	lint_effects_init(effects, function->name);
	const char *family = released_by(program, function->name);
	if (annotation->gives != NULL && function->returns_pointer) {
		effects->makes = family_of(annotation->gives);
		effects->maybe_null = true;
	}
	for (uint32_t i = 0; i < function->n_params && i < ARGS_MAX; i++) {
		struct arg_effects *arg = &effects->args[i];
		effects->n_args = (uint8_t)(i + 1);
		if (!function->params[i].pointer)
			continue;
		arg->taken = annotation->taken >> i & 1;
		arg->lent = annotation->lent >> i & 1;
		arg->frees = arg->taken;
		arg->family = family != NULL ? family : "object";
		arg->reads = arg->writes = !arg->taken;
		arg->null_ok = true;
		arg->keeps = !arg->taken && !arg->lent;
	}
	return effects;
}

void lint_annotations_attach(struct program *program)
{
	for (size_t a = 0; a < program->n_annotations; a++)
		for (size_t f = 0; f < program->n_functions; f++) {
			struct function *function = &program->functions[f];
			if (strcmp(function->name, program->annotations[a].function) != 0 ||
			    function->known != NULL || function->promised != NULL)
				continue;
			struct effects *effects = effects_for(program, function, &program->annotations[a]);
			if (function->body != NULL)
				function->promised = effects;
			else
				function->known = effects;
		}
}
