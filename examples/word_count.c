/* word_count.c: counts the words of standard input or of the files given, and prints the ten commonest.
 *
 * The map owns its string keys: it copies the bytes of a word when it is new, so the line buffer can be reused.
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#define NEAP_MAP_NAME  counts
#define NEAP_MAP_KEY   struct neap_str
#define NEAP_MAP_KIND  NEAP_KEY_STR
#define NEAP_MAP_FLAGS NEAP_MAP_OWN_KEYS
#define NEAP_MAP_VALUE uint64_t
#include <neap/map_typed.h>

static bool count_words(struct neap_map *map, FILE *in)
{
	char word[256]; /* neap-lint: allow dangling-stack: the map owns its keys, which are copies */
	uint32_t len = 0;
	for (int c = getc(in); len != 0 || c != EOF; c = c == EOF ? EOF : getc(in)) {
		if (c != EOF && isalnum(c)) {
			if (len < sizeof word)
				word[len++] = (char)tolower(c);
			continue;
		}
		if (len == 0)
			continue;
		uint64_t *count = counts_slot(map, (struct neap_str){word, len, 0}, NULL);
		if (count == NULL)
			return false;
		++*count;
		len = 0;
	}
	return !ferror(in);
}

struct row {
	struct neap_str word;
	uint64_t count;
};

static int by_count(const void *a, const void *b)
{
	const struct row *left = a, *right = b;
	return (left->count < right->count) - (left->count > right->count);
}

static void print_commonest(struct neap_map *map)
{
	size_t rows = 0;
	struct row *table = malloc((neap_map_len(map) + 1) * sizeof *table);
	if (table == NULL)
		return;
	neap_map_each (it, map)
		table[rows++] = (struct row){*(const struct neap_str *)it.key, *(uint64_t *)it.value};
	qsort(table, rows, sizeof *table, by_count);
	for (size_t i = 0; i < rows && i < 10; i++)
		printf("%8llu %.*s\n", (unsigned long long)table[i].count, (int)table[i].word.len,
		       table[i].word.ptr);
	free(table);
}

int main(int argc, char **argv)
{
	struct neap_map *map = counts_create(NULL);
	if (map == NULL)
		return EXIT_FAILURE;
	bool complete = argc > 1 || count_words(map, stdin);
	for (int i = 1; i < argc && complete; i++) {
		FILE *in = fopen(argv[i], "r");
		complete = in != NULL && count_words(map, in);
		if (!complete)
			perror(argv[i]);
		if (in != NULL)
			fclose(in);
	}
	print_commonest(map);
	counts_destroy(map);
	return complete ? EXIT_SUCCESS : EXIT_FAILURE;
}
