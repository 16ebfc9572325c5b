#ifndef CLIENT_ENGINE_REMOTE_IMPL_H
#define CLIENT_ENGINE_REMOTE_IMPL_H

#include "client/engine/remote.h"

/* What remote.c, remote_calls.c and remote_flow.c share; nobody else. */

/* A call that waits for its answer. */
struct answer {
	uint32_t	 request;
	int		(*on)(struct remote *r, const struct link_frame *f,
			    struct answer *a);
	void		*arg;
	bool		 done;
};

/* One HAVE, one GET that is not wholly answered. */
struct have_req {
	struct have_req	*next;
	uint32_t	 request;
	uint64_t	 cookie;
	size_t		 n;
};
struct get_req {
	struct get_req	*next;
	uint32_t	 request;
	size_t		 n, left;
	size_t		 first;		/* all before it are answered */
	size_t		 nameless;	/* answers too damaged to tell of what */
	uint8_t		*done;		/* n */
	struct object_id ids[];
};

struct remote {
	struct link		*link;
	struct remote_events	 ev;
	enum proto_state	 state;
	bool			 up, said_hello, pinged, in_callback;
	uint8_t			 exporter[32], identity_fp[32], hellos[32];
	bool			 first_contact;
	uint8_t			 spki[32];	/* where net had no pin */
	struct hello_ok		 hello;
	struct auth_ok		 auth;
	uint32_t		 last_request;
	struct answer		*waiting;

	int			 failed;	/* RC_*: it is over */
	uint16_t		 error_code;
	char			 error[640];
	uint64_t		 silent_ms, limit_ms;

	struct have_req		*haves, **haves_end;
	size_t			 have_out, have_max;	/* ids */
	struct get_req		*gets, **gets_end;
	size_t			 get_out, ngets;	/* ids, requests */
	uint32_t		*put_len;	/* ring: of each unanswered PUT */
	size_t			 put_size, put_head, put_count;
	uint64_t		 put_bytes, put_max;
	uint64_t		 put_sent, put_received, put_durable;
	struct object_id	*run_wanted;	/* run_ok.wanted of the last call */
};

int	remote_fail(struct remote *r, int rc, const char *fmt, ...)
	    __attribute__((format(printf, 3, 4)));
int	remote_unexpected(struct remote *r, const struct link_frame *f);
int	remote_malformed(struct remote *r, const struct link_frame *f);
int	remote_wait(struct remote *r);
uint32_t remote_number(struct remote *r);
int	remote_send(struct remote *r, uint16_t type, uint32_t request,
	    const void *p, size_t n);
int	remote_call(struct remote *r, uint16_t type, const struct wbuf *body,
	    struct answer *a);

/* remote_calls.c */
int	remote_say_hello(struct remote *r);
bool	remote_is_clear(const struct remote *r);

/* remote_flow.c */
int	remote_on_ack(struct remote *r, const struct link_frame *f);
int	remote_on_wanted(struct remote *r, const struct link_frame *f);
int	remote_on_have_ok(struct remote *r, const struct link_frame *f);
int	remote_on_obj(struct remote *r, const struct link_frame *f);
int	remote_on_gone(struct remote *r, const struct link_frame *f);
/* Give an object to the callback: checked, or as damaged. */
int	remote_give(struct remote *r, uint32_t request,
	    const struct object_id *id, const uint8_t *wire, size_t len);
int	remote_take_ack(struct remote *r, const struct link_frame *f,
	    struct ack *a);
bool	remote_object_id(const uint8_t *wire, size_t len,
	    struct object_id *id);
void	remote_printable(char *s);		/* remote.c */
void	remote_flow_free(struct remote *r);

#endif
