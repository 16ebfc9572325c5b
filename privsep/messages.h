#ifndef PRIVSEP_MESSAGES_H
#define PRIVSEP_MESSAGES_H

#include "privsep/roles.h"

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
#define R_SERVER_ROLES	(R(LOGGER) | R(LISTENER) | R(SESSION) | R(API) |	\
	    R(KEYD) | R(AUTH) | R(STORE) | R(CONFPARSE))
#define R_CLIENT_ROLES	(R(ENGINE) | R(RESTORER) | R(RESOLVE) | R(NET))
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
	/* kind u8 (enum port_kind): a listening socket */		\
	X(LISTEN,	R(MASTER), R(LISTENER), 1, 1)			\
	/* conf_put(): Access, Plaintext and Limits of it are used */	\
	X(POLICY,	R(MASTER), R(LISTENER), 0, 65536)		\
	/* conn u64, kind u8, verdict u8 (CONN_*), addr */		\
	X(CONN,		R(LISTENER) | R(MASTER), R(MASTER) | R(SESSION) | R(API), 1, 29) \
	/* conn u64, state u8 (enum conn_state); addr if it is CRASHED */ \
	X(CONN_STATE,	R(MASTER), R(LISTENER), 0, 28)			\
									\
	/* --- keyd --- */						\
	/* worker u32, use u8 (enum keyd_use), vault id16 */		\
	X(KEYD_ADD,	R(MASTER), R(KEYD), 1, 21)			\
	/* worker u32: its connection is clear text, so it may sign one hello */ \
	X(KEYD_CLEAR,	R(MASTER), R(KEYD), 0, 4)			\
	X(KEYD_INFO,	R(SESSION) | R(AUTH) | R(STORE), R(KEYD), 0, 0)	\
	/* identity public key 32, SPKI SHA-256 of the backup key 32,	\
	 * backup certificate (DER) as blob16 */			\
	X(KEYD_INFO_OK,	R(KEYD), R(SESSION) | R(AUTH) | R(STORE), 0, 4096) \
	/* the whole text to be signed; keyd insists on the TLS 1.3	\
	 * server CertificateVerify shape (RFC 8446 4.4.3) */		\
	X(KEYD_TLS,	R(SESSION), R(KEYD), 0, 256)			\
	/* hello_sign_text() */						\
	X(KEYD_HELLO,	R(SESSION), R(KEYD), 0, 1024)			\
	/* snapshot id 32, server part without signature 98 */		\
	X(KEYD_RECEIPT,	R(STORE), R(KEYD), 0, 130)			\
	/* the signature: DER for TLS, 64 bytes for the others */	\
	X(KEYD_SIG,	R(KEYD), R(SESSION) | R(STORE), 0, 128)		\
									\
	/* --- auth --- */						\
	/* worker u32, role u8 */					\
	X(AUTH_ADD,	R(MASTER), R(AUTH), 1, 5)			\
	/* worker u32, conn u64, kind u8, verdict u8, addr: what it serves now */ \
	X(AUTH_CONN,	R(MASTER), R(AUTH), 0, 33)			\
	/* conf_put(): Advertise, ports, ID for tokens */		\
	X(AUTH_CONF,	R(MASTER), R(AUTH), 0, 65536)			\
	X(AUTH_NONCE,	R(SESSION), R(AUTH), 0, 0)			\
	X(AUTH_NONCE_OK, R(AUTH), R(SESSION), 0, 32)			\
	/* HELLO payload blob16, HELLO_OK payload blob16, exporter 32,	\
	 * AUTH payload blob16 */					\
	X(AUTH_LOGIN,	R(SESSION), R(AUTH), 0, 16384)			\
	/* the same with the ENROL payload */				\
	X(AUTH_ENROL,	R(SESSION), R(AUTH), 0, 16384)			\
	/* code u16 (0 or PROTO_ERR_*), text str; on success of ENROL	\
	 * the ENROL_OK payload, of LOGIN: vault id16, instance id16,	\
	 * rights u32, name str */					\
	X(AUTH_ANSWER,	R(AUTH), R(SESSION), 0, 1024)			\
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
	 * user str (who asks, from SO_PEERCRED, for the log) */	\
	X(ADMIN,	R(API), R(AUTH), 0, 1024)			\
	/* kind u8 (enum admin_row), then its fields; see server/auth/admin.h */ \
	X(ADMIN_ROW,	R(AUTH), R(API), 0, 2048)			\
	/* rc u8 (-RC_*), text str */					\
	X(ADMIN_END,	R(AUTH), R(API), 0, 1024)			\
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
	/* tls u8, pin 32, engine's end of the link follows as NET_LINK */ \
	X(NET_OPEN,	R(COMMAND), R(NET), 1, 33)			\
	X(NET_LINK,	R(COMMAND), R(NET), 1, 0)			\
	/* TLS is up: exporter 32 (zeros in clear text) */		\
	X(NET_UP,	R(NET), R_ENGINES, 0, 32)			\
	/* rc u8, text str: could not, before NET_UP */			\
	X(NET_FAILED,	R(NET), R_ENGINES, 0, 512)			\
	/* a directory of the client's state (which u8: 0 config, 1 state) \
	 * or the restore target (2) */					\
	X(ENGINE_DIR,	R(COMMAND), R_ENGINES, 1, 1)			\
	/* verb and its arguments; see client/engine/verbs.h */		\
	X(ENGINE_DO,	R(COMMAND), R_ENGINES, 0, 131072)		\
	/* host str, port u16, tls u8, pin 32: please connect */	\
	X(ENGINE_CONNECT, R_ENGINES, R(COMMAND), 0, 512)		\
	/* the link to net; or rc u8 and text str when it failed */	\
	X(ENGINE_NET,	R(COMMAND), R_ENGINES, 2, 512)			\
	/* kind u8 (enum engine_event), then its fields */		\
	X(ENGINE_EVENT,	R_ENGINES, R(COMMAND), 0, 65536)		\
	/* exit code u8, text str: the last message */			\
	X(ENGINE_DONE,	R_ENGINES, R(COMMAND), 0, 2048)			\
	/* a question and its answer: passphrase or recovery key; prompt str */ \
	X(ENGINE_ASK,	R_ENGINES, R(COMMAND), 0, 512)			\
	X(ENGINE_ANSWER, R(COMMAND), R_ENGINES, 0, 2048)

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
};

enum auth_event {
	AUTH_EV_BAD_TOKEN = 1,
	AUTH_EV_OLD_TOKEN,
	AUTH_EV_USED_TOKEN,
	AUTH_EV_UNKNOWN,	/* unknown client or wrong key: same to the client */
	AUTH_EV_DISABLED,
	AUTH_EV_PROTOCOL,
};

enum admin_op {
	ADMIN_ACCOUNT_ADD = 1, ADMIN_ACCOUNT_LIST, ADMIN_ACCOUNT_RM,
	ADMIN_CLIENT_ADD, ADMIN_CLIENT_LIST, ADMIN_CLIENT_DISABLE,
	ADMIN_CLIENT_ENABLE, ADMIN_CLIENT_RM,
	ADMIN_TOKEN_ADD, ADMIN_TOKEN_LIST, ADMIN_TOKEN_REVOKE,
	ADMIN_VAULT_LIST, ADMIN_OP_MAX
};

#endif
