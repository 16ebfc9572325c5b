#ifndef SERVER_HTTP_CATASK_H
#define SERVER_HTTP_CATASK_H

#include "server/http/api.h"
#include "server/http/catrows.h"

/* The status of a query whose answer did not come. */
int	cat_failed(struct api *a, int rc);
/* Ask, and write the rows as arrays, the first of which is there even when no
 * row comes. */
int	cat_list(struct api *a, enum cat_op op, const struct wbuf *args,
	    enum cat_row first);
/* Ask for one row: the object `name`, or the answer's own members; 404 without. */
int	cat_single(struct api *a, enum cat_op op, const struct wbuf *args,
	    const char *name);

#endif
