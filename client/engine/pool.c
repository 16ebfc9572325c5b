#include "config.h"

#include "client/engine/pool.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

#include "common/rc.h"

#define STACK_SIZE	(512u << 10)

/* The process's own threads: there is one pool. */
static struct {
	pthread_mutex_t	 lock;
	pthread_cond_t	 work, change;
	struct lane {
		struct pool_job	*head, **tail;
	}		 lane[POOL_LANES];
	pthread_t	 thread[POOL_THREADS_MAX];
	int		 n, waiting, running;
	bool		 stop;
} pool = {
	.lock = PTHREAD_MUTEX_INITIALIZER,
	.work = PTHREAD_COND_INITIALIZER,
	.change = PTHREAD_COND_INITIALIZER,
};
static _Thread_local int self = -1;

static struct pool_job *
take(enum pool_lane last)
{
	struct pool_job *j;
	int i;

	for (i = 0; i <= (int)last; i++) {
		if ((j = pool.lane[i].head) == NULL)
			continue;
		if ((pool.lane[i].head = j->next) == NULL)
			pool.lane[i].tail = &pool.lane[i].head;
		return j;
	}
	return NULL;
}

static void *
worker(void *arg)
{
	struct pool_job *j;

	self = (int)(size_t)arg;
	pthread_mutex_lock(&pool.lock);
	pool.running++;
	pthread_cond_broadcast(&pool.change);
	for (;;) {
		if ((j = take(POOL_NEXT)) != NULL) {
			pthread_mutex_unlock(&pool.lock);
			j->run(j);
			pthread_mutex_lock(&pool.lock);
		} else if (pool.stop) {
			break;
		} else {
			pthread_cond_wait(&pool.work, &pool.lock);
		}
	}
	pthread_mutex_unlock(&pool.lock);
	return NULL;
}

int
pool_start(int *nthreads)
{
	sigset_t all, old;
	pthread_attr_t attr;
	long cores;
	int i, rc = RC_OK;

	for (i = 0; i < POOL_LANES; i++)
		pool.lane[i].tail = &pool.lane[i].head;
	if (*nthreads <= 0) {
		cores = sysconf(_SC_NPROCESSORS_ONLN);
		*nthreads = cores < 1 ? 2 : (int)(cores > 16 ? 16 : cores) + 1;
	}
	if (*nthreads > POOL_THREADS_MAX)
		*nthreads = POOL_THREADS_MAX;
	if (*nthreads < 2)
		*nthreads = 2;
	if (pthread_attr_init(&attr) != 0)
		return RC_NOMEM;
	/* Signals are the main thread's; threads inherit this mask. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	pthread_attr_setstacksize(&attr, STACK_SIZE);
	pool.stop = false;
	pool.running = 0;
	for (pool.n = 0; pool.n < *nthreads; pool.n++)
		if (pthread_create(&pool.thread[pool.n], &attr, worker,
		    (void *)(size_t)pool.n) != 0) {
			rc = RC_NOMEM;
			break;
		}
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
	if (rc != RC_OK) {
		pool_stop();
		return rc;
	}
	/*
	 * A thread that was only just made still asks the kernel for things
	 * that the filter forbids (rseq, set_robust_list): none may be so young
	 * when the caller loads it.
	 */
	pthread_mutex_lock(&pool.lock);
	while (pool.running < pool.n)
		pthread_cond_wait(&pool.change, &pool.lock);
	pthread_mutex_unlock(&pool.lock);
	return RC_OK;
}

void
pool_stop(void)
{
	pthread_mutex_lock(&pool.lock);
	pool.stop = true;
	pthread_cond_broadcast(&pool.work);
	pthread_mutex_unlock(&pool.lock);
	while (pool.n > 0)
		pthread_join(pool.thread[--pool.n], NULL);
}

int
pool_threads(void)
{
	return pool.n;
}

int
pool_self(void)
{
	return self >= 0 ? self : pool.n;
}

void
pool_add(enum pool_lane lane, struct pool_job *j)
{
	j->next = NULL;
	pthread_mutex_lock(&pool.lock);
	*pool.lane[lane].tail = j;
	pool.lane[lane].tail = &j->next;
	pthread_cond_signal(&pool.work);
	/* Those who wait for something else can help with this. */
	if (lane == POOL_FIRST && pool.waiting > 0)
		pthread_cond_broadcast(&pool.change);
	pthread_mutex_unlock(&pool.lock);
}

bool
pool_help(void)
{
	struct pool_job *j;

	pthread_mutex_lock(&pool.lock);
	j = take(POOL_FIRST);
	pthread_mutex_unlock(&pool.lock);
	if (j == NULL)
		return false;
	j->run(j);
	return true;
}

/* ready() is asked under the lock that pool_kick() takes, so no change is
 * missed; it may only look at atomics. */
void
pool_wait(bool (*ready)(void *arg), void *arg)
{
	struct pool_job *j;

	pthread_mutex_lock(&pool.lock);
	while (!ready(arg)) {
		if ((j = take(POOL_FIRST)) != NULL) {
			pthread_mutex_unlock(&pool.lock);
			j->run(j);
			pthread_mutex_lock(&pool.lock);
			continue;
		}
		pool.waiting++;
		pthread_cond_wait(&pool.change, &pool.lock);
		pool.waiting--;
	}
	pthread_mutex_unlock(&pool.lock);
}

void
pool_kick(void)
{
	pthread_mutex_lock(&pool.lock);
	if (pool.waiting > 0)
		pthread_cond_broadcast(&pool.change);
	pthread_mutex_unlock(&pool.lock);
}
