/* progress.h: what a long step is doing, on standard error, so that nobody waits in the dark. */
#ifndef NEAP_LAB_PROGRESS_H
#define NEAP_LAB_PROGRESS_H

#include <stddef.h>
#include <stdint.h>

/* Nanoseconds of the monotonic clock. */
uint64_t clock_now(void);
/* Nanoseconds of CPU that this thread has used: time in which other programs ran is not in it. */
uint64_t clock_thread(void);

/* Says "what: done of total" when the step has run for a second or more: on a terminal in place, five times a
 * second, else one line every five seconds. `total` 0: unknown. Cheap: call it every few thousand items.
 */
void progress_step(const char *what, size_t done, size_t total);
/* Ends the step: wipes the line on a terminal. */
void progress_end(void);
/* Progress off, for --quiet. */
void progress_silence(void);

#endif
