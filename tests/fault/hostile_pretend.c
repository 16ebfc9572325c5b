#include "config.h"

#include "tests/fault/hostile.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/io.h"
#include "common/num.h"
#include "common/rc.h"

/* The other side: what a client may meet where its server should be, and
 * tokens that are not quite what the server gave. */

#define HELD_MAX	64

static size_t
words_of(const char *kind, uint8_t *out, size_t size)
{
	static const char http[] = "HTTP/1.1 400 Bad Request\r\n\r\n";
	struct wbuf b = WBUF_INIT(512);
	struct frame f = { .type = PROTO_ERROR };
	size_t n = 0;

	if (strcmp(kind, "http") == 0) {
		n = sizeof(http) - 1;
		memcpy(out, http, n);
	} else if (strcmp(kind, "junk") == 0) {
		n = size;
		random_fill(out, n);
		out[0] = 0x16;		/* looks like TLS at first, */
		out[1] = 0x00;		/* of no version that there is */
	} else if (strcmp(kind, "later") == 0 ||
	    strcmp(kind, "plaintext") == 0 || strcmp(kind, "long") == 0) {
		proto_err_put(&b, kind[0] == 'p' ? PROTO_ERR_PLAINTEXT :
		    PROTO_ERR_LATER, "");
		/* a frame that is longer than any may be before the log-in */
		f.length = kind[1] == 'o' ? 0x00ffffff : (uint32_t)b.len;
		frame_put(out, &f);
		memcpy(out + PROTO_FRAME_LEN, b.data, b.len);
		n = PROTO_FRAME_LEN + b.len;
		wbuf_free(&b);
	}
	return n;
}

/* KIND: http, junk, later, plaintext, long, close, silence. */
static int
do_pretend(struct target *t, int argc, char **argv)
{
	struct sockaddr_in in = { .sin_family = AF_INET,
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct pollfd p = { .events = POLLIN };
	int held[HELD_MAX], n = 0, fd;
	uint8_t words[600];
	uint64_t until;
	size_t len;

	if (argc != 2)
		return 2;
	in.sin_port = htons(t->port);
	p.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	setsockopt(p.fd, SOL_SOCKET, SO_REUSEADDR, &(int){ 1 }, sizeof(int));
	if (p.fd == -1 || bind(p.fd, (struct sockaddr *)&in, sizeof(in)) ==
	    -1 || listen(p.fd, 16) == -1) {
		perror("pretend");
		return 1;
	}
	len = words_of(argv[0], words, sizeof(words));
	until = io_now_ms() + (uint64_t)atoi(argv[1]) * 1000;
	while (io_now_ms() < until) {
		if (poll(&p, 1, 100) != 1 ||
		    (fd = accept(p.fd, NULL, NULL)) == -1)
			continue;
		if (len > 0 && send(fd, words, len, MSG_NOSIGNAL) == -1)
			perror("pretend: send");
		if (strcmp(argv[0], "close") != 0 && n < HELD_MAX)
			held[n++] = fd;		/* until the end */
		else
			close(fd);
	}
	while (n > 0)
		close(held[--n]);
	close(p.fd);
	return 0;
}

/* WHAT: secret, id, pin, identity, port. */
static int
do_token_change(struct target *t, int argc, char **argv)
{
	char text[TOKEN_TEXT_MAX];
	struct token *k = &t->token;

	if (argc != 2 || !t->have_token)
		return 2;
	if (strcmp(argv[0], "secret") == 0)
		k->secret.b[0] ^= 1;
	else if (strcmp(argv[0], "id") == 0)
		k->id[0] ^= 1;
	else if (strcmp(argv[0], "pin") == 0)
		k->pin[0] ^= 1;
	else if (strcmp(argv[0], "identity") == 0)
		k->identity_fp[0] ^= 1;
	else if (strcmp(argv[0], "port") == 0)
		k->port = k->ssl_port = t->port;
	else
		return 2;
	if (token_format(k, text) != RC_OK)
		return 1;
	return io_write_file(AT_FDCWD, argv[1], text, strlen(text), 0600) ==
	    RC_OK ? 0 : 1;
}

const struct scenario scenarios_pretend[] = {
	{ "pretend", do_pretend, "KIND SECONDS: be another kind of server" },
	{ "token-change", do_token_change, "WHAT FILE: a token that is wrong" },
	{ NULL, NULL, NULL }
};
