#include "config.h"

#include "server/store/iothread.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/rc.h"

struct io_pool {
	pthread_mutex_t	 lock;
	pthread_cond_t	 work, back, up;
	struct io_job	*todo, **todo_tail;
	struct io_job	*done, **done_tail;
	unsigned	 running;
	int		 wake;
};

int
io_pool_new(struct io_pool **out)
{
	struct io_pool *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return RC_NOMEM;
	if ((p->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) < 0) {
		free(p);
		return rc_errno(errno);
	}
	p->todo_tail = &p->todo;
	p->done_tail = &p->done;
	if (pthread_mutex_init(&p->lock, NULL) != 0 ||
	    pthread_cond_init(&p->work, NULL) != 0 ||
	    pthread_cond_init(&p->back, NULL) != 0 ||
	    pthread_cond_init(&p->up, NULL) != 0)
		return RC_NOMEM;
	*out = p;
	return RC_OK;
}

static void
wake(struct io_pool *p)
{
	uint64_t one = 1;

	/* It can only fail when the loop has been woken already. */
	while (write(p->wake, &one, sizeof(one)) < 0 && errno == EINTR)
		;
}

static void *
run(void *arg)
{
	struct io_pool *p = arg;
	struct io_job *j;

	pthread_mutex_lock(&p->lock);
	p->running++;
	pthread_cond_signal(&p->up);
	for (;;) {
		while ((j = p->todo) == NULL)
			pthread_cond_wait(&p->work, &p->lock);
		if ((p->todo = j->next) == NULL)
			p->todo_tail = &p->todo;
		pthread_mutex_unlock(&p->lock);
		j->rc = fdatasync(j->fd) == 0 ? RC_OK : rc_errno(errno);
		pthread_mutex_lock(&p->lock);
		j->next = NULL;
		*p->done_tail = j;
		p->done_tail = &j->next;
		pthread_cond_signal(&p->back);
		wake(p);
	}
	return NULL;
}

int
io_pool_start(struct io_pool *p)
{
	pthread_attr_t attr;
	sigset_t all, old;
	pthread_t t;
	int rc = RC_OK;

	sigfillset(&all);
	if (pthread_attr_init(&attr) != 0)
		return RC_NOMEM;
	(void)pthread_attr_setstacksize(&attr, 128 << 10);
	(void)pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	(void)pthread_sigmask(SIG_BLOCK, &all, &old);
	for (int i = 0; i < IO_THREADS && rc == RC_OK; i++)
		if (pthread_create(&t, &attr, run, p) != 0)
			rc = RC_NOMEM;
	(void)pthread_sigmask(SIG_SETMASK, &old, NULL);
	(void)pthread_attr_destroy(&attr);
	if (rc != RC_OK)
		return rc;
	pthread_mutex_lock(&p->lock);
	while (p->running < IO_THREADS)
		pthread_cond_wait(&p->up, &p->lock);
	pthread_mutex_unlock(&p->lock);
	return RC_OK;
}

int
io_pool_fd(const struct io_pool *p)
{
	return p->wake;
}

void
io_submit(struct io_pool *p, struct io_job *j)
{
	pthread_mutex_lock(&p->lock);
	j->next = NULL;
	*p->todo_tail = j;
	p->todo_tail = &j->next;
	pthread_cond_signal(&p->work);
	pthread_mutex_unlock(&p->lock);
}

static struct io_job *
take_done(struct io_pool *p)
{
	struct io_job *j = p->done;

	if (j != NULL && (p->done = j->next) == NULL)
		p->done_tail = &p->done;
	return j;
}

struct io_job *
io_done(struct io_pool *p)
{
	struct io_job *j;
	uint64_t n;

	pthread_mutex_lock(&p->lock);
	if (p->done == NULL)
		while (read(p->wake, &n, sizeof(n)) < 0 && errno == EINTR)
			;
	j = take_done(p);
	pthread_mutex_unlock(&p->lock);
	return j;
}

struct io_job *
io_wait(struct io_pool *p)
{
	struct io_job *j;

	pthread_mutex_lock(&p->lock);
	while (p->done == NULL)
		pthread_cond_wait(&p->back, &p->lock);
	j = take_done(p);
	pthread_mutex_unlock(&p->lock);
	return j;
}
