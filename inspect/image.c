/* image.c: see image.h.
 *
 * A chunk is 64 KiB: process_vm_readv costs about a microsecond a call and 0.5 ns a byte, so that a chunk
 * costs some 30 µs more than the page that was asked for, and a table of small records scattered over a few
 * megabytes (the runtime's mspans) is read in a few calls instead of one per record.
 *
 *   state of page = UNKNOWN -> LOADED | BAD        LOADED -> UNKNOWN only by image_forget
 *   LOADED + m    = read in moment m: old when m is less than the image's moment
 */
#include "image.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "freeze.h"
#include "residence.h"

enum { CHUNK_PAGES = 16, SMALL_CHUNK_PAGES = 2, RUN_PAGES = 2048 };
enum page_state { PAGE_UNKNOWN, PAGE_BAD, PAGE_LOADED };
static_assert(PAGE_LOADED + IMAGE_MOMENTS <= UINT8_MAX, "a byte holds the state of a page");

struct region {
	uint64_t start, end;
	uint8_t *local; /* NULL until something of the region was asked for */
	uint8_t *state; /* enum page_state per page */
};

struct piece {
	uint64_t address;
	size_t size;
};

struct image {
	struct target *target;
	struct region *regions;
	size_t count, capacity;
	size_t last;	    /* the region of the last look: most looks stay in one */
	size_t chunk_pages; /* what is read at once */
	uint64_t fault;
	uint8_t moment;
	struct piece *pieces; /* that image_renew has read, whole pages */
	size_t piece_count, piece_capacity;
};

static void add_region(struct image *image, uint64_t start, uint64_t end)
{
	image->regions = make_room(image->regions, image->count, &image->capacity, sizeof *image->regions);
	image->regions[image->count++] = (struct region){.start = start, .end = end};
}

struct image *image_create(struct target *target)
{
	struct image *image = take(1, sizeof *image);
	image->target = target;
	image->chunk_pages = CHUNK_PAGES;
	for (size_t i = 0; i < target->range_count; i++) {
		const struct target_range *range = &target->ranges[i];
		if (!range->readable)
			continue;
		struct region *before = image->count == 0 ? NULL : &image->regions[image->count - 1];
		if (before != NULL && before->end == range->start) {
			before->end = range->end;
			continue;
		}
		add_region(image, range->start, range->end);
	}
	return image;
}

static int compare_regions(const void *left, const void *right)
{
	const struct region *a = left, *b = right;
	return a->start < b->start ? -1 : a->start > b->start;
}

/* What is there stays in its place, because there are pointers to it: memory that grew becomes a region beside it. */
void image_extend(struct image *image)
{
	size_t known = image->count;
	for (size_t i = 0; i < image->target->range_count; i++) {
		const struct target_range *range = &image->target->ranges[i];
		uint64_t start = range->start;
		for (size_t at = 0; at < known && range->readable && start < range->end; at++) {
			const struct region region = image->regions[at];
			if (region.end <= start || region.start >= range->end)
				continue;
			if (region.start > start)
				add_region(image, start, region.start);
			start = region.end;
		}
		if (range->readable && start < range->end)
			add_region(image, start, range->end);
	}
	qsort(image->regions, image->count, sizeof *image->regions, compare_regions);
	image->last = 0;
}

void image_destroy(struct image *image)
{
	if (image == NULL)
		return;
	for (size_t i = 0; i < image->count; i++) {
		struct region *region = &image->regions[i];
		if (region->local != NULL)
			munmap(region->local, region->end - region->start);
		free(region->state);
	}
	free(image->regions);
	free(image->pieces);
	free(image);
}

static struct region *find_region(const struct image *image, uint64_t address)
{
	size_t low = 0, high = image->count;
	while (low < high) {
		size_t middle = (low + high) / 2;
		if (image->regions[middle].end <= address)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == image->count || image->regions[low].start > address)
		return NULL;
	return &image->regions[low];
}

static struct region *region_of(struct image *image, uint64_t address, size_t size)
{
	if (image->count == 0 || address + size < address)
		return NULL;
	struct region *region = &image->regions[image->last];
	if (address < region->start || address >= region->end) {
		region = find_region(image, address);
		if (region == NULL)
			return NULL;
		image->last = (size_t)(region - image->regions);
	}
	return address + size <= region->end ? region : NULL;
}

bool image_covers(const struct image *image, uint64_t address, size_t size)
{
	const struct region *region = find_region(image, address);
	return region != NULL && size <= region->end - address;
}

/* Address space only: a region of any size may be reserved, its pages cost when they are filled. */
static bool reserve(struct region *region)
{
	if (region->local != NULL)
		return true;
	size_t size = region->end - region->start;
	void *local =
		mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (local == MAP_FAILED)
		return false;
	region->local = local;
	region->state = take(size / TARGET_PAGE + 1, 1);
	return true;
}

static void load_pages(struct image *image, struct region *region, size_t first, size_t count)
{
	uint64_t at = (uint64_t)first * TARGET_PAGE;
	if (target_read(image->target, region->start + at, region->local + at, count * TARGET_PAGE)) {
		memset(region->state + first, PAGE_LOADED + image->moment, count);
		return;
	}
	for (size_t page = first; page < first + count; page++) {
		at = (uint64_t)page * TARGET_PAGE;
		bool read = target_read(image->target, region->start + at, region->local + at, TARGET_PAGE);
		region->state[page] = (uint8_t)(read ? PAGE_LOADED + image->moment : PAGE_BAD);
	}
}

static void load_unknown(struct image *image, struct region *region, size_t start, size_t end)
{
	for (size_t page = start; page < end;) {
		if (region->state[page] != PAGE_UNKNOWN) {
			page++;
			continue;
		}
		size_t run = 1;
		while (page + run < end && run < RUN_PAGES && region->state[page + run] == PAGE_UNKNOWN)
			run++;
		load_pages(image, region, page, run);
		page += run;
	}
}

/* Loads what is unknown of [first, last], and a chunk's neighbours with it. */
static void load(struct image *image, struct region *region, size_t first, size_t last)
{
	size_t pages = (region->end - region->start) / TARGET_PAGE;
	size_t start = first - first % image->chunk_pages;
	size_t end = last - last % image->chunk_pages + image->chunk_pages;
	load_unknown(image, region, start, end < pages ? end : pages);
}

void image_preload(struct image *image, uint64_t address, size_t size)
{
	struct region *region = region_of(image, address, size);
	if (region == NULL || size == 0 || !reserve(region))
		return;
	uint64_t offset = address - region->start;
	load_unknown(image, region, offset / TARGET_PAGE, (offset + size - 1) / TARGET_PAGE + 1);
}

void image_copy_writable(struct image *image, const struct residence *residence)
{
	for (size_t i = 0; i < residence->count; i++) {
		const struct resident_range *range = &residence->ranges[i];
		const struct target_range *of = target_range_at(image->target, range->start);
		struct region *region = find_region(image, range->start);
		if (of == NULL || !of->writable || region == NULL || range->end > region->end ||
		    !reserve(region))
			continue;
		size_t first = (range->start - region->start) / TARGET_PAGE;
		size_t pages = (range->end - range->start) / TARGET_PAGE;
		for (size_t page = 0; page < pages; page++)
			if (range->pages[page] != 0)
				region->state[first + page] = PAGE_UNKNOWN;
		for (size_t page = 0; page < pages; page++) {
			size_t run = 0;
			while (page + run < pages && range->pages[page + run] != 0)
				run++;
			if (run > 0)
				load_unknown(image, region, first + page, first + page + run);
			page += run;
		}
	}
}

void image_seal(struct image *image)
{
	for (size_t i = 0; i < image->target->range_count; i++) {
		const struct target_range *range = &image->target->ranges[i];
		struct region *region = find_region(image, range->start);
		if (!range->writable || !range->readable || region == NULL || !reserve(region))
			continue;
		/* what was not resident: never touched, and zero here as there; file pages come from the file */
		bool anonymous = range->path[0] == '\0' || range->path[0] == '[';
		size_t first = (range->start - region->start) / TARGET_PAGE;
		for (size_t page = 0; anonymous && page < (range->end - range->start) / TARGET_PAGE; page++)
			if (region->state[first + page] == PAGE_UNKNOWN)
				region->state[first + page] = PAGE_LOADED;
	}
}

void image_read_small(struct image *image)
{
	image->chunk_pages = SMALL_CHUNK_PAGES;
}

/* The look that most are: within one page that is here. */
static const void *look(const struct image *image, uint64_t address, size_t size)
{
	if (image->count == 0)
		return NULL;
	const struct region *region = &image->regions[image->last];
	uint64_t offset = address - region->start, page = offset / TARGET_PAGE;
	if (address < region->start || address >= region->end || region->state == NULL ||
	    size > TARGET_PAGE - offset % TARGET_PAGE || region->state[page] < PAGE_LOADED)
		return NULL;
	return region->local + offset;
}

const void *image_at(struct image *image, uint64_t address, size_t size)
{
	const void *here = look(image, address, size);
	if (here != NULL)
		return here;
	struct region *region = region_of(image, address, size);
	if (region == NULL || !reserve(region)) {
		image->fault = address;
		return NULL;
	}
	uint64_t offset = address - region->start;
	size_t first = offset / TARGET_PAGE, last = (offset + (size == 0 ? 0 : size - 1)) / TARGET_PAGE;
	for (size_t page = first; page <= last; page++) {
		if (region->state[page] == PAGE_UNKNOWN)
			load(image, region, page, last);
		if (region->state[page] == PAGE_BAD) {
			image->fault = region->start + (uint64_t)page * TARGET_PAGE;
			return NULL;
		}
	}
	return region->local + offset;
}

uint64_t image_fault(const struct image *image)
{
	return image->fault;
}

bool image_word(struct image *image, uint64_t address, uint64_t *ret)
{
	const void *word = image_at(image, address, sizeof *ret);
	if (word == NULL)
		return false;
	memcpy(ret, word, sizeof *ret);
	return true;
}

void image_forget(struct image *image, uint64_t address, size_t size)
{
	struct region *region = region_of(image, address, size);
	if (region == NULL || region->state == NULL)
		return;
	size_t first = (address - region->start) / TARGET_PAGE;
	size_t last = (address + size - 1 - region->start) / TARGET_PAGE;
	memset(region->state + first, PAGE_UNKNOWN, last - first + 1);
}

unsigned image_new_moment(struct image *image)
{
	assert(image->moment < IMAGE_MOMENTS);
	return ++image->moment;
}

static bool is_old(const struct image *image, const struct region *region, size_t page)
{
	return region->state[page] < PAGE_LOADED + image->moment;
}

/* The first run of old pages of [*first, end): returns its length, and moves *first to it. */
static size_t old_run(const struct image *image, const struct region *region, size_t *first, size_t end)
{
	size_t run = 0;
	while (*first < end && !is_old(image, region, *first))
		++*first;
	while (*first + run < end && is_old(image, region, *first + run))
		run++;
	return run;
}

void image_renew(struct image *image, uint64_t address, size_t size)
{
	struct region *region = region_of(image, address, size);
	if (region == NULL || size == 0 || !reserve(region))
		return;
	size_t first = (address - region->start) / TARGET_PAGE;
	size_t end = (address + size - 1 - region->start) / TARGET_PAGE + 1;
	for (size_t run; (run = old_run(image, region, &first, end)) > 0; first += run) {
		load_pages(image, region, first, run);
		image->pieces = make_room(image->pieces, image->piece_count, &image->piece_capacity,
					  sizeof *image->pieces);
		image->pieces[image->piece_count++] =
			(struct piece){region->start + first * TARGET_PAGE, run * TARGET_PAGE};
	}
}

size_t image_pieces(const struct image *image)
{
	return image->piece_count;
}

size_t image_piece_bytes(const struct image *image, size_t first, size_t end)
{
	size_t bytes = 0;
	for (size_t i = first; i < end; i++)
		bytes += image->pieces[i].size;
	return bytes;
}

/* What could not be read with the others is tried page by page. */
static void read_together(struct image *image, const struct target_piece *wanted, size_t count)
{
	for (size_t done = 0; done < count; done++) {
		size_t whole = target_read_pieces(image->target, wanted + done, count - done);
		for (size_t i = done; i < done + whole; i++) {
			struct region *region = find_region(image, wanted[i].address);
			memset(region->state + (wanted[i].address - region->start) / TARGET_PAGE,
			       PAGE_LOADED + image->moment, wanted[i].size / TARGET_PAGE);
		}
		done += whole;
		if (done < count) {
			struct region *region = find_region(image, wanted[done].address);
			load_pages(image, region, (wanted[done].address - region->start) / TARGET_PAGE,
				   wanted[done].size / TARGET_PAGE);
		}
	}
}

void image_renew_pieces(struct image *image, size_t first, size_t end)
{
	struct target_piece *wanted = NULL;
	size_t count = 0, capacity = 0;
	for (size_t i = first; i < end; i++) {
		const struct piece *piece = &image->pieces[i];
		struct region *region = region_of(image, piece->address, piece->size);
		size_t page = region == NULL ? 0 : (piece->address - region->start) / TARGET_PAGE;
		size_t past = page + piece->size / TARGET_PAGE;
		for (size_t run; region != NULL && (run = old_run(image, region, &page, past)) > 0;
		     page += run) {
			wanted = make_room(wanted, count, &capacity, sizeof *wanted);
			wanted[count++] =
				(struct target_piece){region->start + page * TARGET_PAGE,
						      region->local + page * TARGET_PAGE, run * TARGET_PAGE};
		}
	}
	read_together(image, wanted, count);
	free(wanted);
}

int image_copy_still(struct target *target, struct image **image, struct residence **residence,
		     struct problem *problem)
{
	struct freeze freeze;
	image_copy_writable(*image, *residence);
	if (target_stop(target, &freeze, problem) != 0)
		return -1;
	if (target_ranges_again(target)) {
		image_destroy(*image);
		*image = image_create(target);
	}
	residence_free(*residence);
	*residence = residence_take(target);
	image_copy_writable(*image, *residence);
	target_go_on(target, &freeze);
	image_seal(*image);
	target->changing = false;
	return 0;
}
