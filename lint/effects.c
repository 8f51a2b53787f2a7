/* effects.c: the text form of effects, both ways, and attaching rows to functions. */
#include "effects.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "annotations.h"
#include "code.h"

void lint_effects_init(struct effects *effects, const char *name)
{
	memset(effects, 0, sizeof *effects);
	effects->name = name;
	effects->borrows = effects->typed = effects->pools = -1;
	for (int i = 0; i < ARGS_MAX; i++) {
		struct arg_effects *arg = &effects->args[i];
		arg->heap = arg->result = NEVER;
		arg->put_pool = arg->iterates = -1;
		memset(arg->into, NEVER, sizeof arg->into);
	}
}

/* --- Reading ------------------------------------------------------------------------------------------------- */

struct word {
	char name[16];
	char text[32]; /* the first part that is no number */
	int numbers[3], n_numbers;
};

static bool split_word(const char *at, size_t len, struct word *ret)
{
	*ret = (struct word){0};
	char copy[64];
	if (len >= sizeof copy)
		return false;
	memcpy(copy, at, len);
	copy[len] = '\0';
	char *rest = copy, *part = strsep(&rest, ":");
	if (strlen(part) >= sizeof ret->name)
		return false;
	memcpy(ret->name, part, strlen(part) + 1);
	while ((part = strsep(&rest, ":")) != NULL) {
		char *end;
		long number = strtol(part, &end, 10);
		if (*part != '\0' && *end == '\0') {
			if (ret->n_numbers == 3 || number < 0 || number >= ARGS_MAX)
				return false;
			ret->numbers[ret->n_numbers++] = (int)number;
		} else if (strlen(part) < sizeof ret->text) {
			memcpy(ret->text, part, strlen(part) + 1);
		} else {
			return false;
		}
	}
	return true;
}

/* Words without an argument number. */
static bool plain_word(struct region *region, const struct word *word, struct effects *ret)
{
	if (word->n_numbers != 0)
		return false;
	if (strcmp(word->name, "new") == 0)
		ret->makes = lint_region_text(region, word->text, strlen(word->text));
	else if (strcmp(word->name, "maybe-null") == 0)
		ret->maybe_null = true;
	else if (strcmp(word->name, "never-null") == 0)
		ret->never_null = true;
	else if (strcmp(word->name, "exits") == 0)
		ret->exits = true;
	else if (strcmp(word->name, "barrier") == 0)
		ret->barrier = true;
	else if (strcmp(word->name, "collected") == 0)
		ret->collected = true;
	else if (strcmp(word->name, "pool-resets") == 0)
		ret->pool_resets = true;
	else
		return false;
	return true;
}

/* Words about where an argument goes: their last number is a level. */
static bool flow_word(const struct word *word, struct effects *ret)
{
	struct arg_effects *arg = &ret->args[word->numbers[0]];
	int second = word->n_numbers > 1 ? word->numbers[1] : 0;
	if (strcmp(word->name, "result") == 0)
		lint_level_lower(&arg->result, second);
	else if (strcmp(word->name, "heap") == 0)
		lint_level_lower(&arg->heap, second);
	else if (strcmp(word->name, "into") == 0 && word->n_numbers >= 2)
		lint_level_lower(&arg->into[second], word->n_numbers > 2 ? word->numbers[2] : 0);
	else if (strcmp(word->name, "borrow") == 0)
		ret->borrows = (int8_t)word->numbers[0];
	else if (strcmp(word->name, "typed") == 0)
		ret->typed = (int8_t)word->numbers[0];
	else if (strcmp(word->name, "pool-type") == 0)
		ret->pools = (int8_t)word->numbers[0];
	else if (strcmp(word->name, "iter") == 0 && word->n_numbers == 2)
		arg->iterates = (int8_t)second;
	else if (strcmp(word->name, "scan") == 0 && word->n_numbers == 2) {
		arg->iterates = (int8_t)second;
		arg->scans = true;
	} else if (strcmp(word->name, "put") == 0 && word->n_numbers == 2)
		arg->put_pool = (int8_t)second;
	else
		return false;
	return true;
}

static bool release_word(struct region *region, const struct word *word, struct effects *ret)
{
	struct arg_effects *arg = &ret->args[word->numbers[0]];
	if (strcmp(word->name, "free") == 0)
		arg->frees = true;
	else if (strcmp(word->name, "may-free") == 0)
		arg->may_free = true;
	else
		return false;
	arg->family = lint_region_text(region, word->text, strlen(word->text));
	return true;
}

static bool flag_word(const struct word *word, struct effects *ret)
{
	struct arg_effects *arg = &ret->args[word->numbers[0]];
	const struct {
		const char *name;
		bool *flag;
	} flags[] = {{"keeps", &arg->keeps},	 {"reads", &arg->reads},  {"writes", &arg->writes},
		     {"null-ok", &arg->null_ok}, {"next", &arg->steps},	  {"lock", &arg->locks},
		     {"unlock", &arg->unlocks},	 {"reset", &arg->resets}, {"thread", &arg->thread}};
	for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++)
		if (strcmp(word->name, flags[i].name) == 0) {
			*flags[i].flag = true;
			return true;
		}
	if (strcmp(word->name, "taken") == 0) {
		arg->taken = arg->frees = arg->null_ok = true;
		arg->family = "object";
	} else if (strcmp(word->name, "lent") == 0)
		arg->lent = arg->reads = arg->null_ok = true;
	else if (strcmp(word->name, "insert") == 0)
		arg->change = CHANGE_INSERT;
	else if (strcmp(word->name, "delete") == 0)
		arg->change = CHANGE_DELETE;
	else if (strcmp(word->name, "clear") == 0)
		arg->change = CHANGE_CLEAR;
	else
		return false;
	return true;
}

const char *lint_effects_parse(struct region *region, const char *words, struct effects *ret)
{
	for (const char *at = words; *at != '\0';) {
		size_t len = strcspn(at, " \t");
		struct word word;
		bool good = len == 0 || split_word(at, len, &word);
		if (good && len > 0) {
			for (int i = 0; i < word.n_numbers && i < 1; i++)
				if (ret->n_args <= word.numbers[i])
					ret->n_args = (uint8_t)(word.numbers[i] + 1);
			good = plain_word(region, &word, ret) ||
			       (word.n_numbers > 0 &&
				(flow_word(&word, ret) || release_word(region, &word, ret) ||
				 flag_word(&word, ret)));
		}
		if (!good)
			return lint_region_format(region, "unknown word '%.*s'", (int)len, at);
		at += len;
		at += strspn(at, " \t");
	}
	return NULL;
}

/* --- Writing ------------------------------------------------------------------------------------------------- */

static void write_flows(FILE *out, int i, const struct arg_effects *arg)
{
	if (arg->result != NEVER)
		fprintf(out, " result:%d:%d", i, arg->result);
	if (arg->heap != NEVER)
		fprintf(out, " heap:%d:%d", i, arg->heap);
	for (int j = 0; j < ARGS_MAX; j++)
		if (arg->into[j] != NEVER)
			fprintf(out, " into:%d:%d:%d", i, j, arg->into[j]);
	if (arg->iterates >= 0)
		fprintf(out, " %s:%d:%d", arg->scans ? "scan" : "iter", i, arg->iterates);
	if (arg->put_pool >= 0)
		fprintf(out, " put:%d:%d", i, arg->put_pool);
}

static void write_arg(FILE *out, int i, const struct arg_effects *arg)
{
	static const char *const changes[] = {"", "insert", "delete", "clear"};
	const struct {
		bool on;
		const char *name;
	} flags[] = {{arg->keeps, "keeps"},	{arg->reads, "reads"},	{arg->writes, "writes"},
		     {arg->null_ok, "null-ok"}, {arg->steps, "next"},	{arg->locks, "lock"},
		     {arg->unlocks, "unlock"},	{arg->resets, "reset"}, {arg->thread, "thread"}};
	write_flows(out, i, arg);
	for (size_t f = 0; f < sizeof flags / sizeof flags[0]; f++)
		if (flags[f].on)
			fprintf(out, " %s:%d", flags[f].name, i);
	if (arg->frees || arg->may_free)
		fprintf(out, " %s:%d:%s", arg->frees ? "free" : "may-free", i, arg->family);
	if (arg->change != CHANGE_NONE)
		fprintf(out, " %s:%d", changes[arg->change], i);
}

char *lint_effects_text(struct region *region, const struct effects *effects)
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);
	if (out == NULL)
		return lint_region_text(region, "", 0);
	if (effects->makes != NULL)
		fprintf(out, " new:%s", effects->makes);
	if (effects->maybe_null)
		fprintf(out, " maybe-null");
	if (effects->never_null)
		fprintf(out, " never-null");
	if (effects->borrows >= 0)
		fprintf(out, " borrow:%d", effects->borrows);
	if (effects->collected)
		fprintf(out, " collected");
	if (effects->pool_resets)
		fprintf(out, " pool-resets");
	if (effects->typed >= 0)
		fprintf(out, " typed:%d", effects->typed);
	if (effects->pools >= 0)
		fprintf(out, " pool-type:%d", effects->pools);
	for (int i = 0; i < ARGS_MAX; i++)
		write_arg(out, i, &effects->args[i]);
	if (effects->exits)
		fprintf(out, " exits");
	if (effects->barrier)
		fprintf(out, " barrier");
	fclose(out);
	char *copy = lint_region_text(region, size > 0 ? text + 1 : "", size > 0 ? size - 1 : 0);
	free(text);
	return copy;
}

/* --- Attaching ---------------------------------------------------------------------------------------------- */

static int attach_row(struct program *program, struct function *function, const char *words, char **ret_error)
{
	struct effects *effects = lint_region_alloc(&program->region, sizeof *effects);
	lint_effects_init(effects, function->name);
	const char *wrong = lint_effects_parse(&program->region, words, effects);
	if (wrong != NULL) {
		size_t size = strlen(wrong) + strlen(function->name) + 32;
		*ret_error = lint_calloc(1, size);
		snprintf(*ret_error, size, "row '%s': %s", function->name, wrong);
		return -1;
	}
	function->known = effects;
	function->no_return |= effects->exits;
	return 0;
}

static int attach_named(struct program *program, const char *name, const char *words, char **ret_error)
{
	for (size_t f = 0; f < program->n_functions; f++)
		if (strcmp(program->functions[f].name, name) == 0 &&
		    attach_row(program, &program->functions[f], words, ret_error) != 0)
			return -1;
	return 0;
}

static int attach_file(struct program *program, const char *path, char **ret_error)
{
	FILE *in = fopen(path, "re");
	if (in == NULL) {
		*ret_error = lint_calloc(1, strlen(path) + 64);
		snprintf(*ret_error, strlen(path) + 64, "cannot read the table '%s'", path);
		return -1;
	}
	char *line = NULL;
	size_t size = 0;
	int result = 0;
	while (result == 0 && getline(&line, &size, in) > 0) {
		line[strcspn(line, "#\n")] = '\0';
		char *name = line + strspn(line, " \t");
		char *words = name + strcspn(name, " \t");
		if (*name == '\0')
			continue;
		if (*words != '\0')
			*words++ = '\0';
		result = attach_named(program, name, words + strspn(words, " \t"), ret_error);
	}
	free(line);
	fclose(in);
	return result;
}

/* Rows are looked up by the program's names rather than the other way round: a program uses few of them. */
static int attach_rows(struct program *program, const struct effect_row *rows, bool over_body,
		       char **ret_error)
{
	for (size_t f = 0; f < program->n_functions; f++) {
		struct function *function = &program->functions[f];
		if (function->known != NULL ||
		    (function->body != NULL && (!over_body || function->is_static)))
			continue;
		for (const struct effect_row *row = rows; row->name != NULL; row++)
			if (row->name[0] == function->name[0] && strcmp(row->name, function->name) == 0 &&
			    attach_row(program, function, row->words, ret_error) != 0)
				return -1;
	}
	return 0;
}

int lint_effects_attach(struct program *program, const char *file, char **ret_error)
{
	if (file != NULL && attach_file(program, file, ret_error) != 0)
		return -1;
	if (attach_rows(program, lint_neap_rows, true, ret_error) != 0)
		return -1;
	if (attach_rows(program, lint_libc_rows, false, ret_error) != 0)
		return -1;
	lint_annotations_attach(program);
	return 0;
}
