/* pprof.c: a profile as profile.proto in a gzip file, as `go tool pprof` reads it.
 *
 * Protocol buffers need little: a field is its number and wire type, then a number in base 128 or a length and
 * bytes. A message in a message is built in a buffer of its own first, because its length comes before it. Fields
 * may come in any order, so strings are written when they are first needed, and each gets the next number.
 *
 * gzip allows blocks that are stored as they are, so no compressor is needed here: a profile of a thousand sites is
 * 100 KB, and tools that keep many compress it.
 *
 * A location's number is its address. Names in brackets, which have none, are numbers from 1 on: no code is there.
 */
#include <elf.h>
#include <link.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "observe/profile.h"
#include "observe/sites.h"

/* ---- gzip ---- */

enum { BLOCK_MOST = 16384 };

struct gzip_writer {
	neap_write_fn *write;
	void *ctx;
	int error; /* the first that `write` returned */
	uint32_t crc, total;
	size_t len;
	uint8_t block[BLOCK_MOST];
};

static void gzip_raw(struct gzip_writer *out, const void *bytes, size_t size)
{
	if (out->error == 0)
		out->error = out->write(out->ctx, bytes, size);
}

/* CRC-32 of ISO 3309, four bits at a time. */
static uint32_t crc_of(uint32_t crc, const uint8_t *bytes, size_t size)
{
	static const uint32_t nibble[16] = {0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac,
					    0x76dc4190, 0x6b6b51f4, 0x4db26158, 0x5005713c,
					    0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c,
					    0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c};
	crc = ~crc;
	for (size_t i = 0; i < size; i++) {
		crc = nibble[(crc ^ bytes[i]) & 15] ^ crc >> 4;
		crc = nibble[(crc ^ bytes[i] >> 4) & 15] ^ crc >> 4;
	}
	return ~crc;
}

static void gzip_block(struct gzip_writer *out, bool last)
{
	uint16_t len = (uint16_t)out->len, not_len = (uint16_t)~len;
	const uint8_t head[5] = {last, (uint8_t)len, (uint8_t)(len >> 8), (uint8_t)not_len,
				 (uint8_t)(not_len >> 8)};
	gzip_raw(out, head, sizeof head);
	gzip_raw(out, out->block, out->len);
	out->crc = crc_of(out->crc, out->block, out->len);
	out->total += (uint32_t)out->len;
	out->len = 0;
}

static void gzip_put(struct gzip_writer *out, const void *bytes, size_t size)
{
	const uint8_t *from = bytes;
	while (size > 0) {
		size_t n = BLOCK_MOST - out->len < size ? BLOCK_MOST - out->len : size;
		memcpy(out->block + out->len, from, n);
		out->len += n;
		from += n;
		size -= n;
		if (out->len == BLOCK_MOST)
			gzip_block(out, false);
	}
}

static void gzip_begin(struct gzip_writer *out, neap_write_fn *write, void *ctx)
{
	static const uint8_t head[10] = {0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255};
	out->write = write;
	out->ctx = ctx;
	out->error = 0;
	out->crc = out->total = 0;
	out->len = 0;
	gzip_raw(out, head, sizeof head);
}

static int gzip_end(struct gzip_writer *out)
{
	uint8_t tail[8];
	gzip_block(out, true);
	for (int i = 0; i < 4; i++) {
		tail[i] = (uint8_t)(out->crc >> 8 * i);
		tail[4 + i] = (uint8_t)(out->total >> 8 * i);
	}
	gzip_raw(out, tail, sizeof tail);
	return out->error;
}

/* ---- Protocol buffers ---- */

enum {
	MESSAGE_MOST = 2048
}; /* the longest here is a sample: 48 addresses, 9 values, 2 labels: under 700 bytes */

struct message {
	size_t len;
	uint8_t bytes[MESSAGE_MOST];
};

static void put_bytes(struct message *to, const void *bytes, size_t size)
{
	if (size > MESSAGE_MOST - to->len) /* a file's path may be longer: cut */
		size = MESSAGE_MOST - to->len;
	memcpy(to->bytes + to->len, bytes, size);
	to->len += size;
}

static void put_varint(struct message *to, uint64_t value)
{
	uint8_t byte[10];
	size_t n = 0;
	do {
		byte[n++] = (uint8_t)(value | 0x80);
		value >>= 7;
	} while (value != 0);
	byte[n - 1] &= 0x7f;
	put_bytes(to, byte, n);
}

static void field_number(struct message *to, unsigned field, uint64_t value)
{
	if (value == 0)
		return;
	put_varint(to, field << 3);
	put_varint(to, value);
}

static void field_bytes(struct message *to, unsigned field, const void *bytes, size_t size)
{
	put_varint(to, field << 3 | 2);
	put_varint(to, size);
	put_bytes(to, bytes, size);
}

/* ---- The profile ---- */

enum profile_field {
	PROFILE_SAMPLE_TYPE = 1,
	PROFILE_SAMPLE = 2,
	PROFILE_MAPPING = 3,
	PROFILE_LOCATION = 4,
	PROFILE_FUNCTION = 5,
	PROFILE_STRING = 6,
	PROFILE_TIME = 9,
	PROFILE_DURATION = 10,
	PROFILE_PERIOD_TYPE = 11,
	PROFILE_PERIOD = 12,
	PROFILE_DEFAULT_TYPE = 14
};

enum { FRAMES_NAMED = 16, OBJECTS_MOST = 1024 };

struct object {
	uintptr_t start, end;
	uint64_t offset, filename, build_id; /* the latter two are numbers of strings */
};

struct pprof {
	struct gzip_writer out;
	uint64_t strings; /* written so far */
	uint64_t bytes_unit, count_unit, map_key, kind_key;
	const char *frame[FRAMES_NAMED]; /* location number i + 1 */
	unsigned frames;
	unsigned objects;
	struct object object[OBJECTS_MOST];
	size_t addresses, room;
	uintptr_t address[]; /* of all frames, then sorted and each once */
};

static void put_field(struct pprof *file, unsigned field, const void *bytes, size_t size)
{
	struct message head = {0};
	put_varint(&head, field << 3 | 2);
	put_varint(&head, size);
	gzip_put(&file->out, head.bytes, head.len);
	gzip_put(&file->out, bytes, size);
}

static void put_message(struct pprof *file, unsigned field, const struct message *message)
{
	put_field(file, field, message->bytes, message->len);
}

static void put_number(struct pprof *file, unsigned field, uint64_t value)
{
	struct message number = {0};
	field_number(&number, field, value);
	gzip_put(&file->out, number.bytes, number.len);
}

static uint64_t put_string(struct pprof *file, const char *text)
{
	put_field(file, PROFILE_STRING, text, strlen(text));
	return file->strings++;
}

static void put_value_type(struct pprof *file, unsigned field, uint64_t type, uint64_t unit)
{
	struct message message = {0};
	field_number(&message, 1, type);
	field_number(&message, 2, unit);
	put_message(file, field, &message);
}

static void put_types(struct pprof *file)
{
	static const char *const type[NEAP_PROFILE_TYPES] = {
		"alloc_objects",   "alloc_space", "inuse_objects",   "inuse_space", "live_space",
		"tombstone_space", "empty_space", "free_held_space", "other_space"};
	for (int i = 0; i < NEAP_PROFILE_TYPES; i++) {
		bool objects = i == NEAP_PROFILE_ALLOC_OBJECTS || i == NEAP_PROFILE_INUSE_OBJECTS;
		uint64_t name = put_string(file, type[i]);
		put_value_type(file, PROFILE_SAMPLE_TYPE, name,
			       objects ? file->count_unit : file->bytes_unit);
		if (i == NEAP_PROFILE_INUSE_SPACE)
			put_number(file, PROFILE_DEFAULT_TYPE, name);
	}
	put_value_type(file, PROFILE_PERIOD_TYPE, put_string(file, "space"), file->bytes_unit);
}

/* ---- Samples ---- */

static uint64_t named_location(struct pprof *file, const char *frame)
{
	for (unsigned i = 0; i < file->frames; i++)
		if (file->frame[i] == frame)
			return i + 1;
	if (file->frames < FRAMES_NAMED)
		file->frame[file->frames++] = frame;
	return file->frames;
}

static void put_locations_of(struct pprof *file, const struct neap__row *row, struct message *sample)
{
	struct message ids = {0};
	struct neap__site site;
	if (row->site == 0) {
		put_varint(&ids, named_location(file, row->frame));
	} else {
		neap__site_get(row->site, &site);
		for (uint32_t i = 0; i < site.depth; i++) {
			put_varint(&ids, site.frame[i]);
			if (file->addresses < file->room)
				file->address[file->addresses++] = site.frame[i];
		}
	}
	field_bytes(sample, 1, ids.bytes, ids.len);
}

static void put_label(struct message *sample, uint64_t key, uint64_t text)
{
	struct message label = {0};
	field_number(&label, 1, key);
	field_number(&label, 2, text);
	field_bytes(sample, 3, label.bytes, label.len);
}

static void put_row(struct pprof *file, const struct neap__row *row)
{
	struct message sample = {0}, values = {0};
	bool any = false;
	for (int i = 0; i < NEAP_PROFILE_TYPES; i++) {
		any |= row->value[i] != 0;
		put_varint(&values, (uint64_t)row->value[i]);
	}
	if (!any)
		return;
	put_locations_of(file, row, &sample);
	field_bytes(&sample, 2, values.bytes, values.len);
	if (row->kind == NEAP__ROW_MAP && row->noun != NULL) {
		put_label(&sample, file->map_key,
			  put_string(file, row->name[0] != '\0' ? row->name : "unnamed"));
		put_label(&sample, file->kind_key, put_string(file, row->noun));
	}
	put_message(file, PROFILE_SAMPLE, &sample);
}

/* ---- Objects: the files whose code is mapped ---- */

/* The note of the linker that names a build, in hexadecimal; empty when there is none. */
static void find_build_id(const struct dl_phdr_info *info, const ElfW(Phdr) * header, char ret[129])
{
	const char *at = (const char *)(info->dlpi_addr + header->p_vaddr), *end = at + header->p_memsz;
	while (end - at >= (ptrdiff_t)sizeof(ElfW(Nhdr))) {
		ElfW(Nhdr) note;
		memcpy(&note, at, sizeof note);
		const char *name = at + sizeof note, *bytes = name + ((note.n_namesz + 3u) & ~3u);
		if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == 4 && memcmp(name, "GNU", 4) == 0 &&
		    note.n_descsz <= 64) {
			for (unsigned i = 0; i < note.n_descsz; i++)
				snprintf(ret + 2 * i, 3, "%02x", (unsigned)(uint8_t)bytes[i]);
			return;
		}
		at = bytes + ((note.n_descsz + 3u) & ~3u);
	}
}

static uint64_t put_filename(struct pprof *file, const char *name)
{
	char own[1024];
	if (*name == '\0') {
		ssize_t len = readlink("/proc/self/exe", own, sizeof own - 1);
		own[len > 0 ? len : 0] = '\0';
		name = own;
	}
	return put_string(file, name);
}

static int note_object(struct dl_phdr_info *info, size_t size, void *ctx)
{
	(void)size;
	struct pprof *file = ctx;
	char build_id[129] = "";
	for (unsigned i = 0; i < info->dlpi_phnum; i++)
		if (info->dlpi_phdr[i].p_type == PT_NOTE && build_id[0] == '\0')
			find_build_id(info, &info->dlpi_phdr[i], build_id);
	for (unsigned i = 0; i < info->dlpi_phnum && file->objects < OBJECTS_MOST; i++) {
		const ElfW(Phdr) *header = &info->dlpi_phdr[i];
		if (header->p_type != PT_LOAD || (header->p_flags & PF_X) == 0)
			continue;
		uintptr_t start = info->dlpi_addr + header->p_vaddr, lead = start & 4095;
		file->object[file->objects++] =
			(struct object){.start = start - lead,
					.end = (start + header->p_memsz + 4095) & ~(uintptr_t)4095,
					.offset = header->p_offset - lead,
					.filename = put_filename(file, info->dlpi_name),
					.build_id = put_string(file, build_id)};
	}
	return 0;
}

static void put_objects(struct pprof *file)
{
	dl_iterate_phdr(note_object, file);
	for (unsigned i = 0; i < file->objects; i++) {
		const struct object *object = &file->object[i];
		struct message mapping = {0};
		field_number(&mapping, 1, i + 1);
		field_number(&mapping, 2, object->start);
		field_number(&mapping, 3, object->end);
		field_number(&mapping, 4, object->offset);
		field_number(&mapping, 5, object->filename);
		field_number(&mapping, 6, object->build_id);
		put_message(file, PROFILE_MAPPING, &mapping);
	}
}

/* ---- Locations ---- */

/* In place and without memory: Shell's sort with Ciura's gaps, extended by 2.25. */
static void sort_addresses(uintptr_t *address, size_t n)
{
	static const size_t gaps[] = {1750, 701, 301, 132, 57, 23, 10, 4, 1};
	size_t gap = 1750;
	while (gap < n / 3)
		gap = gap * 9 / 4;
	for (size_t step = 0; gap > 0;) {
		for (size_t i = gap; i < n; i++) {
			uintptr_t moving = address[i];
			size_t j = i;
			for (; j >= gap && address[j - gap] > moving; j -= gap)
				address[j] = address[j - gap];
			address[j] = moving;
		}
		if (gap > 1750)
			gap = gap * 4 / 9 > 1750 ? gap * 4 / 9 : 1750;
		else
			gap = ++step < sizeof gaps / sizeof gaps[0] ? gaps[step] : 0;
	}
}

static uint64_t object_of(const struct pprof *file, uintptr_t address)
{
	for (unsigned i = 0; i < file->objects; i++)
		if (address >= file->object[i].start && address < file->object[i].end)
			return i + 1;
	return 0;
}

static void put_addresses(struct pprof *file)
{
	sort_addresses(file->address, file->addresses);
	for (size_t i = 0; i < file->addresses; i++) {
		if (i > 0 && file->address[i] == file->address[i - 1])
			continue;
		struct message location = {0};
		field_number(&location, 1, file->address[i]);
		field_number(&location, 2, object_of(file, file->address[i]));
		field_number(&location, 3, file->address[i]);
		put_message(file, PROFILE_LOCATION, &location);
	}
}

static void put_named_locations(struct pprof *file)
{
	for (unsigned i = 0; i < file->frames; i++) {
		struct message line = {0}, location = {0}, function = {0};
		uint64_t name = put_string(file, file->frame[i]);
		field_number(&function, 1, i + 1);
		field_number(&function, 2, name);
		field_number(&function, 3, name);
		put_message(file, PROFILE_FUNCTION, &function);
		field_number(&line, 1, i + 1);
		field_number(&location, 1, i + 1);
		field_bytes(&location, 4, line.bytes, line.len);
		put_message(file, PROFILE_LOCATION, &location);
	}
}

int neap_profile_write(const struct neap_profile *profile, neap_write_fn *write, void *ctx)
{
	size_t room = 0;
	for (size_t i = 0; i < profile->rows; i++)
		room += profile->row[i].site != 0 ? NEAP__FRAMES_MOST : 0;
	size_t size = sizeof(struct pprof) + room * sizeof(uintptr_t);
	struct pprof *file = neap__scratch(size);
	if (file == NULL)
		return NEAP_ENOMEM;
	file->room = room;
	gzip_begin(&file->out, write, ctx);
	(void)put_string(file, "");
	file->bytes_unit = put_string(file, "bytes");
	file->count_unit = put_string(file, "count");
	file->map_key = put_string(file, "map");
	file->kind_key = put_string(file, "kind");
	put_types(file);
	put_number(file, PROFILE_TIME, (uint64_t)profile->time);
	put_number(file, PROFILE_DURATION, (uint64_t)profile->duration);
	put_number(file, PROFILE_PERIOD, profile->rate);
	put_objects(file);
	for (size_t i = 0; i < profile->rows; i++)
		put_row(file, &profile->row[i]);
	put_addresses(file);
	put_named_locations(file);
	int error = gzip_end(&file->out);
	neap__scratch_free(file, size);
	return error;
}
