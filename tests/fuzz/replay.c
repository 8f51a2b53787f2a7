/* replay.c: runs the inputs of a corpus through the fuzzer's function, without libFuzzer.
 *
 * usage: replay CORPUS             every line of the corpus; exits 1 when the file holds none
 *        replay CORPUS DIRECTORY   also writes each as a file there, for libFuzzer
 *        replay FILE...            with --raw first: whole files of bytes, as libFuzzer leaves them
 *
 * A corpus is text: lines of hexadecimal bytes; lines that begin with '#' are comments.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

enum { LONGEST = 1 << 16 };

static uint8_t bytes[LONGEST];

static size_t read_hex(const char *line)
{
	size_t size = 0;
	unsigned byte;
	for (int used; sscanf(line, " %2x%n", &byte, &used) == 1 && size < LONGEST; line += used)
		bytes[size++] = (uint8_t)byte;
	return size;
}

static int write_out(const char *directory, int number, size_t size)
{
	char path[4096];
	snprintf(path, sizeof path, "%s/%03d", directory, number);
	FILE *file = fopen(path, "wb");
	if (file == NULL || fwrite(bytes, 1, size, file) != size || fclose(file) != 0) {
		perror(path);
		return 1;
	}
	return 0;
}

static int replay_corpus(const char *path, const char *directory)
{
	static char line[2 * LONGEST + 2];
	FILE *corpus = fopen(path, "r");
	if (corpus == NULL) {
		perror(path);
		return 1;
	}
	int inputs = 0;
	while (fgets(line, sizeof line, corpus) != NULL) {
		if (line[0] == '#' || line[0] == '\n')
			continue;
		size_t size = read_hex(line);
		printf("input %d: %zu bytes\n", inputs, size);
		fflush(stdout);
		if (directory != NULL && write_out(directory, inputs, size) != 0)
			return 1;
		LLVMFuzzerTestOneInput(bytes, size);
		inputs++;
	}
	fclose(corpus);
	printf("%d inputs replayed\n", inputs);
	return inputs == 0;
}

static int replay_raw(const char *path)
{
	FILE *file = fopen(path, "rb");
	if (file == NULL) {
		perror(path);
		return 1;
	}
	size_t size = fread(bytes, 1, sizeof bytes, file);
	fclose(file);
	printf("%s: %zu bytes\n", path, size);
	fflush(stdout);
	LLVMFuzzerTestOneInput(bytes, size);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc > 2 && strcmp(argv[1], "--raw") == 0) {
		for (int i = 2; i < argc; i++)
			if (replay_raw(argv[i]) != 0)
				return 1;
		return 0;
	}
	if (argc < 2 || argc > 3) {
		fprintf(stderr, "usage: replay CORPUS [DIRECTORY] | replay --raw FILE...\n");
		return 2;
	}
	return replay_corpus(argv[1], argc > 2 ? argv[2] : NULL);
}
