#ifndef SERVER_MASTER_NOTIFY_H
#define SERVER_MASTER_NOTIFY_H

#include <stdbool.h>
#include <stdint.h>

/*
 * What systemd is told (sd_notify(3)) and what it hands over
 * (sd_listen_fds(3)), by hand: both are documented as stable.
 * The socket is opened before the sandbox and kept.
 */
struct notify {
	int		fd;		/* -1: nobody wants to know */
	uint64_t	watchdog_ms;	/* 0: none asked for */
	uint64_t	next_ms;
};

/* From the environment, which is emptied of it. */
void	notify_open(struct notify *n);
/* Lines "READY=1", "STATUS=..."; never blocks, failures do not matter. */
void	notify_send(struct notify *n, const char *fmt, ...)
	    __attribute__((format(printf, 2, 3)));
/* RELOADING=1 with the time that systemd wants beside it. */
void	notify_reloading(struct notify *n);
/* The watchdog, when it is time; the next time is at n->next_ms. */
void	notify_tick(struct notify *n, uint64_t now_ms);

/*
 * Number of descriptors from 3 on that are meant for this process, made
 * close-on-exec; 0 if none; -1 when LISTEN_FDS is nonsense.  The variables are
 * removed.
 */
int	listen_fds(void);

#endif
