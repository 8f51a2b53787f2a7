/* program_version.c: the version of Go that a program was built with. See program.h.
 *
 * The linker writes it twice: into the build information, which has a section of its own, and into runtime.buildVersion, a
 * string variable. Some releases leave out the first (esbuild does, from 0.26 on); without symbols the second is the
 * string variable that begins with "go1.", the highest where there are several: the names of older releases that
 * go/build has are no higher.
 */
#include <gelf.h>
#include <stdio.h>
#include <string.h>

#include "program_state.h"

/* Build information: 14 bytes of magic, pointer size, flags (bit 1: the strings follow at byte 32, each with
   its length as a varint). Older forms point to the strings instead; no Go since 1.18 writes them. */
static const char buildinfo_magic[] = "\xff Go buildinf:";
enum { MAGIC_SIZE = 14, FLAGS_AT = 15, STRING_AT = 32, STRINGS_INLINE = 2 };

static bool parse_buildinfo(const uint8_t *bytes, size_t size, char *text, size_t text_size)
{
	if (size < STRING_AT + 2 || memcmp(bytes, buildinfo_magic, MAGIC_SIZE) != 0 ||
	    (bytes[FLAGS_AT] & STRINGS_INLINE) == 0)
		return false;
	size_t length = bytes[STRING_AT]; /* one byte is enough for a version */
	if (length >= 0x80 || length >= text_size || length > size - STRING_AT - 1)
		return false;
	memcpy(text, bytes + STRING_AT + 1, length);
	text[length] = '\0';
	return true;
}

static bool find_buildinfo(const struct program *program, char *text, size_t text_size)
{
	GElf_Shdr header;
	Elf_Scn *section = program_find_section(program, ".go.buildinfo", &header);
	Elf_Data *data = section == NULL ? NULL : elf_rawdata(section, NULL);
	if (data != NULL && parse_buildinfo(data->d_buf, data->d_size, text, text_size))
		return true;
	/* no section table: the magic stands 16-byte aligned somewhere in the file */
	size_t size;
	const char *file = elf_rawfile(program->elf, &size);
	for (size_t at = 0; file != NULL && at + STRING_AT < size; at += 16)
		if (parse_buildinfo((const uint8_t *)file + at, size - at, text, text_size))
			return true;
	return false;
}

/* The bytes of the file that are loaded at `address`, NULL when they are not `size` of them. */
static const char *loaded_at(const struct program *program, uint64_t address, uint64_t size)
{
	size_t headers = 0, file_size = 0;
	const char *file = elf_rawfile(program->elf, &file_size);
	if (file == NULL || elf_getphdrnum(program->elf, &headers) != 0)
		return NULL;
	for (size_t i = 0; i < headers; i++) {
		GElf_Phdr header;
		if (gelf_getphdr(program->elf, (int)i, &header) == NULL || header.p_type != PT_LOAD ||
		    address < header.p_vaddr || address - header.p_vaddr >= header.p_filesz ||
		    size > header.p_filesz - (address - header.p_vaddr))
			continue;
		uint64_t at = header.p_offset + (address - header.p_vaddr);
		return header.p_offset <= file_size && at <= file_size && size <= file_size - at ? file + at
												 : NULL;
	}
	return NULL;
}

/* "go1.25", "go1.25.5", "go1.25.5 X:experiment": 100 * 25 + 5; -1 when it is none. */
static int rank(const char *text)
{
	int minor, patch = 0;
	return sscanf(text, "go1.%d.%d", &minor, &patch) < 1 ? -1 : 100 * minor + patch;
}

static bool find_variable(const struct program *program, char *text, size_t text_size)
{
	GElf_Shdr header;
	Elf_Scn *section = program_find_section(program, ".data", &header);
	Elf_Data *data = section == NULL ? NULL : elf_rawdata(section, NULL);
	int best = -1;
	if (data == NULL || data->d_buf == NULL ||
	    program_find_section(program, ".gopclntab", &header) == NULL)
		return false;
	for (size_t at = 0; at + 16 <= data->d_size; at += 8) {
		uint64_t words[2]; /* a string: address, length */
		char found[64];
		memcpy(words, (const char *)data->d_buf + at, sizeof words);
		if (words[1] < 5 || words[1] >= sizeof found || words[1] >= text_size)
			continue;
		const char *bytes = loaded_at(program, words[0], words[1]);
		if (bytes == NULL || memcmp(bytes, "go1.", 4) != 0)
			continue;
		memcpy(found, bytes, words[1]);
		found[words[1]] = '\0';
		if (rank(found) > best) {
			best = rank(found);
			memcpy(text, found, words[1] + 1);
		}
	}
	return best >= 0;
}

int program_go_version(const struct program *program, struct go_version *ret, struct problem *problem)
{
	*ret = (struct go_version){.patch = -1, .experiments = ""};
	if (!find_buildinfo(program, ret->text, sizeof ret->text) &&
	    !find_variable(program, ret->text, sizeof ret->text))
		return problem_set(problem, PROBLEM_INPUT,
				   "not a Go program (no build information), or one built before Go 1.18");
	char *space = strchr(ret->text, ' ');
	char *dash = strstr(ret->text, "-X:");
	if (space != NULL && strncmp(space, " X:", 3) == 0) {
		ret->experiments = space + 3;
		*space = '\0';
	} else if (dash != NULL) {
		ret->experiments = dash + 3;
		*dash = '\0';
	}
	if (sscanf(ret->text, "go1.%d.%d", &ret->minor, &ret->patch) < 1)
		return problem_set(problem, PROBLEM_FEATURE, "this Go version is not known: \"%s\"",
				   ret->text);
	return 0;
}
