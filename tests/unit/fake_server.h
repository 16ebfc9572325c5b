#ifndef TESTS_UNIT_FAKE_SERVER_H
#define TESTS_UNIT_FAKE_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/engine/keys.h"
#include "client/engine/remote.h"
#include "common/proto.h"
#include "common/snapshot.h"
#include "privsep/link.h"

/*
 * A server in a thread, at the outer end of a link: it keeps objects and
 * snapshots in memory and speaks frames, well or (as told) badly.
 */
struct fake_object {
	struct object_id	 id;
	uint8_t			*wire;
	size_t			 len;
	bool			 gone;		/* answers GONE */
	/* Copies before the true one: this, or changed bytes. */
	uint8_t			 junk;
	const uint8_t		*bait;
	size_t			 bait_len;
	unsigned		 asked;
};

struct fake_snapshot {
	uint8_t			*client;
	size_t			 len;
	struct snapshot_server	 server;
};

/* What it does wrong. */
struct fake_faults {
	uint16_t	 answer_type;	/* instead of the right answer; 0 none */
	uint16_t	 answer_to;	/* ... of this request */
	const void	*payload;	/* of that answer */
	size_t		 payload_len;
	uint32_t	 number_off;	/* added to request numbers in answers */
	bool		 clear;		/* exporter of zeros */
	bool		 no_sign, bad_sign, wrong_identity, bad_receipt;
	bool		 swap_objects;	/* GET: sends another object */
	uint32_t	 close_after;	/* frames */
	uint32_t	 credit_put, credit_have;
	bool		 hold_acks;	/* until FLUSH, or credit would end */
	bool		 absent;	/* HAVE says no */
	bool		 no_finding;	/* VERIFY finds nothing */
};

struct fake {
	struct chan		*c;
	struct keys		*keys;		/* the client's, for AUTH_OK */
	struct secret		 identity;
	uint8_t			 identity_pub[32], fp[32];
	struct fake_object	*obj;
	size_t			 nobj, obj_size;
	uint32_t		*hash;
	struct fake_snapshot	 snap[16];
	size_t			 nsnap;
	struct fake_faults	 bad;
	uint64_t		 features;	/* of HELLO_OK */

	/* what was seen */
	unsigned		 reports;
	struct report		 report;
	uint64_t		 puts, gets, haves, frames, put_unacked_max;
	size_t			 most_get;
	bool			 bye;
	const char		*complaint;

	/* private */
	int			 ring_fd;
	uint8_t			*ring;
	uint8_t			 slots;
	uint8_t			*in;
	size_t			 in_len;
	struct fake_frame	*queue, **queue_end;
	uint64_t		 put_bytes, acked;
	bool			 stop;
	void			*thread;
};

/* Keys of both sides; *link is the client's end.  The thread runs until the
 * link closes. */
void	fake_start(struct fake *f, struct keys *k, struct link **link);
/* The same; the client's end as a bare descriptor. */
void	fake_start_fd(struct fake *f, struct keys *k, int *fd);
void	fake_stop(struct fake *f);		/* after remote_close() */
void	fake_init(struct fake *f, struct keys *k);
void	fake_clear(struct fake *f);
/* Own copies.  Adding what it has is fine. */
void	fake_add(struct fake *f, const struct object_id *id,
	    const uint8_t *wire, size_t len);
struct fake_object *fake_find(struct fake *f, const struct object_id *id);
void	fake_snapshot(struct fake *f, const uint8_t *client, size_t len,
	    uint64_t vault_seq, int64_t wall_ns);
/* Keys as after enrolment. */
void	fake_keys(struct keys *k);

#endif
