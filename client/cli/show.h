#ifndef CLIENT_CLI_SHOW_H
#define CLIENT_CLI_SHOW_H

#include <stdbool.h>
#include <stdint.h>

#include "client/engine/verbs.h"
#include "common/rbuf.h"

/*
 * What a person or a program sees: events of the engine, in words on the
 * terminal or as one JSON object a line.  The summary is held back to the end,
 * so that it is the last line.
 */
struct show;

struct show	*show_new(bool json, enum verb verb);
void	show_free(struct show *s);
/* One ENGINE_EVENT; RC_PROTO when it makes no sense. */
int	show_event(struct show *s, struct rbuf *body);
/* The end: code and sentence of ENGINE_DONE, or of what went wrong before. */
void	show_done(struct show *s, int code, const char *text);
/* Standard output is a pipe that nobody reads any more. */
bool	show_reader_gone(void);
/* A line of a role's log, or of our own. */
void	show_log(struct show *s, const char *who, const char *text);

#endif
