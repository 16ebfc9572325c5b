#ifndef TESTS_UNIT_CATALOG_HELP_H
#define TESTS_UNIT_CATALOG_HELP_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "server/catalog/history.h"
#include "server/catalog/peers.h"

/* A catalog.db in a directory of its own under /tmp. */
#define NOW	1700000000

struct place {
	char	dir[40], path[64];
};
void	place_make(struct place *p);
void	place_clear(struct place *p);

/* Ids and vaults are one byte, repeated. */
void	help_client(struct catalog *c, uint8_t id, uint8_t vault,
	    const char *name, uint8_t state);
void	help_run(struct catalog *c, uint8_t client, uint8_t vault, uint8_t run,
	    enum feed_run_state state);
void	help_snapshot(struct catalog *c, uint8_t client, uint8_t vault,
	    uint8_t run, uint64_t seq, int64_t at, uint16_t flags);
int64_t	help_status(struct catalog *c, uint8_t client);
int64_t	help_column(struct catalog *c, uint8_t client, const char *column);
int64_t	help_alerts(struct catalog *c, enum alert_kind kind);

struct addr help_addr(const char *text, uint16_t port);
struct peer_info help_info(uint32_t number, const char *id);

#endif
