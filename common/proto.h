#ifndef COMMON_PROTO_H
#define COMMON_PROTO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/digest.h"
#include "common/object.h"
#include "common/rbuf.h"
#include "common/snapshot.h"
#include "common/wbuf.h"

/*
 * The backup protocol of ports 32004 and 32007, see doc/PROTOCOL.md.
 *
 *	frame = length u32 (of what follows the 12 bytes) | type u16 |
 *	        flags u16 | request u32 | payload
 *
 * A request number is chosen by the client and repeated in every answer.  Flags
 * are zero in this version.  The largest pre-login frame keeps the first byte
 * 0x00, which is how clear text is told from a TLS record (0x16).
 */
#define PROTO_VERSION		1
#define PROTO_FRAME_LEN		12
#define PROTO_PRELOGIN_MAX	4096
#define PROTO_SMALL_MAX		65536		/* every frame but PUT and OBJ */
#define PROTO_IDS_MAX		1024		/* ids in one frame of any kind */
#define PROTO_CREDIT_PUT	(32u << 20)	/* unacknowledged PUT bytes */
#define PROTO_CREDIT_HAVE	65536		/* unanswered ids */
#define PROTO_CREDIT_GET	(64u << 20)	/* unreceived OBJ bytes, by estimate: 4,096 ids at most */
#define PROTO_CREDIT_GET_IDS	4096
#define PROTO_ACK_EVERY		64
#define PROTO_ACK_MS		50
#define PROTO_STALL_MS		60000
#define PROTO_LOGIN_MS		20000
#define PROTO_HANDSHAKE_MS	10000
#define PROTO_CURSOR_MAX	1024
#define PROTO_RECORD_MAX	8192
#define PROTO_COPIES_MAX	16		/* records of one id: GET's copies 0..15 */

/* Which side sends a frame, and in which state it may come. */
#define PROTO_C		0x01		/* client sends */
#define PROTO_S		0x02		/* server sends */

enum proto_state {
	PROTO_ST_HELLO = 0x01,		/* nothing but HELLO */
	PROTO_ST_AUTH = 0x02,		/* after both hellos */
	PROTO_ST_OPEN = 0x04,		/* logged in */
	PROTO_ST_ANY = 0x07,
};

/* name, number, who, states, largest payload */
#define PROTO_FRAMES(X)							\
	X(HELLO,	0x0001, PROTO_C, PROTO_ST_HELLO, PROTO_PRELOGIN_MAX) \
	X(HELLO_OK,	0x0002, PROTO_S, PROTO_ST_HELLO, PROTO_PRELOGIN_MAX) \
	X(AUTH,		0x0003, PROTO_C, PROTO_ST_AUTH,  PROTO_PRELOGIN_MAX) \
	X(AUTH_OK,	0x0004, PROTO_S, PROTO_ST_AUTH,  PROTO_PRELOGIN_MAX) \
	X(ENROL,	0x0005, PROTO_C, PROTO_ST_AUTH,  PROTO_PRELOGIN_MAX) \
	X(ENROL_OK,	0x0006, PROTO_S, PROTO_ST_AUTH,  PROTO_PRELOGIN_MAX) \
	X(PAIR,		0x0007, PROTO_C, PROTO_ST_AUTH,  256)		\
	X(PAIR_OK,	0x0008, PROTO_S, PROTO_ST_AUTH,  256)		\
	X(PAIR_OPEN,	0x0009, PROTO_C, PROTO_ST_AUTH,  64)		\
	X(PAIR_POLL,	0x000a, PROTO_C, PROTO_ST_AUTH,  64)		\
	X(PAIR_STATE,	0x000b, PROTO_S, PROTO_ST_AUTH,  1536)		\
	X(RUN_BEGIN,	0x0010, PROTO_C, PROTO_ST_OPEN,  64)		\
	X(RUN_OK,	0x0011, PROTO_S, PROTO_ST_OPEN,  PROTO_SMALL_MAX) \
	X(RUN_JOIN,	0x0012, PROTO_C, PROTO_ST_OPEN,  16)		\
	X(HAVE,		0x0013, PROTO_C, PROTO_ST_OPEN,  PROTO_SMALL_MAX) \
	X(HAVE_OK,	0x0014, PROTO_S, PROTO_ST_OPEN,  512)		\
	X(PUT,		0x0015, PROTO_C, PROTO_ST_OPEN,  OBJECT_WIRE_MAX) \
	X(ACK,		0x0016, PROTO_S, PROTO_ST_OPEN,  32)		\
	X(FLUSH,	0x0017, PROTO_C, PROTO_ST_OPEN,  1)		\
	X(FLUSHED,	0x0018, PROTO_S, PROTO_ST_OPEN,  32)		\
	X(COMMIT,	0x0019, PROTO_C, PROTO_ST_OPEN,  SNAPSHOT_CLIENT_MAX) \
	X(COMMITTED,	0x001a, PROTO_S, PROTO_ST_OPEN,  512)		\
	X(MISSING,	0x001b, PROTO_S, PROTO_ST_OPEN,  PROTO_SMALL_MAX) \
	/* what the client says of its run; no answer */		\
	X(REPORT,	0x001c, PROTO_C, PROTO_ST_OPEN,  256)		\
	X(LIST,		0x0020, PROTO_C, PROTO_ST_OPEN,  64)		\
	X(SNAPSHOT,	0x0021, PROTO_S, PROTO_ST_OPEN,  PROTO_SMALL_MAX) \
	X(LIST_END,	0x0022, PROTO_S, PROTO_ST_OPEN,  16)		\
	X(GET,		0x0023, PROTO_C, PROTO_ST_OPEN,  PROTO_SMALL_MAX) \
	X(OBJ,		0x0024, PROTO_S, PROTO_ST_OPEN,  OBJECT_WIRE_MAX) \
	X(GONE,		0x0025, PROTO_S, PROTO_ST_OPEN,  64)		\
	X(WALK,		0x0026, PROTO_C, PROTO_ST_OPEN,  2048)		\
	X(WALK_END,	0x0027, PROTO_S, PROTO_ST_OPEN,  2048)		\
	X(VERIFY,	0x0028, PROTO_C, PROTO_ST_OPEN,  16)		\
	X(FINDING,	0x0029, PROTO_S, PROTO_ST_OPEN,  1024)		\
	X(VERIFY_END,	0x002a, PROTO_S, PROTO_ST_OPEN,  64)		\
	X(RECORD_ADD,	0x0030, PROTO_C, PROTO_ST_OPEN,  PROTO_RECORD_MAX + 16) \
	X(RECORD_OK,	0x0031, PROTO_S, PROTO_ST_OPEN,  16)		\
	X(RECORD_GET,	0x0032, PROTO_C, PROTO_ST_OPEN,  16)		\
	X(RECORD,	0x0033, PROTO_S, PROTO_ST_OPEN,  PROTO_RECORD_MAX + 64) \
	X(RECORD_END,	0x0034, PROTO_S, PROTO_ST_OPEN,  16)		\
	X(WANTED,	0x0035, PROTO_S, PROTO_ST_OPEN,  PROTO_SMALL_MAX) \
	X(BAD,		0x0036, PROTO_C, PROTO_ST_OPEN,  64)		\
	X(BAD_OK,	0x0037, PROTO_S, PROTO_ST_OPEN,  16)		\
	X(PING,		0x0040, PROTO_C | PROTO_S, PROTO_ST_ANY, 8)	\
	X(PONG,		0x0041, PROTO_C | PROTO_S, PROTO_ST_ANY, 8)	\
	X(ERROR,	0x0042, PROTO_C | PROTO_S, PROTO_ST_ANY, 512)	\
	X(BYE,		0x0043, PROTO_C | PROTO_S, PROTO_ST_ANY, 0)

enum proto_type {
#define X(name, code, who, states, max) PROTO_##name = (code),
	PROTO_FRAMES(X)
#undef X
};

/* What stands in ERROR; the client turns it into its exit code. */
#define PROTO_ERRORS(X)							\
	X(INTERNAL,	1,  1, "the server could not do that")		\
	X(PROTOCOL,	2,  0, "malformed or unexpected frame")		\
	X(VERSION,	3,  0, "no protocol version in common")		\
	X(AUTH,		4,  0, "not authenticated")			\
	X(LATER,	5,  1, "busy, try again later")			\
	X(PLAINTEXT,	6,  0, "clear text is not served here")		\
	X(VAULT,	7,  1, "the vault is not there (is the disk mounted?)") \
	X(FULL,		8,  0, "no space left on the server")		\
	X(QUOTA,	9,  0, "quota exceeded")			\
	X(STATE,	10, 0, "not allowed now")			\
	X(LIMIT,	11, 0, "too large or too many")			\
	X(NOENT,	12, 0, "not there")				\
	X(CORRUPT,	13, 0, "data on the server is damaged")		\
	X(UNSUPPORTED,	14, 0, "not supported by this server")		\
	X(READONLY,	15, 0, "the vault is read-only")		\
	X(SEQUENCE,	16, 0, "older than what the vault has")		\
	X(SHUTDOWN,	17, 1, "the server is stopping")		\
	X(DENIED,	18, 0, "not permitted")				\
	X(TIMEOUT,	19, 1, "nothing came for too long")

enum proto_error {
#define X(name, code, retry, text) PROTO_ERR_##name = (code),
	PROTO_ERRORS(X)
#undef X
};

struct frame {
	uint32_t	length;
	uint16_t	type;
	uint16_t	flags;
	uint32_t	request;
};

void	frame_put(uint8_t p[PROTO_FRAME_LEN], const struct frame *f);
void	frame_get(const uint8_t p[PROTO_FRAME_LEN], struct frame *f);
/* RC_OK when a frame of this type and length may be sent by `who` in `state`;
 * RC_PROTO unknown, flags set or wrong side, RC_STATE, RC_LIMIT too long. */
int	frame_allowed(const struct frame *f, int who, enum proto_state state);
const char *proto_name(uint16_t type);		/* "HELLO"; "?" */
const char *proto_error_text(uint16_t code);
/* What it means, and what was said of it in brackets unless that repeats it. */
#define PROTO_SAYS_MAX	400
void	proto_error_says(uint16_t code, const char *text,
	    char out[PROTO_SAYS_MAX]);
bool	proto_error_retry(uint16_t code);
/* PROTO_ERR_* for an RC_*, and back. */
uint16_t proto_error_of(int rc);
int	proto_error_rc(uint16_t code);

/* A string for people: RC_RANGE when it holds control characters. */
int	proto_text(struct rbuf *in, char *out, size_t size);

/* Each payload: a struct, its writer, its strict parser (trailing bytes are an
 * error).  Arrays of ids are views into the payload. */
#define PROTO_MAGIC	0x53473101u	/* "SG1" 01, first in HELLO */

struct hello {
	uint16_t	version_min, version_max;
	uint64_t	features;
	uint8_t		nonce[32];
};
void	hello_put(struct wbuf *out, const struct hello *h);
int	hello_parse(struct rbuf *in, struct hello *h);

struct hello_ok {
	uint16_t	version;
	uint64_t	features;
	uint8_t		nonce[32];
	uint32_t	frame_max;		/* of small frames */
	uint16_t	ids_max;
	char		id[64];			/* the server's StoreGrid ID */
	uint8_t		identity[ED25519_LEN];	/* its identity key */
	uint8_t		signed_;		/* 1 in clear text */
	uint8_t		sig[ED25519_SIG_LEN];	/* over hello_sign_text() */
};
void	hello_ok_put(struct wbuf *out, const struct hello_ok *h);
int	hello_ok_parse(struct rbuf *in, struct hello_ok *h);
/* "sg1 hello" | SHA-256(HELLO payload) | HELLO_OK payload with zeros for sig */
int	hello_sign_text(struct wbuf *out, const uint8_t *hello, size_t hello_len,
	    const struct hello_ok *ok);
/* SHA-256(len u32 | HELLO payload | len u32 | HELLO_OK payload) */
int	hellos_hash(const uint8_t *a, size_t a_len, const uint8_t *b,
	    size_t b_len, uint8_t out[32]);

struct auth {
	uint8_t	client[16];
	uint8_t	sig[ED25519_SIG_LEN];
};
void	auth_put(struct wbuf *out, const struct auth *a);
int	auth_parse(struct rbuf *in, struct auth *a);
/* "sg1 auth" | hellos hash 32 | exporter 32 | SHA-256(identity key) 32 | client 16 */
void	auth_sign_text(struct wbuf *out, const uint8_t hellos[32],
	    const uint8_t exporter[32], const uint8_t identity_fp[32],
	    const uint8_t client[16]);

#define PROTO_RIGHT_BACKUP	0x01
#define PROTO_RIGHT_RESTORE	0x02

struct auth_ok {
	uint8_t		vault[16], instance[16];
	uint32_t	rights;
	int64_t		wall_ns;
	uint64_t	vault_clock;
	uint64_t	vault_seq;		/* of the newest snapshot */
	uint16_t	connections;
	uint32_t	credit_put, credit_have, credit_get;
	char		name[130];		/* ACCOUNT/NAME */
};
void	auth_ok_put(struct wbuf *out, const struct auth_ok *a);
int	auth_ok_parse(struct rbuf *in, struct auth_ok *a);

struct enrol {
	uint8_t	token[16];
	uint8_t	client_key[ED25519_LEN];
	uint8_t	mac[32];
};
void	enrol_put(struct wbuf *out, const struct enrol *e);
int	enrol_parse(struct rbuf *in, struct enrol *e);
/* HMAC-SHA-256(secret, "sg1 enrol" | hellos hash | exporter | client key) */
int	enrol_mac(const struct secret *token_secret, const uint8_t hellos[32],
	    const uint8_t exporter[32], const uint8_t client_key[ED25519_LEN],
	    uint8_t mac[32]);

struct enrol_ok {
	uint8_t	client[16], vault[16], instance[16];
	uint8_t	identity[ED25519_LEN];
	uint8_t	existing;		/* 1: the client was known before (recover) */
	char	name[130];
};
void	enrol_ok_put(struct wbuf *out, const struct enrol_ok *e);
int	enrol_ok_parse(struct rbuf *in, struct enrol_ok *e);

/*
 * Pairing: a client without a token, a server without a name for it, and two
 * people who compare a code.  The client commits to its nonce before it sees the
 * server's, so that nobody in between can choose values that make two different
 * codes alike (a hash commitment as in ZRTP, RFC 6189 4.4.1).
 */
#define PROTO_FEATURE_PAIR	0x01	/* of HELLO and HELLO_OK */
#define PROTO_FEATURE_REPORT	0x02
#define PROTO_PAIR_CODE_LEN	9	/* "1234-5678" */
#define PROTO_PAIR_MS		600000	/* a pairing is forgotten after this */
#define PROTO_PAIR_POLL_MS	3000	/* between two PAIR_POLL */

struct pair {
	uint8_t	commit[32];		/* pair_commit() */
	uint8_t	client_key[ED25519_LEN];
	char	name[64];		/* what the client calls itself */
};
void	pair_put(struct wbuf *out, const struct pair *p);
int	pair_parse(struct rbuf *in, struct pair *p);
struct pair_ok {
	uint8_t	pairing[16];
	uint8_t	nonce[32];		/* the server's */
};
void	pair_ok_put(struct wbuf *out, const struct pair_ok *p);
int	pair_ok_parse(struct rbuf *in, struct pair_ok *p);
/* PAIR_OPEN (on the same connection) and PAIR_POLL (on any later one): pairing
 * 16, the client's nonce 32, by which it is known again. */
struct pair_open {
	uint8_t	pairing[16];
	uint8_t	nonce[32];
};
void	pair_open_put(struct wbuf *out, const struct pair_open *p);
int	pair_open_parse(struct rbuf *in, struct pair_open *p);
enum pair_state {
	PAIR_WAITING = 1,		/* for the administrator */
	PAIR_ACCEPTED,			/* with the enrolment token */
	PAIR_REFUSED,
	PAIR_GONE,			/* unknown or forgotten */
	PAIR_STATE_MAX
};
#define PROTO_TOKEN_MAX		1100
struct pair_state_msg {
	uint8_t	state;
	char	token[PROTO_TOKEN_MAX];	/* PAIR_ACCEPTED, otherwise "" */
};
void	pair_state_put(struct wbuf *out, const struct pair_state_msg *p);
int	pair_state_parse(struct rbuf *in, struct pair_state_msg *p);

/* SHA-256("sg1 pair commit" | client nonce | client key) */
int	pair_commit(const uint8_t nonce[32], const uint8_t key[ED25519_LEN],
	    uint8_t commit[32]);
/* Eight decimal digits of SHA-256("sg1 pair code" | client key | server identity
 * key | SPKI SHA-256 of the TLS key 32 | client nonce | server nonce). */
struct pair_code {
	uint8_t	client_key[ED25519_LEN], identity[ED25519_LEN];
	uint8_t	pin[SHA256_LEN];
	uint8_t	client_nonce[32], server_nonce[32];
};
int	pair_code(const struct pair_code *c, char out[PROTO_PAIR_CODE_LEN + 1]);

/* REPORT: once a run ends, however it does. */
enum report_outcome {
	REPORT_OK = 1,
	REPORT_INCOMPLETE,		/* committed, some files are missing */
	REPORT_FAILED,
	REPORT_CANCELLED,
	REPORT_OUTCOME_MAX
};
struct report {
	uint8_t		run[16];
	uint8_t		outcome;	/* enum report_outcome */
	uint64_t	files, dirs, bytes, new_bytes, skipped, milliseconds;
};
void	report_put(struct wbuf *out, const struct report *r);
int	report_parse(struct rbuf *in, struct report *r);

/* A list of ids: count u16, ids. */
struct ids {
	const uint8_t	*p;		/* n * 32 */
	size_t		 n;
};
void	ids_put(struct wbuf *out, const struct object_id *ids, size_t n);
int	ids_parse(struct rbuf *in, struct ids *ids);	/* to the end; <= PROTO_IDS_MAX */

struct run_begin {
	uint8_t	run[16], job[16];
	struct object_id base;		/* zeros: none */
};
void	run_begin_put(struct wbuf *out, const struct run_begin *r);
int	run_begin_parse(struct rbuf *in, struct run_begin *r);

#define PROTO_RUN_BASE		0x01	/* the base was accepted */
#define PROTO_RUN_EMPTY		0x02	/* the vault has no object: ask nothing */
#define PROTO_RUN_RESUMED	0x04	/* the run was known: its objects are pinned */
struct run_ok {
	uint8_t		flags;
	uint64_t	client_seq;	/* newest of this client in the vault; 0 none */
	struct ids	wanted;
};
void	run_ok_put(struct wbuf *out, uint8_t flags, uint64_t client_seq,
	    const struct object_id *wanted, size_t n);
int	run_ok_parse(struct rbuf *in, struct run_ok *r);

enum have {
	HAVE_ABSENT = 0,
	HAVE_PRESENT = 1,
	HAVE_FOREIGN = 2,		/* present, written by another client */
	HAVE_AGAIN = 3,			/* present but damaged: send again */
};
/* HAVE is ids; HAVE_OK is n u16 and 2 bits each, first id in the high bits. */
void	have_ok_put(struct wbuf *out, const uint8_t *have, size_t n);
int	have_ok_parse(struct rbuf *in, uint8_t *have, size_t max, size_t *n);

/* ACK and FLUSHED: counts of PUT frames of this connection. */
struct ack {
	uint64_t	received, durable;
};
void	ack_put(struct wbuf *out, const struct ack *a);
int	ack_parse(struct rbuf *in, struct ack *a);

/* COMMIT is a snapshot's client part; COMMITTED its server part; MISSING is ids. */

struct list {
	uint8_t		job[16];	/* zeros: all */
	uint64_t	after;		/* vault sequence */
	uint16_t	n;		/* 1..1024 */
};
void	list_put(struct wbuf *out, const struct list *l);
int	list_parse(struct rbuf *in, struct list *l);
/* SNAPSHOT: client part as blob32, server part. */
struct listed {
	const uint8_t		*client;
	size_t			 client_len;
	struct snapshot_server	 server;
};
void	listed_put(struct wbuf *out, const uint8_t *client, size_t len,
	    const struct snapshot_server *server);
int	listed_parse(struct rbuf *in, struct listed *l);
/* LIST_END, RECORD_END: more u8 (1: ask again after the last). */
void	more_put(struct wbuf *out, uint8_t more);
int	more_parse(struct rbuf *in, uint8_t *more);

/* GET: count u16, then (id, copy u8).  copy 0 is the newest record. */
void	get_put(struct wbuf *out, const struct object_id *ids, size_t n,
	    uint8_t copy);
struct get {
	const uint8_t	*p;		/* n * 33 */
	size_t		 n;
};
int	get_parse(struct rbuf *in, struct get *g);
/* OBJ is an object; GONE and BAD are (id, copy). */
struct id_copy {
	struct object_id id;
	uint8_t		 copy;
};
void	id_copy_put(struct wbuf *out, const struct id_copy *c);
int	id_copy_parse(struct rbuf *in, struct id_copy *c);

#define PROTO_WALK_NODES	0x01
#define PROTO_WALK_DATA		0x02
/* All objects under root, in preorder, edges in their order, every occurrence
 * (both sides can count).  Ends after about `budget` bytes with a cursor that
 * goes on; an empty cursor in WALK_END means done. */
struct walk {
	struct object_id root;
	uint8_t		 what;
	uint64_t	 budget;
	const uint8_t	*cursor;
	size_t		 cursor_len;
};
void	walk_put(struct wbuf *out, const struct walk *w);
int	walk_parse(struct rbuf *in, struct walk *w);
void	walk_end_put(struct wbuf *out, const uint8_t *cursor, size_t len);
int	walk_end_parse(struct rbuf *in, const uint8_t **cursor, size_t *len);

/* VERIFY: percent u8 (0..100).  FINDING: kind u8, id 32 (zeros: none), text
 * (file and offset, for people).  VERIFY_END: totals. */
void	verify_put(struct wbuf *out, uint8_t percent);
int	verify_parse(struct rbuf *in, uint8_t *percent);
struct finding {
	uint8_t		 kind;		/* enum finding_kind */
	struct object_id id;
	char		 text[256];
};
enum finding_kind {
	FINDING_OBJECT = 1,		/* an object's bytes: data is lost */
	FINDING_COPY = 2,		/* a second copy, footer, trailer, padding: nothing lost */
	FINDING_MISSING = 3,		/* referred to, not there */
	FINDING_JOURNAL = 4,
};
void	finding_put(struct wbuf *out, const struct finding *f);
int	finding_parse(struct rbuf *in, struct finding *f);
struct verify_end {
	uint64_t	objects, bytes, findings;
};
void	verify_end_put(struct wbuf *out, const struct verify_end *v);
int	verify_end_parse(struct rbuf *in, struct verify_end *v);

/* Key material in the journal.  The body is opaque to the server. */
enum record_kind {
	RECORD_KEY = 1,			/* an epoch key, wrapped */
	RECORD_SLOT = 2,		/* the vault key, wrapped */
	RECORD_PARAMS = 3,
};
struct record {
	uint8_t		 kind;
	uint64_t	 seq;		/* in the journal; 0 when adding */
	const uint8_t	*body;
	size_t		 len;		/* <= PROTO_RECORD_MAX */
};
void	record_put(struct wbuf *out, const struct record *r);
int	record_parse(struct rbuf *in, struct record *r);
/* RECORD_GET: kind u8 (0: all), after u64.  RECORD_OK: seq u64. */
void	record_ok_put(struct wbuf *out, uint64_t seq);
int	record_ok_parse(struct rbuf *in, uint64_t *seq);
struct record_get {
	uint8_t		kind;
	uint64_t	after;
};
void	record_get_put(struct wbuf *out, const struct record_get *r);
int	record_get_parse(struct rbuf *in, struct record_get *r);

struct proto_err {
	uint16_t	code;
	uint8_t		retry;
	char		text[256];	/* for people; may be empty */
};
void	proto_err_put(struct wbuf *out, uint16_t code, const char *text);
int	proto_err_parse(struct rbuf *in, struct proto_err *e);

#endif
