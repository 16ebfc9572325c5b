#include "config.h"

#include "client/cli/show_impl.h"

#include <sys/ioctl.h>

#include <stdio.h>
#include <unistd.h>

#include "client/cli/escape.h"
#include "common/io.h"
#include "common/rc.h"

#define JSON_PROGRESS_MS 1000
#define RATE_MS		500		/* between two samples of the rate */

struct progress_seen {
	uint64_t	files, bytes, new_bytes, stored, total_files;
	uint64_t	total_bytes;
	char		phase[64];
	const uint8_t	*path;
	size_t		 path_len;
};

static void
sample_rate(struct show *s, uint64_t bytes)
{
	uint64_t now = io_now_ms(), ms = now - s->sample_ms;
	double rate;

	if (s->sample_ms == 0 || bytes < s->sample_bytes) {
		s->sample_ms = now;
		s->sample_bytes = bytes;
		return;
	}
	if (ms < RATE_MS)
		return;
	rate = (double)(bytes - s->sample_bytes) * 1000 / (double)ms;
	/* Smoothed over some five samples, or the estimate jumps about. */
	s->rate = s->rate > 0 ? s->rate * 0.8 + rate * 0.2 : rate;
	s->sample_ms = now;
	s->sample_bytes = bytes;
}

static void
progress_line(struct show *s, const struct progress_seen *p)
{
	char files[32], bytes[32], rate[32] = "", eta[64] = "", head[256];
	struct winsize ws;
	size_t columns = 79, used;
	const char *path;

	human_count(p->files, files, sizeof(files));
	human_bytes(p->bytes, bytes, sizeof(bytes));
	if (s->rate > 0)
		human_bytes((uint64_t)s->rate, rate, sizeof(rate));
	if (s->rate > 0 && p->total_bytes > p->bytes) {
		char left[32];

		human_seconds((uint64_t)((double)(p->total_bytes - p->bytes) /
		    s->rate), left, sizeof(left));
		snprintf(eta, sizeof(eta), "  ETA %s", left);
	}
	snprintf(head, sizeof(head), "%s  %s files  %s%s%s%s%s  ", p->phase,
	    files, bytes, rate[0] != '\0' ? "  " : "", rate,
	    rate[0] != '\0' ? "/s" : "", eta);
	if (ioctl(STDERR_FILENO, TIOCGWINSZ, &ws) == 0 && ws.ws_col > 20)
		columns = ws.ws_col - 1u;
	used = escape_cut(head, columns);
	path = show_esc(s, 0, p->path, p->path_len);
	fprintf(stderr, "\r%.*s%.*s\033[K", (int)used, head,
	    (int)escape_cut(path, columns - used), path);
	(void)fflush(stderr);
	s->on_screen = true;
}

static void
progress_json(struct show *s, const struct progress_seen *p)
{
	uint64_t now = io_now_ms();
	struct json j;

	if (now - s->last_json < JSON_PROGRESS_MS)
		return;
	s->last_json = now;
	show_json_begin(s, &j, "progress");
	json_put_str(&j, "phase", p->phase);
	json_put_u64(&j, "files", p->files);
	json_put_u64(&j, "bytes", p->bytes);
	json_put_u64(&j, "new_bytes", p->new_bytes);
	json_put_u64(&j, "stored_bytes", p->stored);
	if (p->total_files != 0)
		json_put_u64(&j, "total_files", p->total_files);
	if (p->total_bytes != 0)
		json_put_u64(&j, "total_bytes", p->total_bytes);
	json_put_u64(&j, "bytes_per_second", (uint64_t)s->rate);
	if (p->path_len != 0)
		json_put_name(&j, "path", p->path, p->path_len);
	show_json_end(s, &j);
}

int
on_progress(struct show *s, struct rbuf *in)
{
	struct progress_seen p;

	if (rbuf_u64(in, &p.files) != RC_OK ||
	    rbuf_u64(in, &p.bytes) != RC_OK ||
	    rbuf_u64(in, &p.new_bytes) != RC_OK ||
	    rbuf_u64(in, &p.stored) != RC_OK ||
	    rbuf_u64(in, &p.total_files) != RC_OK ||
	    rbuf_u64(in, &p.total_bytes) != RC_OK ||
	    rbuf_str(in, p.phase, sizeof(p.phase)) != RC_OK ||
	    rbuf_blob16(in, &p.path, &p.path_len, SHOW_PATH_MAX) != RC_OK ||
	    rbuf_end(in) != RC_OK)
		return RC_PROTO;
	sample_rate(s, p.bytes);
	if (s->json)
		progress_json(s, &p);
	else if (s->progress_on)
		progress_line(s, &p);
	return RC_OK;
}
