/* walk.c: every path of the machine's file system, as keys.
 *
 * Only file systems that hold files are walked: /proc and its like invent theirs, and would hand out process
 * ids instead of a machine's real names. What cannot be read, or vanishes while we look, is counted.
 */
#include <errno.h>
#include <fts.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "lab/keys.h"
#include "lab/progress.h"
#include "tool/command.h"

enum {
	LOOK_EVERY = 1 << 9, /* paths between looks at the clock: about 5 ms on a cold disk */
};

static bool invents_files(const char *path)
{
	static const long magics[] = {
		PROC_SUPER_MAGIC, SYSFS_MAGIC,	    CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC, DEBUGFS_MAGIC,
		TRACEFS_MAGIC,	  SECURITYFS_MAGIC, BPF_FS_MAGIC,	DEVPTS_SUPER_MAGIC,  PSTOREFS_MAGIC};
	struct statfs fs;
	if (statfs(path, &fs) != 0)
		return true;
	for (size_t i = 0; i < sizeof magics / sizeof *magics; i++)
		if ((long)fs.f_type == magics[i])
			return true;
	return false;
}

static struct file_facts facts_of(const struct stat *stat_now)
{
	return (struct file_facts){.size = (uint64_t)stat_now->st_size,
				   .changed = stat_now->st_mtime,
				   .mode = stat_now->st_mode,
				   .user = stat_now->st_uid};
}

/* True when the directory is the root of another file system, one that invents its files. */
static bool is_invented(const FTSENT *entry)
{
	bool crossed =
		entry->fts_level <= 0 || entry->fts_parent->fts_statp->st_dev != entry->fts_statp->st_dev;
	return crossed && invents_files(entry->fts_accpath);
}

static int add_entry(FTS *tree, FTSENT *entry, struct spool *spool, struct keys *keys, struct text *error)
{
	switch (entry->fts_info) {
	case FTS_DP: return 0; /* a directory again, after what is in it */
	case FTS_NS:
	case FTS_DNR:
	case FTS_ERR: keys->unreadable++; return 0;
	case FTS_D:
		if (is_invented(entry)) {
			fts_set(tree, entry, FTS_SKIP);
			return 0;
		}
		break;
	default: break;
	}
	size_t len = strlen(entry->fts_path); /* not fts_pathlen, which has 16 bits */
	if (len > KEY_LONGEST) {
		keys->unreadable++;
		return 0;
	}
	struct file_facts facts = facts_of(entry->fts_statp);
	return spool_add(spool, entry->fts_path, len, &facts, error);
}

static int walk(FTS *tree, struct spool *spool, struct keys *keys, const struct keys_options *options,
		struct text *error)
{
	uint64_t deadline = clock_now() + (uint64_t)(options->seconds * 1e9);
	int status = 0;
	FTSENT *entry;
	while (status == 0 && (entry = fts_read(tree)) != NULL) {
		if (keys->n == options->most) {
			keys->stopped_at_bound = true;
			break;
		}
		status = add_entry(tree, entry, spool, keys, error);
		if (keys->n % LOOK_EVERY != 0)
			continue;
		progress_step("reading the names of files", keys->n, 0);
		if (clock_now() > deadline) {
			keys->stopped_at_time = true;
			break;
		}
	}
	progress_end();
	return status;
}

int keys_from_tree(struct keys *ret, const char *root, const struct keys_options *options, struct text *error)
{
	*ret = (struct keys){0};
	snprintf(ret->source, sizeof ret->source, "paths of this machine");
	struct spool *spool = spool_begin(ret, error);
	if (spool == NULL)
		return EXIT_PARTIAL;
	char start[4096];
	snprintf(start, sizeof start, "%s", root);
	char *roots[] = {start, NULL};
	FTS *tree = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
	int status = 0;
	if (tree == NULL) {
		text_printf(error, "%s: %s", root, strerror(errno));
		status = EXIT_NO_TARGET;
	} else {
		status = walk(tree, spool, ret, options, error);
		fts_close(tree);
	}
	if (status == 0 && ret->n == 0) {
		text_printf(error, "%s: no path in it can be read; --keys FILE takes keys from a file", root);
		status = EXIT_NO_TARGET;
	}
	return spool_end(spool, status, error);
}
