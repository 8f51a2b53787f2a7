/* findings.c: the table of rules, and the list of what they said. */
#include "findings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct check lint_checks[CHECK_COUNT] = {
	[CHECK_USE_AFTER_FREE] = {"use-after-free", "memory is used after its release",
				  "The allocator may have given the memory to somebody else.", 416, true},
	[CHECK_USE_AFTER_DELETE] =
		{"use-after-delete", "a map's value is used after a delete from that map",
		 "A delete moves entries and gives pages back; a pointer into the map does not survive it.",
		 416, true},
	[CHECK_USE_AFTER_CLEAR] = {"use-after-clear", "a map's value is used after the map was cleared",
				   "Clearing gives the memory of every entry back.", 416, true},
	[CHECK_KEPT_ACROSS_CHANGE] = {"value-kept-across-change",
				      "a map's value is used after the map changed",
				      "An insert may move every entry; look the value up again.", 416, true},
	[CHECK_USE_AFTER_PUT] = {"use-after-put", "an object is used after it went back to its pool",
				 "The pool may have handed it to another thread.", 416, true},
	[CHECK_USE_AFTER_RETURN] = {"use-after-return", "a local is used after its function returned",
				    "Its stack frame is gone.", 562, true},
	[CHECK_DOUBLE_FREE] =
		{"double-free", "memory is released twice",
		 "The second release destroys the allocator's lists, or frees somebody else's object.", 415,
		 true},
	[CHECK_DOUBLE_PUT] = {"double-put", "an object goes back to its pool twice",
			      "Two users would get the same object.", 415, true},
	[CHECK_BAD_FREE] =
		{"bad-free", "what is released did not come from an allocator",
		 "Only what an allocator returned, and at the address it returned, can be released.", 590,
		 true},
	[CHECK_MISMATCHED_RELEASE] = {"mismatched-release", "memory is released by the wrong function",
				      "Each way to get an object has one way to give it back.", 762, true},
	[CHECK_DANGLING_STACK] = {"dangling-stack", "the address of a local outlives its function",
				  "The stack frame is reused by the next call.", 562, true},
	[CHECK_NULL_DEREFERENCE] = {"null-dereference", "a pointer that is NULL is used",
				    "The program stops here.", 476, true},
	[CHECK_UNCHECKED_ALLOCATION] = {"unchecked-result", "a result that may be NULL is used unchecked",
					"Allocation and look-up can fail.", 690, true},
	[CHECK_LATE_NULL_TEST] =
		{"late-null-test", "a pointer is compared with NULL after it was used",
		 "Either the test is for nothing, or the use before it can stop the program.", 476, true},
	[CHECK_LEAK] = {"leak", "an object is neither released nor handed on",
			"Nobody can release it any more.", 401, true},
	[CHECK_ITERATOR_AFTER_CHANGE] =
		{"iterator-after-change",
		 "an iterator of a strict map, or a scan, is used after the map changed",
		 "A map made with strict_iteration, and every scan, stops the program then.", 0, true},
	[CHECK_PUT_WITHOUT_RESET] = {"put-without-reset", "an object goes back to its pool without a reset",
				     "The next user finds what the last one left.", 0, true},
	[CHECK_MISSING_BARRIER] =
		{"missing-barrier", "a pointer is stored into a barriered object without the barrier",
		 "A collection that is running does not see it, and frees what it points to.", 416, true},
	[CHECK_UNLOCKED_SHARING] = {"unlocked-sharing",
				    "a container is used by several threads without its lock",
				    "Two writers, or a reader beside a writer, destroy it.", 362, true},
	[CHECK_CONTRACT_BROKEN] = {"contract-broken",
				   "a function does not do what its declaration or its row promises",
				   "Callers release or keep objects by that promise.", 0, false},
	[CHECK_BANNED_FUNCTION] = {"banned-function", "a function that cannot be used safely",
				   "It writes without knowing how much room there is.", 676, false},
};

struct finding *lint_finding_add(struct findings *findings, enum check_id check, uint32_t file, uint32_t line,
				 uint16_t column, const char *format, ...)
{
	for (size_t i = 0; i < findings->n; i++)
		if (findings->items[i].check == check && findings->items[i].file == file &&
		    findings->items[i].line == line)
			return NULL;
	char text[400];
	va_list args;
	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	findings->items =
		lint_grow(findings->items, &findings->capacity, findings->n + 1, sizeof *findings->items);
	struct finding *finding = &findings->items[findings->n++];
	*finding = (struct finding){.check = check, .file = file, .line = line, .column = column};
	finding->message = lint_region_text(&findings->region, text, strlen(text));
	finding->function = "";
	return finding;
}

static bool told_at(const struct findings *findings, const struct finding *call)
{
	for (size_t i = 0; i < findings->n; i++) {
		const struct finding *other = &findings->items[i];
		if (other != call && other->check == call->check && other->file == call->related_file &&
		    other->line == call->related_line)
			return true;
	}
	return false;
}

void lint_findings_fold(struct findings *findings)
{
	size_t kept = 0;
	bool *folded = lint_calloc(findings->n, sizeof *folded);
	for (size_t i = 0; i < findings->n; i++)
		folded[i] = findings->items[i].in_call && told_at(findings, &findings->items[i]);
	for (size_t i = 0; i < findings->n; i++)
		if (!folded[i])
			findings->items[kept++] = findings->items[i];
	findings->n = kept;
	free(folded);
}

void lint_note_add(struct findings *findings, uint32_t file, uint32_t line, const char *format, ...)
{
	char text[400];
	va_list args;
	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	findings->notes = lint_grow(findings->notes, &findings->cap_notes, findings->n_notes + 1,
				    sizeof *findings->notes);
	findings->notes[findings->n_notes++] =
		(struct note){file, line, lint_region_text(&findings->region, text, strlen(text))};
}

void lint_findings_clear(struct findings *findings)
{
	free(findings->items);
	free(findings->notes);
	lint_region_clear(&findings->region);
}
