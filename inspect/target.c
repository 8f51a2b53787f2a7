/* target.c: what live processes and cores have in common. See target.h. */
#include "target.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

bool target_parse_address(const char *text, uint64_t *ret)
{
	char *end;
	errno = 0;
	*ret = strtoull(text, &end, 16);
	return errno == 0 && end != text && *end == '\0' && *ret != 0;
}

struct target *target_open(const char *name, const char *program, enum target_mode mode,
			   struct problem *problem)
{
	char *end;
	unsigned long pid = strtoul(name, &end, 10);
	if (*name >= '0' && *name <= '9' && *end == '\0' && pid > 0 && pid <= INT32_MAX)
		return target_live_open((int)pid, program, mode, problem);
	return target_core_open(name, program, problem);
}

bool target_read(struct target *target, uint64_t address, void *buffer, size_t size)
{
	target->reads++;
	size_t got = address + size < address ? 0 : target->ops->read(target, address, buffer, size);
	target->bytes += got;
	if (got == size)
		return true;
	target->fault = address + got;
	return false;
}

size_t target_read_pieces(struct target *target, const struct target_piece *pieces, size_t count)
{
	size_t whole = 0;
	while (whole < count && target->ops->read_pieces != NULL) {
		size_t got, asked = target->ops->read_pieces(target, pieces + whole, count - whole, &got);
		target->reads++;
		target->bytes += got;
		for (size_t i = 0; i < asked; i++, whole++) {
			if (got < pieces[whole].size)
				return whole;
			got -= pieces[whole].size;
		}
	}
	while (whole < count &&
	       target_read(target, pieces[whole].address, pieces[whole].buffer, pieces[whole].size))
		whole++;
	return whole;
}

const struct target_range *target_range_at(const struct target *target, uint64_t address)
{
	size_t low = 0, high = target->range_count;
	while (low < high) {
		size_t middle = (low + high) / 2;
		if (target->ranges[middle].end <= address)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == target->range_count || target->ranges[low].start > address)
		return NULL;
	return &target->ranges[low];
}

struct target_range *target_range_add(struct target *target, uint64_t start, uint64_t end, const char *path)
{
	target->ranges = make_room(target->ranges, target->range_count, &target->range_capacity,
				   sizeof *target->ranges);
	struct target_range *range = &target->ranges[target->range_count++];
	*range = (struct target_range){.start = start, .end = end, .path = take_text(path)};
	return range;
}

static int compare_ranges(const void *left, const void *right)
{
	const struct target_range *a = left, *b = right;
	if (a->start != b->start)
		return a->start < b->start ? -1 : 1;
	return 0;
}

void target_ranges_finish(struct target *target)
{
	if (target->range_count == 0)
		return;
	qsort(target->ranges, target->range_count, sizeof *target->ranges, compare_ranges);
	size_t kept = 0;
	for (size_t i = 0; i < target->range_count; i++) {
		struct target_range *range = &target->ranges[i];
		bool overlaps = kept > 0 && range->start < target->ranges[kept - 1].end;
		if (range->end > range->start && !overlaps)
			target->ranges[kept++] = *range;
		else
			free((char *)range->path);
	}
	target->range_count = kept;
}

void target_ranges_clear(struct target *target)
{
	for (size_t i = 0; i < target->range_count; i++)
		free((char *)target->ranges[i].path);
	target->range_count = 0;
}

void target_thread_add(struct target *target, int id, uint64_t sp, uint64_t pc)
{
	target->threads = make_room(target->threads, target->thread_count, &target->thread_capacity,
				    sizeof *target->threads);
	target->threads[target->thread_count++] = (struct target_thread){.id = id, .sp = sp, .pc = pc};
}

void target_thread_add_known(struct target *target, int id, const struct user_regs_struct *registers)
{
	target_thread_add(target, id, registers->rsp, registers->rip);
	target->threads[target->thread_count - 1].known = true;
	target->threads[target->thread_count - 1].registers = *registers;
}

void target_close(struct target *target)
{
	if (target == NULL)
		return;
	if (target->ops != NULL)
		target->ops->close(target);
	target_ranges_clear(target);
	free(target->ranges);
	free(target->threads);
	free(target->program);
	free(target->name);
	free(target);
}
