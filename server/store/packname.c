#include "config.h"

#include "server/store/packname.h"

#include <stdio.h>
#include <string.h>

#include "common/io.h"
#include "common/rc.h"
#include "server/store/dir.h"

void
pack_name(enum pack_kind kind, uint64_t number, char out[PACK_NAME_LEN])
{
	snprintf(out, PACK_NAME_LEN, "%03llx/%04llx.%c",
	    (unsigned long long)(number >> 16),
	    (unsigned long long)(number & 0xffff),
	    kind == PACK_NODE ? 'n' : 'd');
}

struct find {
	int		dirfd;
	int		sub;		/* descriptor of the inner directory */
	uint64_t	high, last;
};

static int
find_file(void *arg, const char *name)
{
	struct find *f = arg;
	const char *dot = strchr(name, '.');
	uint64_t low;

	if (dot == NULL || !hex_number(name, (size_t)(dot - name), 4, &low) ||
	    low > 0xffff)
		return RC_OK;
	if (strcmp(dot, ".d.tmp") == 0 || strcmp(dot, ".n.tmp") == 0)
		return dir_unlink(f->sub, name);
	if (strcmp(dot, ".d") != 0 && strcmp(dot, ".n") != 0)
		return RC_OK;
	low |= f->high << 16;
	if (low > f->last)
		f->last = low;
	return RC_OK;
}

static int
find_dir(void *arg, const char *name)
{
	struct find *f = arg;
	int rc;

	if (!hex_number(name, strlen(name), 3, &f->high) ||
	    f->high > UINT64_MAX >> 24)
		return RC_OK;
	if ((rc = dir_open(f->dirfd, name, &f->sub)) != RC_OK)
		return rc;
	rc = dir_each(f->sub, find_file, f);
	fd_close(&f->sub);
	return rc;
}

int
pack_find_last(int dirfd, uint64_t *last)
{
	struct find f = { .dirfd = dirfd, .sub = -1 };
	int rc = dir_each(dirfd, find_dir, &f);

	*last = f.last;
	return rc;
}
