/* golayout_check.c: compares the inspector's row for a Go version with the DWARF of a program of that version.
 *
 * usage: golayout_check PROGRAM      exit 1 when a field differs, 2 when the program tells too little
 */
#include <stdio.h>
#include <string.h>

#include "golayout.h"

enum { FIELDS_EXPECTED = 55 }; /* fewer means that the structs were not found, not that they agree */

static unsigned compare(const struct go_layout *row, const struct go_layout *truth)
{
	unsigned differing = 0;
	for (const struct go_layout_field *field = go_layout_fields; field->name != NULL; field++) {
		uint32_t ours, theirs;
		memcpy(&ours, (const char *)row + field->offset, sizeof ours);
		memcpy(&theirs, (const char *)truth + field->offset, sizeof theirs);
		if (ours == theirs)
			continue;
		printf("%s: the table says %u, DWARF %u\n", field->name, ours, theirs);
		differing++;
	}
	return differing;
}

int main(int argc, char **argv)
{
	char nothing[] = "";
	struct target target = {.program = argc == 2 ? argv[1] : nothing};
	struct problem problem = {0};
	struct go_version version;
	struct program *program = program_open(&target, &problem);
	if (program == NULL || program_go_version(program, &version, &problem) != 0) {
		fprintf(stderr, "golayout_check: %s\n", problem.text);
		return 2;
	}
	struct go_layout row;
	enum go_layout_source source;
	if (go_layout_choose(program, &version, &row, &source, &problem) != 0 ||
	    source != GO_LAYOUT_VERIFIED) {
		printf("%s has no row in the table\n", version.text);
		return 2;
	}
	struct go_layout truth = row;
	size_t known = go_layout_from_dwarf(program, &truth);
	unsigned differing = compare(&row, &truth);
	printf("%s: %zu fields in DWARF, %u differ from the table\n", version.text, known, differing);
	program_close(program);
	return differing > 0 ? 1 : known < FIELDS_EXPECTED ? 2 : 0;
}
