#ifndef CLIENT_ENGINE_POOL_H
#define CLIENT_ENGINE_POOL_H

#include <stdbool.h>
#include <stddef.h>

/*
 * The engine's threads.  All are made before the filter is set, which afterwards
 * allows no clone; they sleep until there is work.  Two queues: POOL_FIRST for
 * short jobs that never wait for another job, POOL_NEXT for all others.  A job
 * that has to wait helps with POOL_FIRST meanwhile, so the pool cannot block
 * itself.
 */
#define POOL_THREADS_MAX	33

enum pool_lane { POOL_FIRST, POOL_NEXT, POOL_LANES };

/* Embedded in what is to be done; belongs to the pool until run() is called. */
struct pool_job {
	struct pool_job	*next;
	void		(*run)(struct pool_job *j);
};

/* *nthreads: how many (0: one a core and one more, for the walker); tells how
 * many there are.  When it returns each of them runs its own function, so that
 * the filter may be loaded. */
int	pool_start(int *nthreads);
void	pool_stop(void);		/* waits for all that was added */
int	pool_threads(void);
int	pool_self(void);		/* 0..n-1 in a job; n elsewhere */
void	pool_add(enum pool_lane lane, struct pool_job *j);
/* Run one waiting job of POOL_FIRST; false when there is none. */
bool	pool_help(void);
/*
 * Wait until ready(arg) says so, helping; called in a job or elsewhere.  Whoever
 * changes what ready() looks at calls pool_kick() afterwards.
 */
void	pool_wait(bool (*ready)(void *arg), void *arg);
void	pool_kick(void);

#endif
