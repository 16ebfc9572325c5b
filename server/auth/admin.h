#ifndef SERVER_AUTH_ADMIN_H
#define SERVER_AUTH_ADMIN_H

#include "privsep/messages.h"

/*
 * Rows that auth answers to ADMIN (MSG_ADMIN_ROW): kind u8, then the fields in
 * this order.  Times are Unix seconds, 0 for never.
 */
enum admin_row {
	/* name str, clients u32, created i64 */
	ADMIN_ROW_ACCOUNT = 1,
	/* account str, name str, client id16, vault id16, state u8
	 * (enum client_state), created i64, last seen i64 */
	ADMIN_ROW_CLIENT,
	/* token id16, account str, name str, expires i64, state u8
	 * (0 open, 1 used, 2 expired, 3 revoked) */
	ADMIN_ROW_TOKEN,
	/* vault id16, instance id16, account str, name str,
	 * state u8 (0 none yet, 1 creating, 2 exists) */
	ADMIN_ROW_VAULT,
	/* the new token's text str, expires i64: shown once */
	ADMIN_ROW_SECRET,
	/* name str, right u8, state u8 (enum user_state), totp u8, created i64,
	 * last sign-in i64, failures u32 */
	ADMIN_ROW_USER,
	/* session id16, user str, right u8, addr text str, created i64, seen i64,
	 * expires i64 */
	ADMIN_ROW_SESSION,
	/* token id16, name str, right u8, created i64, seen i64, expires i64,
	 * state u8 (0 open, 2 expired, 3 revoked) */
	ADMIN_ROW_API,
	/* pairing id16, what the client calls itself str, addr text str, code
	 * str, asked i64, expires i64, state u8 (enum pair_state), client name
	 * str ("ACCOUNT/NAME" once accepted) */
	ADMIN_ROW_PAIR,
};

enum user_state {
	USER_NEW = 0,		/* no password yet: its one-time secret is out */
	USER_ACTIVE,
};

enum client_state {
	CLIENT_ADDED = 0,	/* no key yet */
	CLIENT_ENROLLED,
	CLIENT_DISABLED,
};

#endif
