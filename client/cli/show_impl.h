#ifndef CLIENT_CLI_SHOW_IMPL_H
#define CLIENT_CLI_SHOW_IMPL_H

#include "client/cli/show.h"
#include "common/json.h"
#include "common/wbuf.h"

/* What show.c and the show_*.c share; nobody else (and discover.c and pair.c,
 * for what they print themselves). */
#define SHOW_PATH_MAX	65535
#define SHOW_TEXT_MAX	2048
#define SHOW_VALUES_MAX	16

struct value {
	char	name[64];
	char	text[512];
};

struct show {
	bool		 json, ascii, color, progress_on, header;
	enum verb	 verb;
	struct wbuf	 line;		/* of output being made */
	struct wbuf	 esc[2];	/* escaped fields */
	/* summary */
	bool		 have_summary;
	uint8_t		 snapshot[32];
	uint64_t	 files, dirs, bytes, new_bytes, stored_bytes;
	uint64_t	 skipped, ms;
	/* values, for one object at the end */
	struct value	 values[SHOW_VALUES_MAX];
	size_t		 nvalues;
	/* progress */
	bool		 on_screen;
	uint64_t	 last_json, sample_ms, sample_bytes;
	double		 rate;		/* bytes a second */
};

void	show_json_begin(struct show *s, struct json *j, const char *type);
void	show_json_end(struct show *s, struct json *j);
/* Escaped; which (0 or 1): of two that are needed at once. */
const char *show_esc(struct show *s, int which, const void *p, size_t n);
void	show_clear(struct show *s);		/* the progress line, if any */
/* "warning: ..." and its like, on stderr. */
void	show_complain(struct show *s, const char *label, const char *text);

/* Events: RC_OK or RC_PROTO. */
int	on_progress(struct show *s, struct rbuf *in);
int	on_snapshot(struct show *s, struct rbuf *in);
int	on_entry(struct show *s, struct rbuf *in);
int	on_finding(struct show *s, struct rbuf *in);
int	on_code(struct show *s, struct rbuf *in);
int	on_waiting(struct show *s, struct rbuf *in);

#endif
