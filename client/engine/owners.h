#ifndef CLIENT_ENGINE_OWNERS_H
#define CLIENT_ENGINE_OWNERS_H

#include <stdint.h>

/*
 * Names of users and groups, read once from /etc/passwd and /etc/group.  Not
 * through NSS: that would load foreign code into the process that holds the
 * keys.  Ids from elsewhere are kept as numbers.
 */
struct owners_table;
int	owners_load(struct owners_table **t);	/* files that are missing: no names */
void	owners_unload(struct owners_table *t);
/* NULL when unknown; valid as long as the table. */
const char *owners_user(const struct owners_table *t, uint32_t uid);
const char *owners_group(const struct owners_table *t, uint32_t gid);
/* Changes when any name does. */
void	owners_hash(const struct owners_table *t, uint8_t out[32]);

#endif
