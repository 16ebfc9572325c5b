#ifndef COMMON_PACKET_H
#define COMMON_PACKET_H

#include <stddef.h>
#include <stdint.h>

/*
 * Discovery packets of UDP 6363, 6364 and 32006, see doc/DISCOVERY.md.  Every
 * packet begins with this head and ends with an Ed25519 signature by `identity`
 * over "sg1 discovery" and all that stands before it.
 *
 *	magic 4 ("SGD1") | type u8 | flags u8 | zero u16 | identity 32 | ...
 */
#define PACKET_MAGIC		0x53474431u
#define PACKET_IDENTITY_AT	8
#define PACKET_HEAD_LEN		40
#define PACKET_DOMAIN		"sg1 discovery"
#define PACKET_REQUEST_LEN	512	/* padded with zeros */
#define PACKET_ANSWER_MAX	256

#endif
