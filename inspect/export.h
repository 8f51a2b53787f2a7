/* export.h: what was seen, for other tools. */
#ifndef NEAP_INSPECT_EXPORT_H
#define NEAP_INSPECT_EXPORT_H

#include "snapshot.h"

/* profile.proto, gzipped, for `go tool pprof`: a sample for each map, whose stack is the way to it from its root; held,
   reclaimable and retained bytes and the number of maps as values. 0, or -1 and a problem when the file can't be
   written; then there is no file, or the old one. */
int export_pprof(const struct snapshot *snapshot, const char *path, struct problem *problem);

/* The reachable objects and their references as V8's heap snapshot, for the memory panel of Chromium. Streams to
   `out`. Names are types; no key and no value is in it. */
void export_heapsnapshot(FILE *out, const struct inspection *inspection);

/* A page without references to other files: bar, maps with slot strips and pages, the tree of holders, and what changed
   since `before`, which may be NULL. */
void export_report(FILE *out, const struct snapshot *before, const struct snapshot *snapshot);

#endif
