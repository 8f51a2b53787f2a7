/* image.h: a local copy of the target's memory, filled as it is asked for.
 *
 * An image has one local region per stretch of adjacent readable ranges, reserved at full size and empty;
 * chunks are copied on first use. A pointer that `image_at` returned stays valid until the image is
 * destroyed, and the bytes behind it never change unless `image_forget` was called: everything that is
 * computed from one image sees one state, however often it looks.
 */
#ifndef NEAP_INSPECT_IMAGE_H
#define NEAP_INSPECT_IMAGE_H

#include "target.h"

struct image;

struct image *image_create(struct target *target);
void image_destroy(struct image *image);

/* The local copy of [address, address + size), or NULL when a byte of it can't be read; then
   image_fault tells the first such address. */
const void *image_at(struct image *image, uint64_t address, size_t size);
uint64_t image_fault(const struct image *image);

/* Copies [address, address + size) now, and nothing beside it: for what will all be needed. */
void image_preload(struct image *image, uint64_t address, size_t size);

/* Copies every resident page of writable memory, whether it was copied before or not. */
struct residence;
void image_copy_writable(struct image *image, const struct residence *residence);

/* From now on anonymous memory is what was copied of it; pages that were not resident are zero. Memory that is never
   written, code and constants, is still read when it is asked for. */
void image_seal(struct image *image);

/* Copies the target's writable memory as it is at one moment, twice: while it runs, so that the memory for the copy is
   there, and again in one stop. Makes image and residence anew when the target's ranges have changed; seals the image.
   -1 and a problem when the target can't be stopped. */
int image_copy_still(struct target *target, struct image **image, struct residence **residence,
		     struct problem *problem);

/* From now on what is asked for is scattered: reads 8 KiB at a time instead of 64. */
void image_read_small(struct image *image);

/* One little-endian word; false when it can't be read. */
bool image_word(struct image *image, uint64_t address, uint64_t *ret);

/* Takes in memory that the target has mapped since: target_ranges_again was called. */
void image_extend(struct image *image);

/* Drops the copy of the pages of [address, address + size): the next look reads the target again. */
void image_forget(struct image *image, uint64_t address, size_t size);

/* A new moment begins; returns its number. What was read before it is old, and stays until image_renew comes by. There may
   be IMAGE_MOMENTS. */
enum { IMAGE_MOMENTS = 64 };
unsigned image_new_moment(struct image *image);

/* Reads again what is old of [address, address + size), into the same place: pointers to it stay valid. What it reads is
   noted as a piece; image_pieces tells how many there are. */
void image_renew(struct image *image, uint64_t address, size_t size);
size_t image_pieces(const struct image *image);

/* Reads again what is old of the pieces from `first` to before `end`, with as few calls as the target allows: what a
   rehearsal looked at is there when it counts. The other tells how many bytes they are. */
void image_renew_pieces(struct image *image, size_t first, size_t end);
size_t image_piece_bytes(const struct image *image, size_t first, size_t end);

/* True when [address, address + size) lies within readable memory of the target, read or not. */
bool image_covers(const struct image *image, uint64_t address, size_t size);

#endif
