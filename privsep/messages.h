#ifndef PRIVSEP_MESSAGES_H
#define PRIVSEP_MESSAGES_H

#include "privsep/roles.h"

#define PROTO_PAIR_BODY_MAX 4352	/* a pre-login payload and what is beside it */

/*
 * Every message that one of our processes sends another.  One list is the
 * source of the numbers, the names and the checks in chan_recv(): a message
 * that is unknown, too large, from the wrong role, to the wrong role, or with
 * or without a descriptor against this table costs its sender the channel.
 * Bodies are written with wbuf and read with rbuf, field by field; str is u16
 * length + bytes; "id16" is 16 bytes, "addr" is family u8 (4 or 6) + 16 bytes
 * (IPv4 in the first 4) + port u16.  Messages to the master are of fixed size,
 * whatever role they come from.
 *
 * name, senders, receivers, descriptor (0 no, 1 yes, 2 maybe), largest body
 */
#define R_DISCOVERY	(R(MCAST) | R(SCAN))
#define R_SERVER_ROLES	(R(LOGGER) | R(LISTENER) | R(SESSION) | R(API) |	\
	    R(KEYD) | R(AUTH) | R(LOGIN) | R(STORE) | R(CATALOG) |	\
	    R_DISCOVERY | R(DIALER) | R(PEER) | R(CONFPARSE))
#define R_KEYD_USERS	(R(SESSION) | R(API) | R(AUTH) | R(STORE) |	\
	    R(CATALOG) | R_DISCOVERY | R(PEER))
#define R_CLIENT_ROLES	(R(ENGINE) | R(RESTORER) | R(RESOLVE) | R(NET) | R(SEEK))
#define R_PARENTS	(R(MASTER) | R(COMMAND))
#define R_ENGINES	(R(ENGINE) | R(RESTORER))

#define MESSAGES(X)							\
	/* --- life of every role --- */				\
	/* build id 16, role u8, uid u32, gid u32, flags u8 (START_*),	\
	 * parent pid u32, log level u8, root str, then the role's own */ \
	X(START,	R_PARENTS, R_SERVER_ROLES | R_CLIENT_ROLES, 0, 65536) \
	/* sandboxed, about to read its first untrusted byte */		\
	X(READY,	R_SERVER_ROLES | R_CLIENT_ROLES, R_PARENTS, 0, 0) \
	/* finish what is under way, then exit; twice: at once */	\
	X(STOP,		R_PARENTS, R_SERVER_ROLES | R_CLIENT_ROLES, 0, 0) \
	/* level u8, text str */					\
	X(LOG,		R_SERVER_ROLES | R_CLIENT_ROLES | R(MASTER),	\
			R(LOGGER) | R(COMMAND), 0, 1100)		\
	/* role u8, pid u32, conn u64: what to write before its lines */ \
	X(LOG_ADD,	R(MASTER), R(LOGGER), 1, 13)			\
	/* pid u32: its addr, for LOG lines that follow a hand-over	\
	 * (pid u32, conn u64, addr) */					\
	X(LOG_CONN,	R(MASTER), R(LOGGER), 0, 31)			\
	/* role u8 of the far end: a helper was restarted, use this now */ \
	X(NEW_CHAN,	R(MASTER), R_SERVER_ROLES, 1, 1)		\
									\
	/* --- configuration --- */					\
	/* text of the file, in pieces; last u8 first in the body */	\
	X(CONF_TEXT,	R_PARENTS, R(CONFPARSE), 0, 65536)		\
	/* conf_put() */						\
	X(CONF,		R(CONFPARSE), R_PARENTS, 0, 65536)		\
	/* line u32, text str: why it is refused */			\
	X(CONF_ERROR,	R(CONFPARSE), R_PARENTS, 0, 1200)		\
									\
	/* --- listener --- */						\
	/* kind u8 (enum port_kind): a listening socket; for the discovery	\
	 * roles their UDP sockets and the one that tells of interfaces */ \
	X(LISTEN,	R(MASTER), R(LISTENER) | R_DISCOVERY, 1, 1)	\
	/* conf_put(): Access, Plaintext and Limits of it are used */	\
	X(POLICY,	R(MASTER), R(LISTENER), 0, 65536)		\
	/* conn u64, kind u8, verdict u8 (CONN_*), addr */		\
	X(CONN,		R(LISTENER) | R(MASTER), R(MASTER) | R(SESSION) | R(API), 1, 29) \
	/* conn u64, state u8 (enum conn_state); addr if it is CRASHED */ \
	X(CONN_STATE,	R(MASTER), R(LISTENER), 0, 28)			\
									\
	/* --- keyd --- */						\
	/* worker u32, role u8, use u8 (enum keyd_use), vault id16 */	\
	X(KEYD_ADD,	R(MASTER), R(KEYD), 1, 22)			\
	/* worker u32: its connection is clear text, so it may sign one hello */ \
	X(KEYD_CLEAR,	R(MASTER), R(KEYD), 0, 4)			\
	X(KEYD_INFO,	R_KEYD_USERS, R(KEYD), 0, 0)			\
	/* identity public key 32, SPKI SHA-256 of the backup key 32,	\
	 * backup certificate (DER) as blob16, peer_binding_text() signed	\
	 * by the identity key 64 */					\
	X(KEYD_INFO_OK,	R(KEYD), R_KEYD_USERS, 0, 4096)			\
	/* the whole text to be signed; keyd insists on the TLS 1.3	\
	 * server CertificateVerify shape (RFC 8446 4.4.3) */		\
	X(KEYD_TLS,	R(SESSION) | R(API), R(KEYD), 0, 256)		\
	/* hello_sign_text() */						\
	X(KEYD_HELLO,	R(SESSION), R(KEYD), 0, 1024)			\
	/* snapshot id 32, server part without signature 98 */		\
	X(KEYD_RECEIPT,	R(STORE), R(KEYD), 0, 130)			\
	/* a discovery packet without its signature (packet_sign_text()) */ \
	X(KEYD_PACKET,	R_DISCOVERY, R(KEYD), 0, 512)			\
	/* identity of the far end 32, nonce 32, exporter 32: keyd makes	\
	 * peer_sign_text() of them and signs it, once */		\
	X(KEYD_PEER,	R(PEER), R(KEYD), 0, 96)			\
	/* the signature: DER for TLS, 64 bytes for the others */	\
	X(KEYD_SIG,	R(KEYD), R(SESSION) | R(API) | R(STORE) |	\
			R_DISCOVERY | R(PEER), 0, 128)			\
									\
	/* --- auth --- */						\
	/* worker u32, role u8 */					\
	X(AUTH_ADD,	R(MASTER), R(AUTH), 1, 5)			\
	/* worker u32, conn u64, kind u8, verdict u8, addr: what it serves now */ \
	X(AUTH_CONN,	R(MASTER), R(AUTH), 0, 33)			\
	/* conf_put(): Advertise, ports, ID for tokens */		\
	X(AUTH_CONF,	R(MASTER), R(AUTH), 0, 65536)			\
	X(AUTH_NONCE,	R(SESSION) | R(API), R(AUTH), 0, 0)		\
	X(AUTH_NONCE_OK, R(AUTH), R(SESSION) | R(API), 0, 32)		\
	/* HELLO payload blob16, HELLO_OK payload blob16, exporter 32,	\
	 * AUTH payload blob16 */					\
	X(AUTH_LOGIN,	R(SESSION), R(AUTH), 0, 16384)			\
	/* the same with the ENROL payload */				\
	X(AUTH_ENROL,	R(SESSION), R(AUTH), 0, 16384)			\
	/* type u16 (PROTO_PAIR*), exporter 32, payload blob16; answered	\
	 * by AUTH_ANSWER with the payload of the answering frame */	\
	X(AUTH_PAIR,	R(SESSION), R(AUTH), 0, PROTO_PAIR_BODY_MAX)	\
	/* code u16 (0 or PROTO_ERR_*), text str; on success of ENROL	\
	 * the ENROL_OK payload, of LOGIN: vault id16, instance id16,	\
	 * rights u32, name str */					\
	X(AUTH_ANSWER,	R(AUTH), R(SESSION), 0, 2048)			\
	/* worker u32, conn u64, vault id16, instance id16, client id16, \
	 * client key 32, rights u32, create u8, lock seconds u64, name 130 (NUL-padded) */ \
	X(GRANT,	R(AUTH), R(MASTER), 0, 243)			\
	/* worker u32, conn u64, what u8 (enum auth_event) */		\
	X(AUTH_EVENT,	R(AUTH), R(MASTER), 0, 13)			\
	/* vault id16: store made it */					\
	X(VAULT_MADE,	R(MASTER), R(AUTH), 0, 16)			\
	/* vault id16: a disabled or removed client; its sessions end */ \
	X(CUT_OFF,	R(AUTH), R(MASTER), 0, 16)			\
	/* op u8 (enum admin_op), account str, name str, host str,	\
	 * seconds u32, id id16 (token, prefix length u8 before it),	\
	 * right u8 (of a user or API token that is made or changed),	\
	 * user str (who asks, from the kernel's credentials; used for the \
	 * control socket alone, where nobody signs in) */		\
	X(ADMIN,	R(API), R(AUTH), 0, 1024)			\
	/* kind u8 (enum admin_row), then its fields; see server/auth/admin.h */ \
	X(ADMIN_ROW,	R(AUTH), R(API), 0, 2048)			\
	/* rc u8 (-RC_*), text str */					\
	X(ADMIN_END,	R(AUTH), R(API), 0, 1024)			\
									\
	/* --- signing in (api to auth); each answered by AUTH_USER --- */ \
	/* name str, password str, code of the second factor str */	\
	X(AUTH_SIGNIN,	R(API), R(AUTH), 0, 2048)			\
	/* kind u8 (enum bearer_kind), secret 32 */			\
	X(AUTH_BEARER,	R(API), R(AUTH), 0, 33)				\
	/* one-time secret 32, name str, new password str */		\
	X(AUTH_SETUP,	R(API), R(AUTH), 0, 2048)			\
	/* act u8 (enum self_act), old password str, new password str,	\
	 * code str: of the signed-in user's own account */		\
	X(AUTH_SELF,	R(API), R(AUTH), 0, 3072)			\
	/* identity 32, exporter 32, signature 64: another installation; \
	 * over peer_sign_text() with the nonce of AUTH_NONCE_OK */	\
	X(AUTH_PEER,	R(API), R(AUTH), 0, 128)			\
	/* rc u8 (-RC_*), text str; when 0: right u8 (enum right), user str, \
	 * session secret 32 (SIGNIN and SETUP, otherwise zeros),	\
	 * expires i64, secret text str (SELF: the new TOTP secret) */	\
	X(AUTH_USER,	R(AUTH), R(API), 0, 1024)			\
	/* request u32, what u8 (enum login_what), cost u8 (log2 N), r u8,	\
	 * p u8, salt 16, hash 32, password str, TOTP secret blob16 (0 or	\
	 * 20 bytes), TOTP code str, last step u64, now i64 (seconds) */ \
	X(LOGIN_CHECK,	R(AUTH), R(LOGIN), 0, 4096)			\
	/* request u32, ok u8, hash 32 (LOGIN_MAKE), TOTP step u64 */	\
	X(LOGIN_RESULT,	R(LOGIN), R(AUTH), 0, 45)			\
	/* worker u32, conn u64, right u8, identity 32 (a peer's), user	\
	 * 64 (NUL-padded) */						\
	X(API_GRANT,	R(AUTH), R(MASTER), 0, 109)			\
	/* the channel to catalog that carries the right */		\
	X(API_CHAN,	R(MASTER), R(API), 1, 0)			\
	/* worker u32, conn u64: its session or token is no more; end it	\
	 * (the channel to catalog would outlive the right) */		\
	X(API_CUT,	R(AUTH), R(MASTER), 0, 12)			\
									\
	/* --- catalog --- */						\
	/* worker u32, role u8, right u8, identity 32, addr, user 64, dial	\
	 * u32 (a peer's task), vault id16 (a store's): a channel */	\
	X(CATALOG_ADD,	R(MASTER), R(CATALOG), 1, 141)			\
	/* conf_put() */						\
	X(CATALOG_CONF,	R(MASTER), R(CATALOG) | R_DISCOVERY, 0, 65536)	\
	/* what u8 (enum client_note), account str, name str, client id16, \
	 * vault id16, state u8 (enum client_state), created i64, seen i64 */ \
	X(CLIENT_NOTE,	R(AUTH), R(CATALOG), 0, 256)			\
	/* who str, from str, act str, object str, rc u8 (-RC_*), detail str */ \
	X(AUDIT,	R(AUTH) | R(MASTER), R(CATALOG), 0, 1024)	\
	/* server/catalog/feed.h has the fields of these */		\
	X(CAT_RUN,	R(STORE), R(CATALOG), 0, 512)			\
	X(CAT_SNAPSHOT,	R(STORE), R(CATALOG), 0, 512)			\
	X(CAT_REPORT,	R(STORE), R(CATALOG), 0, 1024)			\
	X(CAT_SPACE,	R(STORE), R(CATALOG), 0, 64)			\
	/* after u64 (vault sequence): tell of all snapshots behind it */ \
	X(CAT_ASK,	R(CATALOG), R(STORE), 0, 8)			\
	/* vault id16: start its store, so that it can be asked */	\
	X(CAT_WAKE,	R(CATALOG), R(MASTER), 0, 16)			\
	/* op u8 (enum cat_op), user str, then its arguments; see	\
	 * server/catalog/query.h.  Answered by rows and CAT_END */	\
	X(CAT_QUERY,	R(API), R(CATALOG), 0, 65536)			\
	X(CAT_ROW,	R(CATALOG), R(API), 0, 4096)			\
	/* rc u8 (-RC_*), text str */					\
	X(CAT_END,	R(CATALOG), R(API), 0, 1024)			\
	/* after CAT_OP_SUBSCRIBE: seq u64, time i64, name str, subject str, \
	 * detail str */						\
	X(CAT_EVENT,	R(CATALOG), R(API), 0, 1024)			\
									\
	/* --- discovery --- */						\
	/* how u8 (enum peer_how), addr it came from, peer_info_put() */ \
	X(PEER_SEEN,	R_DISCOVERY | R(PEER), R(CATALOG), 0, 512)	\
	/* ask at once, not at the next interval */			\
	X(DISCOVER,	R(CATALOG), R_DISCOVERY, 0, 0)			\
	/* dial u32, purpose u8 (enum dial_purpose), how u8, addr,	\
	 * GUI port u16 that was announced, identity 32, pin 32 (zeros:	\
	 * first contact) */						\
	X(DIAL,		R(CATALOG) | R(MASTER), R(MASTER) | R(DIALER), 0, 92) \
	/* dial u32, rc u8 (-RC_*): with the socket when 0 */		\
	X(DIALED,	R(DIALER) | R(MASTER), R(MASTER) | R(PEER), 2, 5) \
	/* dial u32, rc u8: no peer process comes of it; for a probe all	\
	 * that is to be known (RC_OK open, RC_REFUSED, RC_TIMEOUT) */	\
	X(DIAL_END,	R(MASTER), R(CATALOG), 0, 5)			\
	/* purpose u8, identity 32 (zeros: any), then the purpose's own; see \
	 * server/discovery/task.h */					\
	X(PEER_DO,	R(CATALOG), R(PEER), 0, 65536)			\
	/* rc u8 (-RC_*), text str, identity 32 and pin 32 that were found, \
	 * then the purpose's own: the last message */			\
	X(PEER_END,	R(PEER), R(CATALOG), 0, 4096)			\
									\
	/* --- api and master --- */					\
	X(STATUS,	R(API), R(MASTER), 0, 0)			\
	/* role u8, pid u32, uid u32, started i64, vault id16, conn u64	\
	 * of one process */						\
	X(STATUS_PROC,	R(MASTER), R(API), 0, 41)			\
	/* kind u8, addr, open u8, inherited u8 */			\
	X(STATUS_PORT,	R(MASTER), R(API), 0, 22)			\
	/* version str, id str, started i64, sessions u32, vaults u32 */ \
	X(STATUS_END,	R(MASTER), R(API), 0, 256)			\
									\
	/* --- store --- */						\
	/* conn u64, client id16, client key 32, rights u32, name 130: a	\
	 * session's channel, with the right that it is */		\
	X(STORE_GRANT,	R(MASTER), R(STORE), 1, 190)			\
	/* created u8, rc u8 (-RC_*): once, after opening the vault */	\
	X(STORE_STATE,	R(STORE), R(MASTER), 0, 2)			\
	/* rc u8: 0 with the channel, -RC_* without */			\
	X(STORE_CHAN,	R(MASTER), R(SESSION), 2, 1)			\
	/* runs u32 live (so that the master does not stop it) */	\
	X(STORE_BUSY,	R(STORE), R(MASTER), 0, 4)			\
									\
	/* --- links: session-store and net-engine (privsep/link.h) --- */ \
	/* the 512 KiB memfd, first */					\
	X(RING,		R(SESSION) | R(NET), R(STORE) | R_ENGINES, 1, 0) \
	/* wall i64, vault clock u64, vault seq u64, max connections u16 */ \
	X(STORE_WELCOME, R(STORE), R(SESSION), 0, 26)			\
	/* type u16, flags u16, request u32, payload */			\
	X(FRAME,	R(SESSION) | R(NET) | R(STORE) | R_ENGINES,	\
			R(SESSION) | R(NET) | R(STORE) | R_ENGINES, 0, 65536 + 8) \
	/* type u16, request u32, total u32, offset u32, slot u8, len u32 */ \
	X(PIECE,	R(SESSION) | R(NET) | R(STORE) | R_ENGINES,	\
			R(SESSION) | R(NET) | R(STORE) | R_ENGINES, 0, 19) \
	/* mask u8 of slots that may be filled again */			\
	X(SLOTS,	R(SESSION) | R(NET) | R(STORE) | R_ENGINES,	\
			R(SESSION) | R(NET) | R(STORE) | R_ENGINES, 0, 1) \
	/* code u16 (PROTO_ERR_*), text str: the far end is to close */	\
	X(LINK_CLOSE,	R(STORE) | R_ENGINES | R(NET), R(SESSION) | R(NET) | R_ENGINES, 0, 512) \
									\
	/* --- client --- */						\
	/* host str, port u16 */					\
	X(RESOLVE,	R(COMMAND), R(RESOLVE), 0, 512)			\
	/* rc u8, errno u32, address str; with the socket when rc is 0 */ \
	X(RESOLVED,	R(RESOLVE), R(COMMAND), 2, 512)			\
	/* tls u8 (enum net_tls), pin 32, engine's end of the link follows as \
	 * NET_LINK */							\
	X(NET_OPEN,	R(COMMAND), R(NET), 1, 33)			\
	X(NET_LINK,	R(COMMAND), R(NET), 1, 0)			\
	/* TLS is up: exporter 32 (zeros in clear text), and for NET_TLS_ANY \
	 * the SPKI SHA-256 that was seen 32 */				\
	X(NET_UP,	R(NET), R_ENGINES, 0, 64)			\
	/* rc u8, text str: could not, before NET_UP */			\
	X(NET_FAILED,	R(NET), R_ENGINES, 0, 512)			\
	/* a directory of the client's state (which u8: 0 config, 1 state) \
	 * or the restore target (2) */					\
	X(ENGINE_DIR,	R(COMMAND), R_ENGINES, 1, 1)			\
	/* verb and its arguments; see client/engine/verbs.h */		\
	X(ENGINE_DO,	R(COMMAND), R_ENGINES, 0, 131072)		\
	/* host str, port u16, tls u8 (enum net_tls), pin 32: please connect */ \
	X(ENGINE_CONNECT, R_ENGINES, R(COMMAND), 0, 512)		\
	/* the link to net; or rc u8 and text str when it failed */	\
	X(ENGINE_NET,	R(COMMAND), R_ENGINES, 2, 512)			\
	/* kind u8 (enum engine_event), then its fields */		\
	X(ENGINE_EVENT,	R_ENGINES, R(COMMAND), 0, 65536)		\
	/* exit code u8, text str: the last message */			\
	X(ENGINE_DONE,	R_ENGINES, R(COMMAND), 0, 2048)			\
	/* a question and its answer: passphrase or recovery key; prompt str */ \
	X(ENGINE_ASK,	R_ENGINES, R(COMMAND), 0, 512)			\
	X(ENGINE_ANSWER, R(COMMAND), R_ENGINES, 0, 2048)		\
	/* ports of requests and of answers u16 each, our GUI port u16, ms	\
	 * u32: ask the links of this machine who is there */		\
	X(SEEK,		R(COMMAND), R(SEEK), 0, 10)			\
	/* interface's index u32, addr it answered from, peer_info_put() */ \
	X(SEEK_SEEN,	R(SEEK), R(COMMAND), 0, 512)			\
	/* interfaces asked on u32: the last message */			\
	X(SEEK_END,	R(SEEK), R(COMMAND), 0, 4)

enum msg_type {
	MSG_NONE,
#define X(name, from, to, fd, max) MSG_##name,
	MESSAGES(X)
#undef X
	MSG_MAX
};

#define START_F_IDS	0x01	/* change ids (root or ambient capabilities) */
#define START_F_CHROOT	0x02	/* chroot */
#define START_F_NOSANDBOX 0x04	/* Sandbox.Allow names this role */

/* What a listening socket is for. */
enum port_kind {
	PORT_SERVER = 1,	/* 32004 */
	PORT_SSL,		/* 32007 */
	PORT_GUI,		/* 32005 */
	PORT_WEB,		/* 6060 */
	PORT_WEBSSL,		/* 6061 */
	PORT_CONTROL,		/* Run/control.sock */
	PORT_MCAST_REQ,
	PORT_MCAST_ANS,
	PORT_SCAN,
	PORT_NETLINK,		/* not a port: tells of interfaces */
	PORT_DIALER,		/* Run/dialer.sock: a dialer that systemd started */
	PORT_KIND_MAX
};

/* The listener's verdict: what may be spoken on a connection. */
#define CONN_TLS	0x01
#define CONN_CLEAR	0x02

enum conn_state {
	CONN_TAKEN = 1,		/* a worker has it */
	CONN_AUTHED,		/* logged in: leaves the half-open count */
	CONN_CLOSED,		/* ended well */
	CONN_NOLOGIN,		/* ended without log-in */
	CONN_BADLOGIN,		/* failed log-in */
	CONN_CRASHED,		/* its worker died of SEGV, BUS, ILL, ABRT, SYS */
	CONN_REFUSED,		/* no worker to be had: send "try later" */
};

enum keyd_use {
	KEYD_USE_TLS = 1,	/* one CertificateVerify (or one clear hello) */
	KEYD_USE_RECEIPT,	/* receipts of the vault named */
	KEYD_USE_INFO,		/* public parts only */
	KEYD_USE_PACKET,	/* discovery packets of our own identity */
	KEYD_USE_PEER,		/* one peer_sign_text() */
};

enum auth_event {
	AUTH_EV_BAD_TOKEN = 1,
	AUTH_EV_OLD_TOKEN,
	AUTH_EV_USED_TOKEN,
	AUTH_EV_UNKNOWN,	/* unknown client or wrong key: same to the client */
	AUTH_EV_DISABLED,
	AUTH_EV_PROTOCOL,
	AUTH_EV_PASSWORD,	/* unknown user, wrong password or code */
	AUTH_EV_BEARER,		/* no such session or API token */
	AUTH_EV_PAIR,		/* a pairing asked or polled: no failure */
	AUTH_EV_MAX
};

/* What a console user, API token or peer may do; each includes those before. */
enum right {
	RIGHT_NONE = 0,
	RIGHT_PEER,		/* another installation: exchange and probes */
	RIGHT_VIEWER,
	RIGHT_OPERATOR,
	RIGHT_ADMIN,
	RIGHT_MAX
};

/* How net is to speak. */
enum net_tls {
	NET_CLEAR,
	NET_TLS,		/* the server has the pin, or it is over */
	NET_TLS_ANY,		/* first contact: no pin yet, tell what was seen */
	NET_TLS_MAX
};

enum bearer_kind { BEARER_SESSION = 1, BEARER_API };

enum self_act {
	SELF_PASSWORD = 1,	/* old and new password */
	SELF_TOTP_BEGIN,	/* a new secret, not yet in force */
	SELF_TOTP_CONFIRM,	/* code of that secret: from now on it is asked */
	SELF_TOTP_OFF,		/* password and code */
	SELF_SIGNOUT,
};

enum login_what { LOGIN_VERIFY = 1, LOGIN_MAKE, LOGIN_TOTP };

enum client_note {
	CLIENT_NOTE_ROW = 1,	/* new or changed */
	CLIENT_NOTE_GONE,
	CLIENT_NOTE_END,	/* of the whole list, sent on each new channel */
};

/* How a peer became known; the first that did counts. */
enum peer_how {
	PEER_BY_HAND = 1,
	PEER_MCAST,
	PEER_SCAN,
	PEER_EXCHANGE,		/* another peer told of it */
	PEER_CALLED,		/* it called us and proved its key */
	PEER_HOW_MAX
};

enum dial_purpose {
	DIAL_EXCHANGE = 1,	/* first contact and liveness, too */
	DIAL_REACH,		/* ask the peer which of our ports it reaches */
	DIAL_PROBE,		/* try one port, no peer process */
};

enum admin_op {
	ADMIN_ACCOUNT_ADD = 1, ADMIN_ACCOUNT_LIST, ADMIN_ACCOUNT_RM,
	ADMIN_CLIENT_ADD, ADMIN_CLIENT_LIST, ADMIN_CLIENT_DISABLE,
	ADMIN_CLIENT_ENABLE, ADMIN_CLIENT_RM,
	ADMIN_TOKEN_ADD, ADMIN_TOKEN_LIST, ADMIN_TOKEN_REVOKE,
	ADMIN_VAULT_LIST,
	/* users: name, right.  ADD and RESET answer a one-time secret */
	ADMIN_USER_ADD, ADMIN_USER_LIST, ADMIN_USER_RM, ADMIN_USER_RIGHT,
	ADMIN_USER_RESET,
	/* sessions: id is the first digits of the session's id */
	ADMIN_SESSION_LIST, ADMIN_SESSION_REVOKE,
	/* API tokens: name, right, seconds; ADD answers the secret */
	ADMIN_API_ADD, ADMIN_API_LIST, ADMIN_API_REVOKE,
	/* pairings: id; ACCEPT names account and client */
	ADMIN_PAIR_LIST, ADMIN_PAIR_ACCEPT, ADMIN_PAIR_REFUSE,
	ADMIN_OP_MAX
};

#endif
