#include "config.h"

#include "tests/fault/hostile.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/io.h"
#include "common/rc.h"

/* Many at once: connections that say nothing, from a list of addresses. */

#define SILENT_MAX	16384
#define REOPEN_MAX	20		/* in a tenth of a second */

static struct pollfd silent[SILENT_MAX];

static int
read_list(const char *path, char (**list)[64], size_t *n)
{
	FILE *f = fopen(path, "r");
	char line[128];

	*n = 0;
	*list = NULL;
	if (f == NULL)
		return RC_NOENT;
	while (fgets(line, sizeof(line), f) != NULL) {
		char (*more)[64];

		line[strcspn(line, " \t\r\n")] = '\0';
		if (line[0] == '\0' || strlen(line) >= 64)
			continue;
		if ((more = realloc(*list, (*n + 1) * sizeof(**list))) == NULL)
			break;
		*list = more;
		strcpy(more[(*n)++], line);
	}
	fclose(f);
	return *n > 0 ? RC_OK : RC_NOENT;
}

/* Those that the server has ended are opened again, as a flood would. */
static size_t
reopen(struct target *t, char (*list)[64], size_t list_n, size_t n,
    size_t *opened, size_t *failed)
{
	size_t i, ended = 0;

	if (poll(silent, (nfds_t)n, 0) <= 0)
		return 0;
	for (i = 0; i < n && ended < REOPEN_MAX; i++) {
		if (silent[i].fd == -1 || silent[i].revents == 0)
			continue;
		ended++;
		close(silent[i].fd);
		snprintf(t->from, sizeof(t->from), "%s", list[i % list_n]);
		if (conn_socket(t, &silent[i].fd) == RC_OK)
			++*opened;
		else
			++*failed;
	}
	return ended;
}

static int
do_silent(struct target *t, int argc, char **argv)
{
	size_t n, i, list_n, opened = 0, failed = 0, ended = 0;
	struct rlimit rl;
	char (*list)[64];
	uint64_t until;

	if (argc != 3 || (n = (size_t)atoi(argv[0])) == 0 || n > SILENT_MAX)
		return 2;
	if (read_list(argv[1], &list, &list_n) != RC_OK) {
		fprintf(stderr, "silent: no addresses in %s\n", argv[1]);
		return 1;
	}
	if (getrlimit(RLIMIT_NOFILE, &rl) == 0) {
		rl.rlim_cur = rl.rlim_max;
		setrlimit(RLIMIT_NOFILE, &rl);
	}
	for (i = 0; i < n; i++) {
		snprintf(t->from, sizeof(t->from), "%s", list[i % list_n]);
		silent[i].events = POLLIN | POLLRDHUP;
		if (conn_socket(t, &silent[i].fd) == RC_OK)
			opened++;
		else
			failed++;
	}
	printf("silent: %zu open, %zu failed\n", opened, failed);
	fflush(stdout);
	until = io_now_ms() + (uint64_t)atoi(argv[2]) * 1000;
	while (io_now_ms() < until) {
		ended += reopen(t, list, list_n, n, &opened, &failed);
		poll(NULL, 0, 100);
	}
	printf("silent: %zu opened in all, %zu ended by the server, "
	    "%zu failed\n", opened, ended, failed);
	free(list);
	return 0;
}

static int
order(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

/* Log in again and again; how many within a second? */
static int
do_login_loop(struct target *t, int argc, char **argv)
{
	int n = argc == 1 ? atoi(argv[0]) : 0, i, good = 0, failed = 0;
	char text[400];
	struct conn c;
	int *ms;

	if (n < 1 || n > 100000 ||
	    (ms = calloc((size_t)n, sizeof(*ms))) == NULL)
		return 2;
	for (i = 0; i < n; i++) {
		if (login(&c, t) == RC_OK) {
			ms[i] = c.ms;
			conn_frame(&c, PROTO_BYE, 0, NULL, 0);
		} else {
			conn_drain(&c, 1000);
			printf("login-loop: %d: %s\n", i, ending_text(&c,
			    text, sizeof(text)));
			ms[i] = 99999;
			failed++;
		}
		good += ms[i] <= 1000;
		conn_close(&c);
	}
	qsort(ms, (size_t)n, sizeof(*ms), order);
	printf("login-loop: %d of %d within 1 s, %d failed; "
	    "median %d ms, 95 %% %d ms, longest %d ms\n", good, n, failed,
	    ms[n / 2], ms[n * 95 / 100], ms[n - 1]);
	free(ms);
	return good * 100 >= n * 95 ? 0 : 1;
}

const struct scenario scenarios_flood[] = {
	{ "silent", do_silent, "N ADDRESSES SECONDS: say nothing, N times" },
	{ "login-loop", do_login_loop, "N: 95 of 100 within a second?" },
	{ NULL, NULL, NULL }
};
