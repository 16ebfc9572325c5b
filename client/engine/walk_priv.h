#ifndef CLIENT_ENGINE_WALK_PRIV_H
#define CLIENT_ENGINE_WALK_PRIV_H

#include <stdbool.h>
#include <stddef.h>

#define CACHEDIR_TAG	"CACHEDIR.TAG"

/* The names of a directory, each behind a byte with its d_type, sorted. */
struct names {
	char	*text;
	char	**name;
	size_t	 n;
};

int	names_read(struct names *s, int fd);
void	names_free(struct names *s);
void	names_only(struct names *s, const char *name);	/* this one, if there */
/* Holds a CACHEDIR.TAG with the signature of bford.info/cachedir. */
bool	names_cachedir(const struct names *s, int fd);
/* proc, sysfs and their like: nothing in them is anybody's data. */
bool	pseudo_fs(int fd);

#endif
