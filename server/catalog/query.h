#ifndef SERVER_CATALOG_QUERY_H
#define SERVER_CATALOG_QUERY_H

#include "privsep/messages.h"

/*
 * What an api worker may ask the catalog (MSG_CAT_QUERY), on the channel that is
 * its right.  The body is op u8, user str (used where the right came from the
 * control socket, otherwise the grant's), then the arguments named here.  The
 * answer is rows (MSG_CAT_ROW: kind u8, then the fields in order) and CAT_END.
 * One query at a time.  Times are Unix seconds, 0 for never.
 *
 * op, least right, arguments, rows
 */
#define CAT_OPS(X)							\
	/* -; CLIENT rows, then one TOTALS */				\
	X(OVERVIEW,	VIEWER)						\
	/* account str, name str; one CLIENT */				\
	X(CLIENT,	VIEWER)						\
	/* account str, name str ("": all), before u64 (run number, 0: newest), \
	 * n u32 (1..1000); RUN rows, newest first */			\
	X(RUNS,		VIEWER)						\
	/* run number u64; one RUN */					\
	X(RUN,		VIEWER)						\
	/* account str, name str ("": all), since i64; SPACE rows */	\
	X(STORAGE,	VIEWER)						\
	/* -; ALERT rows */						\
	X(ALERTS,	VIEWER)						\
	/* days u32 (1..90); DAY rows: the heat strip */		\
	X(DAYS,		VIEWER)						\
	/* -; PEER rows */						\
	X(PEERS,	VIEWER)						\
	/* addr, fingerprint str ("": as found at first contact), label	\
	 * str; one PEER */						\
	X(PEER_ADD,	OPERATOR)					\
	/* prefix of the fingerprint, or the id, str: out of the list until \
	 * it is heard again */						\
	X(PEER_RM,	OPERATOR)					\
	/* the same: with its key, so that a new key is no conflict */	\
	X(PEER_FORGET,	ADMIN)						\
	/* -; the discovery roles ask at once */			\
	X(DISCOVER,	OPERATOR)					\
	/* peer str (as for RM); REACH rows: our ports as it sees them */ \
	X(REACH,	OPERATOR)					\
	/* after u64 (entry number), n u32 (1..1000); AUDIT rows */	\
	X(AUDIT_LIST,	VIEWER)						\
	/* -; one VERIFY row */						\
	X(AUDIT_VERIFY,	VIEWER)						\
	/* -; CLIENT rows, TOTALS, SPACE rows (the newest of each vault) */ \
	X(METRICS,	VIEWER)						\
	/* after u64 (event number); CAT_END, then CAT_EVENT for ever */ \
	X(SUBSCRIBE,	VIEWER)						\
	/* who the peer is stands in the grant.  peer_info_put() of itself, n \
	 * u16, then n entries (peer_info_put(), addr); ENTRY rows: what we \
	 * know, 60 at most */						\
	X(EXCHANGE,	PEER)						\
	/* n u8 (1..4), ports u16: we try them at the address the peer calls \
	 * from; REACH rows */						\
	X(PROBE,	PEER)

enum cat_op {
	CAT_OP_NONE,
#define X(name, right) CAT_OP_##name,
	CAT_OPS(X)
#undef X
	CAT_OP_MAX
};

enum cat_row {
	/* account str, name str, client id16, vault id16, client state u8,
	 * status u8 (enum cat_state), since i64 (of the status), last good
	 * i64, last run i64 (begun), last run's end i64, last run state u8
	 * (enum cat_state), last run's number u64, snapshots u32, bytes u64
	 * (of its vault on disk), last new bytes u64, due i64 (0: not known),
	 * seen i64 */
	CAT_ROW_CLIENT = 1,
	/* clients u32, protected u32 (last good backup not overdue), running
	 * u32, alerts u32, vault bytes u64, free u64, total u64 (of the fullest
	 * file system), now i64 */
	CAT_ROW_TOTALS,
	/* number u64, account str, name str, label str, run id16, state u8
	 * (enum cat_state), started i64, ended i64 (0: runs), snapshot 32
	 * (zeros: none), objects u64, received u64, new bytes u64, closure bytes
	 * u64; reported u8 and when 1: outcome u8 (enum report_outcome), files
	 * u64, dirs u64, bytes u64, new bytes u64, skipped u64, milliseconds u64 */
	CAT_ROW_RUN,
	/* account str, name str, at i64, bytes u64, objects u64, snapshots u64,
	 * fs free u64, fs total u64 */
	CAT_ROW_SPACE,
	/* number u64, kind u8 (enum alert_kind), since i64, account str, name
	 * str ("": of the server), text str */
	CAT_ROW_ALERT,
	/* account str, name str, day u32 (days since 1970 UTC), good u16,
	 * incomplete u16, failed u16 */
	CAT_ROW_DAY,
	/* fingerprint str, how u8, state u8 (enum peer_state), conflict u8,
	 * compared u8 (1: a person gave the fingerprint), addr, first seen i64,
	 * last seen i64, since i64 (of the state), label str, peer_info_put();
	 * a peer by hand not reached yet has zeros for keys and "?" for id */
	CAT_ROW_PEER,
	/* port u16, rc u8 (-RC_*: 0 open, REFUSED closed, TIMEOUT filtered,
	 * others not tried), milliseconds u32 */
	CAT_ROW_REACH,
	/* number u64, at i64, who str, from str, act str, object str, rc u8,
	 * detail str, hash 32 */
	CAT_ROW_AUDIT,
	/* ok u8, entries u64, first bad u64 (0: none), head 32 */
	CAT_ROW_VERIFY,
	/* peer_info_put(), addr */
	CAT_ROW_ENTRY,
	CAT_ROW_MAX
};

/* The nine states of a client and of a run (the console's words). */
#define CAT_STATES(X)							\
	X(UNKNOWN, "unknown") X(OK, "ok") X(INCOMPLETE, "incomplete")	\
	X(FAILED, "failed") X(CANCELLED, "cancelled")			\
	X(OVERDUE, "overdue") X(RUNNING, "running") X(PAUSED, "paused")	\
	X(NEVER, "never")
enum cat_state {
#define X(name, text) CAT_STATE_##name,
	CAT_STATES(X)
#undef X
	CAT_STATE_MAX
};

enum alert_kind {
	ALERT_OVERDUE = 1,
	ALERT_INCOMPLETE,
	ALERT_FAILED,
	ALERT_SPACE,
	ALERT_CERTIFICATE,
	ALERT_CONFLICT,		/* a peer's key changed */
	ALERT_MAX
};

enum peer_state {
	PEER_STATE_NEVER = 0,	/* known, never reached */
	PEER_STATE_UP,
	PEER_STATE_SILENT,	/* nothing for three of its intervals */
};

#endif
