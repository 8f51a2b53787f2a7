/* lint_module.c: finds and loads libneap-lint.so: see lint_module.h. */
#include "lint_module.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "neap/base.h"

#ifndef NEAP_LIBDIR
#	define NEAP_LIBDIR "lib"
#endif

static const char file_name[] = "libneap-lint.so";

static const char advice[] = "install llvm-14-dev, clang-14 and libjansson-dev (scripts/setup test), then "
			     "build with -Dlint=enabled";

/* The folder of the running program, without a slash at the end. */
static bool own_folder(char *ret, size_t size)
{
	ssize_t n = readlink("/proc/self/exe", ret, size - 1);
	if (n <= 0)
		return false;
	ret[n] = '\0';
	char *slash = strrchr(ret, '/');
	if (slash != NULL)
		*slash = '\0';
	return slash != NULL;
}

static bool is_module(char *path, size_t size, const char *folder, const char *below)
{
	int n = snprintf(path, size, "%s%s/%s", folder, below, file_name);
	return n > 0 && (size_t)n < size && access(path, R_OK) == 0;
}

static bool find_module(char *path, size_t size)
{
	const char *chosen = getenv("NEAP_MODULES");
	if (chosen != NULL && chosen[0] != '\0')
		return is_module(path, size, chosen, "");
	char here[PATH_MAX];
	return own_folder(here, sizeof here) &&
	       (is_module(path, size, here, "") || is_module(path, size, here, "/../" NEAP_LIBDIR "/neap"));
}

const struct lint_module *lint_module_load(char *ret_text, size_t size)
{
	static const struct lint_module *loaded;
	char path[PATH_MAX + 64];
	if (!find_module(path, sizeof path)) {
		snprintf(ret_text, size, "%s, which holds the analysis and needs LLVM, is not there\n  %s",
			 file_name, advice);
		return NULL;
	}
	void *handle = loaded == NULL ? dlopen(path, RTLD_NOW | RTLD_LOCAL) : NULL;
	const struct lint_module *module = loaded != NULL   ? loaded
					   : handle != NULL ? dlsym(handle, "neap_lint_module")
							    : NULL;
	if (module == NULL) {
		snprintf(ret_text, size, "%s cannot be loaded: %s\n  %s", path, dlerror(), advice);
		return NULL;
	}
	if (strcmp(module->version, neap_version()) != 0) {
		snprintf(ret_text, size, "%s belongs to neap %s, and this is neap %s\n  install both anew",
			 path, module->version, neap_version());
		return NULL;
	}
	snprintf(ret_text, size, "%s, LLVM %s", path, module->llvm);
	return loaded = module;
}
