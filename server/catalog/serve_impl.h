#ifndef SERVER_CATALOG_SERVE_IMPL_H
#define SERVER_CATALOG_SERVE_IMPL_H

#include "privsep/role.h"
#include "server/catalog/serve.h"

/* Between the files of serve.h. */
#define SERVE_ANY	1u	/* the one state of a channel here */

struct member {
	struct serve	*s;
	struct port	*port;
	enum role	 role;
	bool		 dead;
	uint8_t		 vault[16];	/* store */
	uint32_t	 dial;		/* peer */
	bool		 listing;	/* auth: its list has begun */
	struct asker	 asker;		/* api */
};

/* Full disk or worse: history is lost, and nothing else; said once a minute. */
void	serve_note(struct serve *s, const char *what, int rc);
/* Takes fd. */
int	member_new(struct serve *s, int fd, enum role role,
	    struct member **out);
void	member_free(struct member *m);
/* What follows from its end, then member_free(). */
void	member_gone(struct serve *s, struct member *m);
/* Anything but RC_OK ends it with this turn. */
void	member_refuse(struct member *m, int rc);
/* All that is there, up to a limit. */
int	member_read(struct member *m);
int	serve_audit(struct serve *s, struct msg *msg);
/* For the office and the dialer. */
void	serve_discover(void *arg);
void	serve_dialed(void *arg, const struct dial *d, int rc,
	    struct rbuf *more);
int	member_send(void *arg, enum msg_type type, const struct wbuf *body);
bool	member_full(void *arg);

#endif
