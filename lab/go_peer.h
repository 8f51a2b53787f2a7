/* go_peer.h: a real Go program beside ours: carried as source, built with the machine's own go, run as a process. */
#ifndef NEAP_LAB_GO_PEER_H
#define NEAP_LAB_GO_PEER_H

#include "lab/asset.h"
#include "lab/keys.h"
#include "lab/text.h"

/* A built program. */
struct go_peer {
	char *folder;  /* temporary; removed by go_peer_close */
	char *program; /* path */
};

/* Builds `source`. False when there is no go, or it does not build: `why` says which. Go's own build cache makes
 * a second build take a third of a second. NEAP_GO names another go than the one in PATH.
 */
bool go_peer_open(struct go_peer *ret, const struct asset *source, struct text *why);
void go_peer_close(struct go_peer *peer);

/* Runs it on the keys: program SPOOL WAY SEED. Its "name value" lines, or NULL with `why`. Free with free(). */
char *go_peer_run(const struct go_peer *peer, const struct keys *keys, const char *way, uint64_t seed,
		  struct text *why);
/* The same with arguments of the caller's choice; those after a NULL are left out. */
char *go_peer_run_with(const struct go_peer *peer, const char *first, const char *second, const char *third,
		       struct text *why);
/* The value of a line, or 0; and as text, or "" (static storage). */
double go_peer_number(const char *output, const char *name);
const char *go_peer_text(const char *output, const char *name);

#endif
