/* go_peer.c: see go_peer.h. */
#include "lab/go_peer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lab/atomic_file.h"
#include "lab/child.h"

enum {
	BUILD_SECONDS = 120, /* a first build compiles Go's library: 20 s on two cores */
	RUN_SECONDS = 120,
	NOT_FOUND = 127, /* program_run's status when there is no such program */
};

static bool build(struct go_peer *peer, const struct asset *source, struct text *why)
{
	char *path, *cache = NULL;
	const char *go = getenv("NEAP_GO") != NULL ? getenv("NEAP_GO") : "go";
	if (asprintf(&path, "%s/main.go", peer->folder) < 0 ||
	    asprintf(&peer->program, "%s/peer", peer->folder) < 0)
		return false;
	int error = atomic_file_write(path, source->bytes, source->len);
	/* go refuses to work without a place for its cache; a service may have no HOME. */
	if (getenv("HOME") == NULL && getenv("GOCACHE") == NULL &&
	    asprintf(&cache, "%s/cache", peer->folder) > 0)
		setenv("GOCACHE", cache, 1);
	setenv("GO111MODULE", "off", 1);
	const char *const command[] = {go, "build", "-o", peer->program, path, NULL};
	char *output = NULL;
	struct child_end end = {.status = -1};
	if (error == 0)
		end = program_run(command, BUILD_SECONDS, &output);
	bool built = error == 0 && end.status == 0;
	if (error != 0)
		text_printf(why, "%s: %s", path, strerror(error));
	else if (end.status == NOT_FOUND)
		text_printf(why, "no Go here: no '%s' in PATH (Debian: package golang-go)", go);
	else if (!built)
		text_printf(why, "go build ended with %s: %.300s", child_end_text(&end), output);
	free(output);
	free(cache);
	free(path);
	return built;
}

bool go_peer_open(struct go_peer *ret, const struct asset *source, struct text *why)
{
	*ret = (struct go_peer){0};
	const char *base = getenv("TMPDIR") != NULL ? getenv("TMPDIR") : "/tmp";
	if (asprintf(&ret->folder, "%s/neap-go.XXXXXX", base) < 0)
		return false;
	if (mkdtemp(ret->folder) == NULL) {
		text_printf(why, "%s: %s", ret->folder, strerror(errno));
		free(ret->folder);
		ret->folder = NULL;
		return false;
	}
	if (build(ret, source, why))
		return true;
	go_peer_close(ret);
	return false;
}

void go_peer_close(struct go_peer *peer)
{
	if (peer->folder != NULL) {
		char *output = NULL;
		const char *const command[] = {"rm", "-rf", "--", peer->folder, NULL};
		(void)program_run(command, RUN_SECONDS, &output);
		free(output);
	}
	free(peer->folder);
	free(peer->program);
	*peer = (struct go_peer){0};
}

char *go_peer_run(const struct go_peer *peer, const struct keys *keys, const char *way, uint64_t seed,
		  struct text *why)
{
	char spool[64], number[32];
	snprintf(spool, sizeof spool, "/proc/%ld/fd/%d", (long)getpid(), keys->spool);
	snprintf(number, sizeof number, "%llu", (unsigned long long)seed);
	return go_peer_run_with(peer, spool, way, number, why);
}

char *go_peer_run_with(const struct go_peer *peer, const char *first, const char *second, const char *third,
		       struct text *why)
{
	char *output = NULL;
	const char *const command[] = {peer->program, first, second, third, NULL};
	struct child_end end = program_run(command, RUN_SECONDS, &output);
	if (end.status == 0)
		return output;
	text_printf(why, "the Go program (%s) ended with %s: %.300s", second, child_end_text(&end), output);
	free(output);
	return NULL;
}

const char *go_peer_text(const char *output, const char *name)
{
	static char value[64];
	size_t len = strlen(name);
	*value = '\0';
	for (const char *line = output; line != NULL && *line != '\0';) {
		size_t n = strcspn(line, "\n");
		if (strncmp(line, name, len) == 0 && line[len] == ' ')
			snprintf(value, sizeof value, "%.*s", (int)(n - len - 1), line + len + 1);
		line += n + (line[n] == '\n');
	}
	return value;
}

double go_peer_number(const char *output, const char *name)
{
	return strtod(go_peer_text(output, name), NULL);
}
