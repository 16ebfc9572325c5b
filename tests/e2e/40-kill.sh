#!/bin/bash
# SIGKILLs spread over the client's and the server's processes while a changing tree
# is backed up.  KILLS=200 is the long version; SEED repeats one.
. "$(dirname "$0")/lib.sh"

write_conf
check "the server starts" start_server
check "a client enrols" new_client c1
stop_server

while read -r line; do
	case $line in
	"ok - "*) ok "${line#ok - }" ;;
	"not ok - "*) not_ok "${line#not ok - }" ;;
	*) printf '%s\n' "$line" ;;
	esac
done < <(python3 "$here/tests/fault/kill_run.py" "$BUILD" "$CONF" "$T" c1 "${KILLS:-24}" ${SEED:-} 2>&1 ||
	echo "not ok - the driver ran to its end")
