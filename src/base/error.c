/* error.c: the sentence for each error value. */
#include "neap/base.h"

#define TEXT2(x) #x
#define TEXT(x)	 TEXT2(x)

const char *neap_version(void)
{
	return TEXT(NEAP_VERSION_MAJOR) "." TEXT(NEAP_VERSION_MINOR) "." TEXT(NEAP_VERSION_PATCH);
}

const char *neap_strerror(int error)
{
	switch (error) {
	case NEAP_OK: return "no error";
	case NEAP_ENOMEM: return "out of memory";
	case NEAP_ENIL: return "assignment to entry in nil map";
	case NEAP_EINVAL: return "argument out of range";
	case NEAP_ETOOBIG: return "more entries or a longer key than the map can address";
	case NEAP_EMISMATCH: return "two different types where one was needed";
	case NEAP_EVETO: return "refused by a hook";
	default: return "unknown error";
	}
}
