/* target_core.c: a core file, as the kernel or gcore writes it.
 *
 * A core is an ELF file: PT_LOAD segments hold memory, PT_NOTE the registers of each thread (NT_PRSTATUS),
 * the auxiliary vector and the list of mapped files (NT_FILE). Text and constants that were never written
 * are usually left out; they are taken from the executable and the libraries themselves, which must therefore be the same
 * files.
 *
 * Nothing in the file is believed before it was measured against the file's size.
 */
#include <assert.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/procfs.h>
#include <sys/stat.h>
#include <sys/user.h>
#include <unistd.h>

#include "target.h"

struct mapped_file {
	const uint8_t *bytes;
	size_t size;
};

struct core {
	struct mapped_file dump, program;
	int file;		  /* the dump, to ask for its holes */
	const uint8_t *file_note; /* NT_FILE */
	size_t file_note_size;
	struct mapped_file *libraries;
	size_t library_count, library_capacity;
	const char *library; /* the path of the last one: its lines follow each other */
};

static bool map_file(const char *path, struct mapped_file *ret)
{
	int file = open(path, O_RDONLY | O_CLOEXEC);
	struct stat status;
	if (file < 0)
		return false;
	bool usable = fstat(file, &status) == 0 && S_ISREG(status.st_mode) && status.st_size > 0;
	void *bytes =
		usable ? mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, file, 0) : MAP_FAILED;
	close(file);
	if (bytes == MAP_FAILED) {
		errno = usable ? errno : ENODATA; /* empty, or no file */
		return false;
	}
	*ret = (struct mapped_file){bytes, (size_t)status.st_size};
	return true;
}

static void unmap_file(struct mapped_file *file)
{
	if (file->bytes != NULL)
		munmap((void *)file->bytes, file->size);
}

static size_t core_read(struct target *target, uint64_t address, void *buffer, size_t size)
{
	size_t done = 0;
	while (done < size) {
		const struct target_range *range = target_range_at(target, address + done);
		if (range == NULL)
			break;
		uint64_t offset = address + done - range->start;
		bool dumped = offset < range->byte_count;
		if (!dumped && offset >= range->file_count)
			break;
		uint64_t left = (dumped ? range->byte_count : range->file_count) - offset;
		size_t part = left < size - done ? left : size - done;
		memcpy((char *)buffer + done, (dumped ? range->bytes : range->file_bytes) + offset, part);
		done += part;
	}
	return done;
}

static bool is_zero_page(const uint8_t *page)
{
	return page[0] == 0 && memcmp(page, page + 1, TARGET_PAGE - 1) == 0;
}

/* A core does not tell which pages were resident. What was never touched is a hole in the kernel's cores and zeroes in
   gcore's: pages that hold nothing but zeroes are taken for not resident, though some of them may have been. */
static void core_resident(struct target *target, uint64_t start, size_t count, uint8_t *pages)
{
	const struct core *core = target->state;
	const struct target_range *range = target_range_at(target, start);
	uint64_t data = 0, hole = 0; /* offsets in the file: what lies between is no hole */
	memset(pages, 0, count);
	for (size_t i = 0; range != NULL && i < count; i++) {
		uint64_t offset = start + i * TARGET_PAGE - range->start;
		if (offset + TARGET_PAGE > range->byte_count)
			return;
		const uint8_t *page = range->bytes + offset;
		off_t at = page - core->dump.bytes;
		if ((uint64_t)at >= hole) {
			off_t next = lseek(core->file, at, SEEK_DATA);
			data = next >= 0 ? (uint64_t)next : errno == ENXIO ? UINT64_MAX : (uint64_t)at;
			next = data == UINT64_MAX ? -1 : lseek(core->file, (off_t)data, SEEK_HOLE);
			hole = next >= 0 ? (uint64_t)next : UINT64_MAX;
		}
		pages[i] = (uint64_t)at + TARGET_PAGE > data && !is_zero_page(page);
	}
}

static void core_close(struct target *target)
{
	struct core *core = target->state;
	unmap_file(&core->dump);
	unmap_file(&core->program);
	for (size_t i = 0; i < core->library_count; i++)
		unmap_file(&core->libraries[i]);
	free(core->libraries);
	if (core->file >= 0)
		close(core->file);
	free(core);
}

static const struct target_ops core_ops = {core_read, core_resident, core_close, NULL};

static void take_segment(struct target *target, const struct core *core, const Elf64_Phdr *segment)
{
	if (segment->p_vaddr + segment->p_memsz < segment->p_vaddr)
		return;
	/* a core that was cut short ends within a segment, or before it */
	uint64_t at = segment->p_offset < core->dump.size ? segment->p_offset : core->dump.size;
	uint64_t present = core->dump.size - at;
	if (present > segment->p_filesz)
		present = segment->p_filesz;
	if (present > segment->p_memsz)
		present = segment->p_memsz;
	struct target_range *range =
		target_range_add(target, segment->p_vaddr, segment->p_vaddr + segment->p_memsz, "");
	range->readable = (segment->p_flags & PF_R) != 0;
	range->writable = (segment->p_flags & PF_W) != 0;
	range->bytes = core->dump.bytes + at;
	range->byte_count = present;
	target->cut |= present < segment->p_filesz;
}

static void take_thread(struct target *target, const uint8_t *note, size_t size)
{
	struct elf_prstatus status;
	if (size < sizeof status)
		return;
	memcpy(&status, note, sizeof status);
	struct user_regs_struct registers;
	static_assert(sizeof registers <= sizeof status.pr_reg, "the registers of x86-64");
	memcpy(&registers, &status.pr_reg, sizeof registers);
	if (target->pid == 0)
		target->pid = status.pr_pid;
	target_thread_add_known(target, status.pr_pid, &registers);
}

static void take_note(struct target *target, struct core *core, uint32_t type, const uint8_t *note,
		      size_t size)
{
	if (type == NT_PRSTATUS)
		take_thread(target, note, size);
	if (type == NT_FILE && core->file_note == NULL) {
		core->file_note = note;
		core->file_note_size = size;
	}
	for (size_t at = 0; type == NT_AUXV && at + sizeof(Elf64_auxv_t) <= size;
	     at += sizeof(Elf64_auxv_t)) {
		Elf64_auxv_t word;
		memcpy(&word, note + at, sizeof word);
		if (word.a_type == AT_ENTRY)
			target->entry = word.a_un.a_val;
	}
}

static void take_notes(struct target *target, struct core *core, const Elf64_Phdr *segment)
{
	if (segment->p_offset > core->dump.size || segment->p_filesz > core->dump.size - segment->p_offset) {
		target->cut = true;
		return;
	}
	const uint8_t *note = core->dump.bytes + segment->p_offset;
	size_t left = segment->p_filesz;
	Elf64_Nhdr header;
	while (left >= sizeof header) {
		memcpy(&header, note, sizeof header);
		size_t name = ((size_t)header.n_namesz + 3) & ~(size_t)3;
		size_t body = ((size_t)header.n_descsz + 3) & ~(size_t)3;
		if (left - sizeof header < name || left - sizeof header - name < header.n_descsz)
			return;
		take_note(target, core, header.n_type, note + sizeof header + name, header.n_descsz);
		size_t step = sizeof header + name + body;
		if (step >= left)
			return;
		note += step;
		left -= step;
	}
}

/* One line of NT_FILE: count, page size, then (start, end, page offset) per file, then the names. */
struct file_line {
	uint64_t start, end, offset;
	const char *path;
};

typedef void (*file_line_fn)(struct target *target, const struct file_line *line);

static void each_file(struct target *target, file_line_fn visit)
{
	const struct core *core = target->state;
	uint64_t head[2];
	if (core->file_note_size < sizeof head)
		return;
	memcpy(head, core->file_note, sizeof head);
	uint64_t count = head[0], page = head[1];
	if (count > (core->file_note_size - sizeof head) / 25) /* three words and a name's end each */
		return;
	const char *name = (const char *)core->file_note + sizeof head + count * 24;
	const char *end = (const char *)core->file_note + core->file_note_size;
	for (uint64_t i = 0; i < count && memchr(name, '\0', (size_t)(end - name)) != NULL; i++) {
		uint64_t words[3];
		memcpy(words, core->file_note + sizeof head + i * sizeof words, sizeof words);
		visit(target, &(struct file_line){words[0], words[1], words[2] * page, name});
		name += strlen(name) + 1;
	}
}

/* The range that begins at `start`; new ranges stand unsorted at the end, hence no binary search. */
static struct target_range *range_from(struct target *target, uint64_t start)
{
	for (size_t i = 0; i < target->range_count; i++)
		if (target->ranges[i].start == start)
			return &target->ranges[i];
	return NULL;
}

/* Writable data of programs and libraries is known by its file. */
static void name_range(struct target *target, const struct file_line *line)
{
	struct target_range *range = range_from(target, line->start);
	if (range == NULL || range->path[0] != '\0')
		return;
	free((char *)range->path);
	range->path = take_text(line->path);
}

static void find_program(struct target *target, const struct file_line *line)
{
	if (target->entry < line->start || target->entry >= line->end)
		return;
	const char *base = strrchr(line->path, '/');
	if (target->name == NULL)
		target->name = take_text(base != NULL ? base + 1 : line->path);
	if (target->program == NULL)
		target->program = take_text(line->path);
}

/* Backs the ranges of the executable by its file, for what was left out of the dump. */
static void lay_file(struct target *target, const struct file_line *line, const struct mapped_file *file)
{
	if (line->offset >= file->size)
		return;
	struct target_range *range = range_from(target, line->start);
	if (range == NULL)
		range = target_range_add(target, line->start, line->end, line->path);
	uint64_t present = file->size - line->offset;
	range->readable = true;
	range->file_bytes = file->bytes + line->offset;
	range->file_count = present < range->end - range->start ? present : range->end - range->start;
}

static bool is_program(const struct target *target, const struct file_line *line)
{
	const char *base = strrchr(line->path, '/');
	return strcmp(base != NULL ? base + 1 : line->path, target->name) == 0;
}

static void lay_program(struct target *target, const struct file_line *line)
{
	const struct core *core = target->state;
	if (is_program(target, line))
		lay_file(target, line, &core->program);
}

/* The same for libraries, of which only what nobody writes is sure to be as in the file. Data files are none. */
static void lay_library(struct target *target, const struct file_line *line)
{
	struct core *core = target->state;
	const struct target_range *range = range_from(target, line->start);
	if (is_program(target, line) || (range != NULL && range->writable))
		return;
	if (core->library == NULL || strcmp(core->library, line->path) != 0) {
		struct mapped_file file = {0};
		(void)map_file(line->path, &file);
		core->library = line->path;
		core->libraries = make_room(core->libraries, core->library_count, &core->library_capacity,
					    sizeof *core->libraries);
		core->libraries[core->library_count++] = file;
	}
	const struct mapped_file *file = &core->libraries[core->library_count - 1];
	if (file->size > SELFMAG && memcmp(file->bytes, ELFMAG, SELFMAG) == 0)
		lay_file(target, line, file);
}

/* gcore writes the notes last, and a core that was cut short has lost them. A program that is not relocated
   can still be laid where it was linked for. */
static void lay_segments(struct target *target)
{
	const struct core *core = target->state;
	const struct mapped_file *program = &core->program;
	Elf64_Ehdr header;
	if (program->size < sizeof header)
		return;
	memcpy(&header, program->bytes, sizeof header);
	if (memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 || header.e_type != ET_EXEC ||
	    header.e_phentsize != sizeof(Elf64_Phdr) || header.e_phoff > program->size ||
	    (program->size - header.e_phoff) / sizeof(Elf64_Phdr) < header.e_phnum)
		return;
	for (unsigned i = 0; i < header.e_phnum; i++) {
		Elf64_Phdr segment;
		memcpy(&segment, program->bytes + header.e_phoff + i * sizeof segment, sizeof segment);
		uint64_t lead = segment.p_vaddr % TARGET_PAGE;
		if (segment.p_type == PT_LOAD && segment.p_offset >= lead && segment.p_filesz < program->size)
			lay_program(target, &(struct file_line){segment.p_vaddr - lead,
								segment.p_vaddr + segment.p_filesz,
								segment.p_offset - lead, target->name});
	}
}

static int read_core(struct target *target, struct core *core, const char *path, struct problem *problem)
{
	Elf64_Ehdr header;
	if (core->dump.size < sizeof header)
		return problem_set(problem, PROBLEM_INPUT, "%s is neither a process nor a core file", path);
	memcpy(&header, core->dump.bytes, sizeof header);
	if (memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 || header.e_type != ET_CORE)
		return problem_set(problem, PROBLEM_INPUT, "%s is neither a process nor a core file", path);
	if (header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_machine != EM_X86_64)
		return problem_set(problem, PROBLEM_FEATURE, "%s is not a core of an x86-64 process", path);
	if (header.e_phentsize != sizeof(Elf64_Phdr) || header.e_phoff > core->dump.size ||
	    (core->dump.size - header.e_phoff) / sizeof(Elf64_Phdr) < header.e_phnum)
		return problem_set(problem, PROBLEM_INPUT,
				   "%s: the segment table at offset %" PRIu64
				   " does not fit in the file: the core is cut short",
				   path, header.e_phoff);
	for (unsigned i = 0; i < header.e_phnum; i++) {
		Elf64_Phdr segment;
		memcpy(&segment, core->dump.bytes + header.e_phoff + i * sizeof segment, sizeof segment);
		if (segment.p_type == PT_LOAD)
			take_segment(target, core, &segment);
		if (segment.p_type == PT_NOTE)
			take_notes(target, core, &segment);
	}
	target_ranges_finish(target);
	if (target->range_count == 0)
		return problem_set(problem, PROBLEM_INPUT, "%s holds no memory", path);
	return 0;
}

static int open_core(struct target *target, const char *path, const char *program, struct problem *problem)
{
	struct core *core = target->state;
	core->file = open(path, O_RDONLY | O_CLOEXEC);
	if (core->file < 0 || !map_file(path, &core->dump))
		return problem_set(problem, PROBLEM_NO_TARGET, "can't open %s: %s", path, strerror(errno));
	if (read_core(target, core, path, problem) != 0)
		return -1;
	if (program != NULL)
		target->program = take_text(program);
	each_file(target, name_range);
	each_file(target, find_program);
	if (target->program == NULL)
		return problem_set(problem, PROBLEM_INPUT,
				   "%s does not tell which program it is of; name it with --program FILE",
				   path);
	if (target->name == NULL) {
		const char *base = strrchr(target->program, '/');
		target->name = take_text(base != NULL ? base + 1 : target->program);
	}
	if (!map_file(target->program, &core->program))
		return problem_set(
			problem, PROBLEM_NO_TARGET,
			"can't open %s, the program that the core is of; name it with --program FILE",
			target->program);
	if (core->file_note != NULL) {
		each_file(target, lay_program);
		each_file(target, lay_library);
	} else {
		lay_segments(target);
	}
	target_ranges_finish(target);
	return 0;
}

struct target *target_core_open(const char *path, const char *program, struct problem *problem)
{
	struct target *target = take(1, sizeof *target);
	target->ops = &core_ops;
	target->state = take(1, sizeof(struct core));
	if (open_core(target, path, program, problem) == 0)
		return target;
	target_close(target);
	return NULL;
}
