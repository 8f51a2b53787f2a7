/* reclaim.c: `neap reclaim`: asks a program to give back what it can; says what that would be unless told to. */
#include <getopt.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "lab/result.h"
#include "observe_tool.h"

static const char help[] =
	"usage: neap reclaim PID|ADDRESS [--yes] [--token-file FILE]\n"
	"\n"
	"Asks a program that serves Neap's debug endpoint to give free memory back: its own callback, free "
	"pages of\n"
	"Neap's heap, free pages of malloc. Without --yes nothing is done: the bytes that are free and "
	"resident are\n"
	"shown, which is the most that could come back.\n"
	"\n"
	"  --yes               do it\n"
	"  --token-file FILE   the endpoint's token; otherwise the environment variable NEAP_TOKEN\n";

struct account_figures {
	double rss, free_held, tombstone, empty;
};

static bool account_of(const struct endpoint *endpoint, struct account_figures *ret, char *error)
{
	struct text body = {0};
	json_t *root = NULL;
	if (endpoint_ask(endpoint, "GET", "/debug/account", NULL, 20, &body, error) == 200)
		root = json_loadb(body.at, body.len, 0, NULL);
	text_free(&body);
	if (root == NULL)
		return false;
	ret->rss = json_number_value(json_object_get(root, "rss"));
	ret->free_held = json_number_value(json_object_get(root, "free_held"));
	ret->tombstone = json_number_value(json_object_get(root, "tombstone"));
	ret->empty = json_number_value(json_object_get(root, "empty"));
	json_decref(root);
	return true;
}

/* The first line of a file, without its end. */
static bool read_token(const char *path, char *ret, size_t size)
{
	FILE *file = fopen(path, "re");
	if (file == NULL)
		return false;
	bool got = fgets(ret, (int)size, file) != NULL;
	fclose(file);
	ret[got ? strcspn(ret, "\r\n") : 0] = '\0';
	return got && ret[0] != '\0';
}

static int reclaim(const struct endpoint *endpoint, const char *token)
{
	char error[ENDPOINT_ERROR] = "no answer";
	struct account_figures before, after;
	struct text body = {0};
	if (!account_of(endpoint, &before, error)) {
		fprintf(stderr, "neap reclaim: %s\n", error);
		return EXIT_NO_TARGET;
	}
	int status = endpoint_ask(endpoint, "POST", "/debug/compact", token, 60, &body, error);
	if (status != 200) {
		fprintf(stderr, "neap reclaim: %s",
			status < 0	  ? error
			: body.at != NULL ? body.at
					  : "refused\n");
		if (status < 0)
			fputc('\n', stderr);
		else
			fprintf(stderr, "  the token comes from --token-file or NEAP_TOKEN\n");
		text_free(&body);
		return EXIT_NO_TARGET;
	}
	text_free(&body);
	if (!account_of(endpoint, &after, error))
		after = before;
	printf("resident %s MB -> %s MB; free, held %s MB -> %s MB\n", megabytes(before.rss),
	       megabytes(after.rss), megabytes(before.free_held), megabytes(after.free_held));
	return EXIT_CLEAN;
}

int run_reclaim(int argc, char **argv)
{
	static const struct option options[] = {{"yes", no_argument, NULL, 'y'},
						{"token-file", required_argument, NULL, 't'},
						{"help", no_argument, NULL, 'h'},
						{NULL, 0, NULL, 0}};
	const char *token_file = NULL;
	char token[256];
	bool yes = false;
	optind = 1;
	for (int option; (option = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
		switch (option) {
		case 'h': fputs(help, stdout); return EXIT_CLEAN;
		case 'y': yes = true; break;
		case 't': token_file = optarg; break;
		default: return EXIT_USAGE;
		}
	}
	if (argc - optind != 1)
		return usage_error("reclaim", "name one process id or address");
	if (token_file != NULL && !read_token(token_file, token, sizeof token))
		return usage_error("reclaim", "%s: no token could be read from it", token_file);
	struct endpoint endpoint;
	char error[ENDPOINT_ERROR] = "no answer";
	int code = endpoint_find(argv[optind], &endpoint, error);
	if (code == EXIT_USAGE)
		return usage_error("reclaim", "%s", error);
	struct account_figures now;
	if (code != EXIT_CLEAN || (!yes && !account_of(&endpoint, &now, error))) {
		fprintf(stderr, "neap reclaim: %s\n", error);
		return EXIT_NO_TARGET;
	}
	if (yes)
		return reclaim(&endpoint, token_file != NULL ? token : getenv("NEAP_TOKEN"));
	printf("%s: resident %s MB, of which free and held %s MB, tombstones %s MB, empty slots %s MB\n",
	       endpoint.address, megabytes(now.rss), megabytes(now.free_held), megabytes(now.tombstone),
	       megabytes(now.empty));
	printf("nothing was done; to give back up to %s MB: neap reclaim %s --yes\n",
	       megabytes(now.free_held), argv[optind]);
	return EXIT_CLEAN;
}
