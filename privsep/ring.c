#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/io.h"
#include "common/rc.h"
#include "privsep/link.h"

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U		/* Linux 6.3 */
#endif
#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010
#endif

#define RING_SEALS	(F_SEAL_SHRINK | F_SEAL_GROW)

int
ring_make(int *fd, void **map)
{
	unsigned int flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
	int rc;

	*map = NULL;
	*fd = memfd_create("ring", flags | MFD_NOEXEC_SEAL);
	if (*fd == -1 && errno == EINVAL)	/* older kernel */
		*fd = memfd_create("ring", flags);
	if (*fd == -1)
		return rc_errno(errno);
	if (ftruncate(*fd, RING_SIZE) != 0 ||
	    fcntl(*fd, F_ADD_SEALS, RING_SEALS | F_SEAL_SEAL) != 0)
		goto fail;
	*map = mmap(NULL, RING_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, *fd,
	    0);
	if (*map != MAP_FAILED)
		return RC_OK;
	*map = NULL;
fail:
	rc = rc_errno(errno);
	fd_close(fd);
	return rc;
}

/*
 * Sealed against both, so that no pread or pwrite of ours can come up short,
 * and not sealed against writing, so that ours do not fail.
 */
int
ring_check(int fd)
{
	struct stat st;
	int seals;

	if ((seals = fcntl(fd, F_GET_SEALS)) == -1 ||
	    (seals & RING_SEALS) != RING_SEALS ||
	    (seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE)) != 0)
		return RC_PROTO;
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) ||
	    st.st_size != (off_t)RING_SIZE)
		return RC_PROTO;
	return RC_OK;
}
