#ifndef CLIENT_ENGINE_ENROL_IMPL_H
#define CLIENT_ENGINE_ENROL_IMPL_H

#include "client/engine/engine.h"

/* What enrol.c and records.c share; nobody else.  Callbacks of
 * remote_records(), with a scan as their argument. */
struct scan {
	struct engine		*e;
	const char		*pass;		/* recover */
	const struct secret	*recovery;
	unsigned		 slots, keys, tried;
	bool			 opened, ours, params;
	unsigned		 foreign;	/* KEYs that do not open */
};

int	enrol_on_key(void *arg, const struct record *rec);
int	enrol_on_params(void *arg, const struct record *rec);

#endif
