#include "config.h"

#include "common/rc.h"

#include <errno.h>

const char *
rc_str(int rc)
{
	switch (rc) {
#define X(name, value, text) case RC_##name: return text;
	RC_CODES(X)
#undef X
	}
	return "unknown error";
}

int
rc_errno(int err)
{
	switch (err) {
	case ENOSPC:
	case EDQUOT:
		return RC_FULL;
	case EAGAIN:
#if EWOULDBLOCK != EAGAIN
	case EWOULDBLOCK:
#endif
		return RC_AGAIN;
	case ENOMEM:
		return RC_NOMEM;
	case ENOENT:
		return RC_NOENT;
	case EEXIST:
		return RC_EXISTS;
	case EACCES:
	case EPERM:
		return RC_DENIED;
	case EROFS:
		return RC_READONLY;
	default:
		return RC_IO;
	}
}
