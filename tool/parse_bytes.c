/* parse_bytes.c: sizes on command lines. */
#include <errno.h>
#include <stdlib.h>

#include "inspect.h"

bool parse_bytes(const char *text, uint64_t *ret)
{
	char *end;
	errno = 0;
	uint64_t number = strtoull(text, &end, 10), unit = 1;
	if (end == text || errno != 0 || *text == '-')
		return false;
	if (*end == 'k' || *end == 'K')
		unit = 1000;
	else if (*end == 'M')
		unit = 1000000;
	else if (*end == 'G')
		unit = 1000000000;
	if ((unit == 1 ? *end : end[1]) != '\0' || number > UINT64_MAX / unit)
		return false;
	*ret = number * unit;
	return true;
}
