/* inspection.h: one look at one Go process, complete: what the commands print and save. */
#ifndef NEAP_INSPECT_INSPECTION_H
#define NEAP_INSPECT_INSPECTION_H

#include <stdio.h>

#include "account.h"
#include "graph.h"

struct inspection {
	struct go_process *process;
	struct maps maps;
	struct graph graph;
	struct account account;
	struct dominators dominators; /* when they were wished for; else empty */
	uint32_t *order;	      /* indexes of maps.list, most reclaimable bytes first */
	uint64_t held, reclaimable;   /* bytes, of all maps together */
	double seconds;		      /* the look took */
	bool keeps_graph;	      /* a snapshot of it gets every object */
};

/* How to look; all zero is the default. */
struct inspection_wish {
	const char *program; /* the executable, NULL: where the target says */
	enum target_mode mode;
	bool every_type; /* types of objects without pointers too, which hold nothing */
	bool retained;	 /* dominators, and with them what each map retains */
	bool graph;	 /* with these two, a snapshot gets every object that is held */
	bool ways; /* of a program linked with libneap: who holds each map; a Go program tells that anyway */
};

/* `name` is a process id or the path of a core. NULL and a problem on failure. */
struct inspection *inspection_make(const char *name, const struct inspection_wish *wish,
				   struct problem *problem);
/* The same for a target that is already open; the inspection owns it, also on failure. */
struct inspection *inspection_from(struct target *target, const struct inspection_wish *wish,
				   struct problem *problem);
void inspection_free(struct inspection *inspection);

/* Maps of one type together. */
struct type_group {
	const struct go_map_type *type;
	uint64_t maps, live, slots, held, reclaimable;
};

/* Sorted, most reclaimable bytes first; *ret belongs to the caller. */
size_t inspection_by_type(const struct inspection *inspection, struct type_group **ret);

/* Maps that one place holds, whatever the number of the element in an array or slice, together (holders.c). */
struct holder_group {
	char *holder;
	uint64_t maps, live, slots, held, reclaimable;
};

/* Sorted like the others; free *ret with holder_groups_free. */
size_t inspection_by_holder(const struct inspection *inspection, struct holder_group **ret);
void holder_groups_free(struct holder_group *groups, size_t count);

/* Who holds a map, on one line: "main.srv -> main.Server.sessions"; `indexes` as for inspection_steps. */
void inspection_holder(const struct inspection *inspection, const struct found_map *map, bool indexes,
		       char *text, size_t size);

/* The way to a map from its root on, the map left out: a name for each step, "main.srv", "main.Server.sessions".
   Without `indexes` the elements of an array have one name. */
struct inspection_step {
	char name[256];
};
size_t inspection_steps(const struct inspection *inspection, const struct found_map *map, bool indexes,
			struct inspection_step **ret);

/* "[12].next" becomes "[].next". */
void inspection_drop_indexes(char *text);

/* Bytes that the map keeps alive, itself included; 0 when dominators were not wished for, or it is on a stack. */
uint64_t inspection_retained(const struct inspection *inspection, const struct found_map *map);
/* False in these two cases: the number is not known. */
bool inspection_has_retained(const struct inspection *inspection, const struct found_map *map);

/* The map that an address names: its header's, or any address within the header or its arrays. NULL if none. */
const struct found_map *inspection_map_at(const struct inspection *inspection, uint64_t address);

/* "typed", "header", "inferred", "ambiguous" */
const char *map_confidence_name(enum map_confidence confidence);

struct render_options {
	bool colour;
	bool all;	/* every map, not the first ones */
	bool stale;	/* the maps whose unfinished growth keeps values alive */
	bool ghosts;	/* left-over keys */
	bool show_keys; /* keys as they are, not masked */
};

/* The bar and its legend. */
void render_bar(FILE *out, const struct account *account, bool colour);

/* The screen of `neap inspect`, of `--map`, and the same as JSON. */
void render_inspection(FILE *out, const struct inspection *inspection, const struct render_options *options);
void render_map(FILE *out, const struct inspection *inspection, const struct found_map *map,
		const struct render_options *options);
void json_inspection(FILE *out, const struct inspection *inspection);
void json_close_up(FILE *out, const struct inspection *inspection, const struct found_map *map);
void json_found_map(FILE *out, const struct inspection *inspection, const struct found_map *map);

/* "98.2 MB" and "6 250" into a caller's buffer of at least 32 bytes; returns it. */
char *format_bytes(char *text, uint64_t bytes);
char *format_count(char *text, uint64_t count);

/* A JSON string with its quotes. */
void write_json_string(FILE *out, const char *text);

#endif
