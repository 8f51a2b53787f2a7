/* debug_why.c: /debug/why?address=0x7f0012345678, what keeps a collected object.
 *
 * The answer comes from the collector, when one runs (base/collector.h): asking starts none.
 *
 * The address is kept inverted from its first digit on, so that asking keeps nothing.
 *
 * neap_why stops the program while it traces. Requests are turned away until nine times that long has passed, so
 * clients can stop it for a tenth of the time at most.
 */
#include <inttypes.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#include "base/collector.h"
#include "neap/gc.h"
#include "observe/profile.h"
#include "observe/text.h"

enum { PAUSE_FACTOR = 9, HEX_DIGITS_MOST = 16 };

static const char *const root_words[] = {"unreachable", "static", "thread_local", "range",
					 "handle",	"stack",  "other",	  "weak_map"};

static uint64_t monotonic_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* The value of a hexadecimal digit; -1: it is none. */
static int hex_digit(char c)
{
	const char *digits = "0123456789abcdef", *at = strchr(digits, c | 0x20);
	return c == '\0' || at == NULL ? -1 : (int)(at - digits);
}

/* "?address=0x1f40" or "&address=1f40": ~0x1f40 to *ret. */
static bool parse_inverted(const char *query, uintptr_t *ret)
{
	static const char name[] = "address=";
	const char *at = query;
	while (*at != '\0' && strncmp(at + 1, name, sizeof name - 1) != 0)
		at += 1 + strcspn(at + 1, "&");
	if (*at == '\0')
		return false;
	at += sizeof name;
	at += at[0] == '0' && at[1] == 'x' ? 2 : 0;
	int digits = 0, digit;
	*ret = UINTPTR_MAX;
	for (; (digit = hex_digit(*at)) >= 0; at++, digits++)
		*ret = (*ret << 4 | 15) ^ (uintptr_t)digit;
	return digits > 0 && digits <= HEX_DIGITS_MOST && (*at == '\0' || *at == '&');
}

static void path_json(struct neap__text *text, const struct neap_why *why)
{
	size_t told = why->length < NEAP_WHY_STEPS ? why->length : NEAP_WHY_STEPS;
	neap__text_put(text, "{\"schema\":1,\"root\":\"%s\",\"symbol\":",
		       why->root < sizeof root_words / sizeof *root_words ? root_words[why->root] : "other");
	neap__text_quote(text, why->symbol);
	neap__text_put(text, ",\"word\":\"0x%" PRIxPTR "\",\"thread\":%" PRIu64 ",\"length\":%zu,\"path\":[",
		       (uintptr_t)why->word, why->thread, why->length);
	for (size_t i = 0; i < told; i++) {
		const struct neap_why_step *step = &why->path[i];
		neap__text_put(text, "%s\n{\"object\":\"0x%" PRIxPTR "\",\"type\":", i == 0 ? "" : ",",
			       (uintptr_t)step->object);
		neap__text_quote(text, step->type);
		if (i + 1 == told)
			neap__text_put(text, "}");
		else if (step->offset == SIZE_MAX)
			neap__text_put(text, ",\"by\":\"an entry of a map\"}");
		else
			neap__text_put(text, ",\"offset\":%zu}", step->offset);
	}
	neap__text_put(text, "\n]}\n");
}

/* True when nobody is asking, and enough time has passed since somebody did; then end_asking must follow. */
static _Atomic uint64_t not_before; /* UINT64_MAX: somebody is asking */

static bool begin_asking(void)
{
	uint64_t now = monotonic_ns(), then = atomic_load_explicit(&not_before, memory_order_relaxed);
	return then <= now && atomic_compare_exchange_strong(&not_before, &then, UINT64_MAX);
}

static void end_asking(uint64_t started)
{
	uint64_t now = monotonic_ns();
	atomic_store(&not_before, now + PAUSE_FACTOR * (now - started));
}

static int tell_why(const struct neap_why *why, neap_write_fn *write, void *ctx)
{
	struct neap__text *text = neap__scratch(sizeof *text);
	if (text == NULL)
		return neap__answer_line(503, "out of memory\n", write, ctx);
	text->write = write;
	text->ctx = ctx;
	path_json(text, why);
	int error = neap__text_end(text);
	neap__scratch_free(text, sizeof *text);
	return error == 0 ? 200 : 500;
}

int neap__why_request(const char *query, neap_write_fn *write, void *ctx)
{
	uintptr_t inverted;
	struct neap_why why = {.size = sizeof why};
	if (!parse_inverted(query, &inverted))
		return neap__answer_line(
			400, "address must be a hexadecimal number, as in ?address=0x7f00a0\n", write, ctx);
	const struct neap__collector_told *collector =
		atomic_load_explicit(&neap__collector_told, memory_order_acquire);
	if (collector == NULL)
		return neap__answer_line(
			404, "no collector runs in this program: what its heap holds was not freed\n", write,
			ctx);
	if (!begin_asking())
		return neap__answer_line(
			503, "asked too often: each answer stops the program, at most a tenth of the time\n",
			write, ctx);
	uint64_t started = monotonic_ns();
	int error = collector->why(inverted, &why);
	end_asking(started);
	if (error == NEAP_EINVAL)
		return neap__answer_line(404, "no collected object is at that address\n", write, ctx);
	if (error != NEAP_OK)
		return neap__answer_line(503, "out of memory\n", write, ctx);
	return tell_why(&why, write, ctx);
}
