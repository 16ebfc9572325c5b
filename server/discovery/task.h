#ifndef SERVER_DISCOVERY_TASK_H
#define SERVER_DISCOVERY_TASK_H

/*
 * What the catalog has a peer process do (MSG_PEER_DO: purpose u8, identity 32,
 * pin 32; zeros where not known yet) on the connection that the dialer made, and
 * what comes back.  The process first proves to itself who is there: TLS with
 * the pin, then GET /api/v1/peer, whose answer is signed by the identity key.
 *
 *	DIAL_EXCHANGE	PEER_DO goes on: peer_info_put() of ourselves, n u16, n
 *			entries (peer_info_put(), addr).  It sends PEER_SEEN with
 *			PEER_CALLED for the far end itself and with PEER_EXCHANGE
 *			for each entry that it was told, then PEER_END.
 *	DIAL_REACH	PEER_DO goes on: n u8, ports u16.  PEER_END goes on: n u8,
 *			then port u16, rc u8, milliseconds u32 of each.
 */
#define TASK_ENTRIES_MAX	60
#define TASK_PORTS_MAX		4
#define TASK_MS			20000	/* from the socket to PEER_END */

#endif
