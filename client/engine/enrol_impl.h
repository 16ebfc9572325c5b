#ifndef CLIENT_ENGINE_ENROL_IMPL_H
#define CLIENT_ENGINE_ENROL_IMPL_H

#include "client/engine/engine.h"
#include "common/token.h"

/* What enrol.c, pair.c and records.c share; nobody else.  Callbacks of
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

/* The steps of an enrolment; each an exit code with its sentence.
 * May a token be used here?  *existed: a state is to be put aside. */
int	enrol_check_old(struct engine *e, bool with_token, bool *existed,
	    char *text, size_t size);
int	enrol_new_identity(struct engine *e, char *text, size_t size);
void	enrol_from_token(struct state *st, const struct token *t);
/* With identity and server in e: registered, saved and logged in. */
int	enrol_register(struct engine *e, const struct token *t, bool existed,
	    struct remote **r, char *text, size_t size);
/* Logged in: the vault's keys.  Takes the connection. */
int	enrol_joined(struct engine *e, struct remote *r, char *text,
	    size_t size);

#endif
