#ifndef SERVER_RELOG_H
#define SERVER_RELOG_H

#include "privsep/role.h"

/* NEW_CHAN for a long-lived role: from now on lines go to the logger that was
 * started anew.  Only the logger is looked at; RC_UNSUPPORTED for another role,
 * with the descriptor left in the message. */
int	relog(struct role_env *env, struct msg *m);

#endif
