#ifndef CLIENT_ENGINE_XATTR_H
#define CLIENT_ENGINE_XATTR_H

#include <stddef.h>
#include <stdint.h>

#include "common/wbuf.h"

/*
 * A set of extended attributes (so ACLs and capabilities too), as it stands in
 * an entry: (name len u8 | name | value len u32 | value)*, strictly rising
 * names.  doc/VAULT-FORMAT.md "Nodes".
 */
#define XATTR_SET_MAX	(1u << 20)
#define XATTR_VALUE_MAX	65536u		/* the kernel's own limit */

/* out is reset; it stays empty when there are none or the file system knows
 * none.  RC_LIMIT: more than a set may hold. */
int	xattr_read_fd(int fd, struct wbuf *out);
/* The same by name, not following a symlink at its end. */
int	xattr_read_path(const char *path, struct wbuf *out);
/* RC_CORRUPT when it is no set; stops when `each` answers non-zero. */
int	xattr_each(const uint8_t *p, size_t len, int (*each)(void *arg,
	    const char *name, const uint8_t *value, size_t n), void *arg);

#endif
