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
};

enum client_state {
	CLIENT_ADDED = 0,	/* no key yet */
	CLIENT_ENROLLED,
	CLIENT_DISABLED,
};

#endif
