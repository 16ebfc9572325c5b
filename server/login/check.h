#ifndef SERVER_LOGIN_CHECK_H
#define SERVER_LOGIN_CHECK_H

#include "common/rbuf.h"
#include "common/wbuf.h"

/*
 * One LOGIN_CHECK and its LOGIN_RESULT.  What is wrong in the message itself is
 * an error; a wrong password or code is an answer.  Password and code are both
 * looked at, always, so that the time says nothing of either.
 */
#define LOGIN_COST_MAX	17		/* 128 MiB with r = 8 */
#define LOGIN_PASSWORD_MAX 256

int	login_answer(struct rbuf *in, struct wbuf *out);
/* Everything once, before the sandbox. */
int	login_setup(void);

#endif
