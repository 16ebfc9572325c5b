#ifndef COMMON_RC_H
#define COMMON_RC_H

/*
 * The one way to fail.  Functions return RC_OK or one of these negative codes
 * and stay silent; the role that decides what follows logs once.
 */
#define RC_CODES(X)							\
	X(OK,		0,   "ok")					\
	X(TRUNCATED,	-1,  "input ends too early")			\
	X(TRAILING,	-2,  "bytes left over")				\
	X(RANGE,	-3,  "value out of range")			\
	X(LIMIT,	-4,  "too large")				\
	X(NOMEM,	-5,  "out of memory")				\
	X(IO,		-6,  "input/output error")	/* see errno */	\
	X(EOF,		-7,  "the other side closed")			\
	X(AGAIN,	-8,  "not ready")				\
	X(PROTO,	-9,  "malformed message")			\
	X(STATE,	-10, "message not allowed now")			\
	X(VERSION,	-11, "version not supported")			\
	X(AUTH,		-12, "not authenticated")			\
	X(PIN,		-13, "key does not match the pin")		\
	X(TLS,		-14, "TLS failed")				\
	X(CRYPTO,	-15, "decryption or signature failed")		\
	X(CRC,		-16, "checksum mismatch")			\
	X(CORRUPT,	-17, "data is damaged")				\
	X(MISSING,	-18, "an object is missing")			\
	X(NOENT,	-19, "not found")				\
	X(EXISTS,	-20, "exists already")				\
	X(BUSY,		-21, "in use")					\
	X(FULL,		-22, "no space left")				\
	X(QUOTA,	-23, "quota exceeded")				\
	X(DENIED,	-24, "not permitted")				\
	X(SANDBOX,	-25, "sandbox could not be set up")		\
	X(CONFIG,	-26, "configuration error")			\
	X(UNSUPPORTED,	-27, "not supported")				\
	X(UNMOUNTED,	-28, "not there (is the disk mounted?)")	\
	X(CANCELLED,	-29, "cancelled")				\
	X(TIMEOUT,	-30, "timed out")				\
	X(OLDER,	-31, "older than what was seen before")		\
	X(UNREACHABLE,	-32, "not reachable")				\
	X(READONLY,	-33, "read-only")				\
	X(REFUSED,	-34, "connection refused")

enum rc {
#define X(name, value, text) RC_##name = (value),
	RC_CODES(X)
#undef X
};

/* Text for a person; never NULL, also for numbers that are no RC_*. */
const char *rc_str(int rc);

/*
 * RC_* for an errno of a system call that just failed: ENOSPC and EDQUOT are
 * RC_FULL, EAGAIN is RC_AGAIN, ENOMEM is RC_NOMEM, ENOENT is RC_NOENT, EEXIST
 * is RC_EXISTS, EACCES and EPERM are RC_DENIED, EROFS is RC_READONLY,
 * everything else RC_IO.  errno stays as it is.
 */
int rc_errno(int err);

#endif
