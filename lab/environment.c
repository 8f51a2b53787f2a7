/* environment.c: the machine that a result was measured on. */
#include <gnu/libc-version.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "lab/result.h"

/* The first line of `path`, or of it the part behind `prefix`; false when there is none. */
static bool read_line(const char *path, const char *prefix, char *ret, size_t size)
{
	FILE *file = fopen(path, "re");
	if (file == NULL)
		return false;
	bool found = false;
	while (!found && fgets(ret, (int)size, file) != NULL)
		found = strncmp(ret, prefix, strlen(prefix)) == 0;
	fclose(file);
	if (!found)
		return false;
	ret[strcspn(ret, "\n")] = '\0';
	const char *value = ret + strlen(prefix);
	while (*value == ' ' || *value == '\t' || *value == ':')
		value++;
	memmove(ret, value, strlen(value) + 1);
	return true;
}

void environment_each(void (*each)(const char *name, const char *value, void *ctx), void *ctx)
{
	char text[256];
	each("neap", neap_version(), ctx);
	struct utsname name;
	if (uname(&name) == 0) {
		snprintf(text, sizeof text, "%s %s %s", name.sysname, name.release, name.machine);
		each("kernel", text, ctx);
	}
	if (read_line("/proc/cpuinfo", "model name", text, sizeof text))
		each("processor", text, ctx);
	snprintf(text, sizeof text, "%ld", sysconf(_SC_NPROCESSORS_ONLN));
	each("processors", text, ctx);
	struct sysinfo info;
	if (sysinfo(&info) == 0) {
		snprintf(text, sizeof text, "%.1f GB", (double)info.totalram * info.mem_unit / 1e9);
		each("memory", text, ctx);
		snprintf(text, sizeof text, "%.2f", (double)info.loads[0] / (1 << SI_LOAD_SHIFT));
		each("load", text, ctx);
	}
	snprintf(text, sizeof text, "glibc %s", gnu_get_libc_version());
	each("libc", text, ctx);
	each("compiler", __VERSION__, ctx);
	if (read_line("/sys/kernel/mm/transparent_hugepage/enabled", "", text, sizeof text))
		each("huge_pages", text, ctx);
	time_t now = time(NULL);
	struct tm utc;
	if (gmtime_r(&now, &utc) != NULL && strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &utc) > 0)
		each("time", text, ctx);
}
