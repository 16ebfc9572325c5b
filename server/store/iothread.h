#ifndef STORE_IOTHREAD_H
#define STORE_IOTHREAD_H

/*
 * Threads that wait for the disk, so that the loop does not: each job is one
 * fdatasync.  The descriptor stays the caller's and open until the job is back.
 */
#define IO_THREADS 3

struct io_job {
	struct io_job	*next;
	int		 fd;
	int		 rc;		/* RC_* when it is back */
	int		 tag;		/* the caller's */
};

struct io_pool;

/* Before the sandbox: what the threads wake the loop with. */
int	io_pool_new(struct io_pool **p);
/* Start them; returns when all run. */
int	io_pool_start(struct io_pool *p);
int	io_pool_fd(const struct io_pool *p);	/* readable: one is back */
void	io_submit(struct io_pool *p, struct io_job *j);
struct io_job *io_done(struct io_pool *p);	/* NULL: none */
/* Wait until one is back. */
struct io_job *io_wait(struct io_pool *p);

#endif
