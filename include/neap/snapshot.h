/* neap/snapshot.h: the maps of this process, slot by slot, in the file that `neap inspect`, `diff` and `report` read.
 *
 *     FILE *file = fopen("before.snap", "wb");
 *     int error = neap_snapshot_write(write_to_file, file);          (1 on a full disk, say: what write_to_file returned)
 *     ...
 *     neap diff before.snap after.snap                               what was inserted and deleted between the two
 *
 * There are no keys and no values in it. Of each key stands a fingerprint, under a secret that the process drew when it
 * was first asked and that never leaves it: equal keys have equal fingerprints in all snapshots of one process, and
 * nobody can find a key by trying. Names of maps are in it, and addresses. docs/snapshot-format.md has the bytes.
 */
#ifndef NEAP_SNAPSHOT_H
#define NEAP_SNAPSHOT_H

#include "neap/profile.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Hands the snapshot to `write`, piece by piece. 0; or what `write` returned when that was not 0, which ends it; or
 * NEAP_ENOMEM before anything was written.
 *
 * Stops nobody. Maps may be written to, made and freed by their owners meanwhile: one whose entries moved, or whose
 * count did not agree with its slots, is marked as torn, one that was freed is left out. For an exact snapshot the owner
 * takes it, or holds the lock that guards the map. `write` runs while no lock of the library is held, so it may take its
 * time; it must return, and must not fork.
 *
 * Takes 0.4 MB of memory of its own, none from malloc, whatever the maps hold (1 MB more with a string key of that
 * length). Of time 40 to 50 ns for each entry, 0.6 us for one with a string key, 2.4 us for each map. It writes 8 bytes
 * for each entry and 16 for each group of slots. Any thread, not a signal handler.
 */
NEAP_API int neap_snapshot_write(neap_write_fn *write, void *ctx);

#ifdef __cplusplus
}
#endif

#endif
