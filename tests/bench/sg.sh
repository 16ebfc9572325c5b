#!/bin/bash
# Adapter of the benchmark: StoreGrid with its shipped defaults, TLS and encryption
# on. Its contract stands in doc/BENCHMARKS.md.
#
# SG_BUILD: a build directory whose programs are measured (default: those in PATH).
. "${BENCH_LIB:-$(dirname "$0")/lib.sh}"
set -euo pipefail
PATH=${SG_BUILD:+$SG_BUILD:}$PATH:/usr/sbin
conf=$S/SGConfiguration.conf

client() {	# client N COMMAND...: the command as that client
	local home=$S/client$1
	shift
	STOREGRID_HOME=$home "$@"
}

case $VERB in
info)
	storegrid --version
	echo "TLS 1.3, AES-256-GCM on the client, all settings as shipped"
	;;
caps)
	echo dedup encrypt tls multi
	;;
setup)
	cat >"$conf" <<-X
	Ports: { Server = $BENCH_PORT; GUI = $((BENCH_PORT + 1)); };
	Listen: { Server = ["127.0.0.1"]; GUI = ["127.0.0.1"]; };
	Discovery: { Multicast: { Enabled = 0; }; TCP: { Enabled = 0; }; };
	Advertise = "127.0.0.1";
	Paths: { State = "$S/state"; Run = "$S/run"; };
	X
	: >"$S/pids"
	serve storegridd -f "$conf"
	for _ in $(seq 200); do
		storegridctl -f "$conf" status >/dev/null 2>&1 && break
		sleep 0.05
	done
	storegridctl -f "$conf" account add bench
	for n in $(seq "${1:-1}"); do
		mkdir "$S/client$n"
		: >"$S/client$n/SGConfiguration.conf"
		storegridctl -f "$conf" client add "bench/client$n" |
			client "$n" storegrid enrol --token-file -
	done
	;;
backup)		# SET DIR [CLIENT]
	printf '%s' "$2" >"$S/dir.${3:-1}.$1"
	client "${3:-1}" storegrid backup --job "$1" "$2"
	;;
restore)	# SET DEST [RELPATH]
	dir=$(cat "$S/dir.1.$1")
	dest=$2
	if [ -n "${3:-}" ]; then
		dir=$dir/$3
		dest=$(dirname "$dest/$3")
		mkdir -p "$dest"
	fi
	client 1 storegrid restore --job "$1" "latest:$dir" --to "$dest"
	;;
size)
	repo_bytes "$S/state/vaults"
	;;
teardown)
	stop_servers
	rm -rf --one-file-system "$S"
	;;
*)
	echo "sg.sh: unknown verb $VERB" >&2
	exit 2
	;;
esac
