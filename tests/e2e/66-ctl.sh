#!/bin/bash
# Every verb of storegridctl against a real server: users, sessions, API tokens, peers,
# audit, history, ports, and firewall rules that the kernel's own check takes.
. "$(dirname "$0")/lib.sh"

write_conf
"$BUILD/storegridd" --init -f "$CONF" >/dev/null || note "--init failed"
check "the server starts" start_server || exit
# for a verb whose output is piped: the standard output alone
out() { ctl "$@" 2>"$T/err" >"$T/out"; }

# --- users ---
check "no users at first" eval 'ctl user list | grep -q "No users"'
check "the first user" out user add ann
check "has a secret, alone on a line" eval '[ "$(wc -l <"$T/out")" = 1 ] && [ -s "$T/out" ]'
check "and is told where to use it" grep -q "/api/v1/setup" "$T/err"
check "a second user" out user add bob
check_exit "the same once more is refused" 1 ctl user add bob
check_exit "the list" 0 ctl user list
check_says "the first is an administrator" '^ann +admin +new'
check_says "the second may look" '^bob +viewer +new'
check "a right is changed" ctl user right bob operator
check "which shows" eval 'ctl user list | grep -qE "^bob +operator"'
check_exit "a right that is none" 1 ctl user right bob king
check "a user is reset" out user reset bob
check "a user is removed" ctl user rm bob
check_exit "once" 1 ctl user rm bob
check "sessions: nobody" eval 'ctl session list | grep -q "Nobody"'
check_exit "a session that is none" 1 ctl session revoke 0123456789ab

# --- API tokens ---
check "an API token" out api-token add grafana --expires 7d
check "alone on a line" eval '[ "$(wc -l <"$T/out")" = 1 ] && [ -s "$T/out" ]'
check_exit "the list" 0 ctl api-token list
check_says "may look" 'grafana +viewer +open'
id=$(ctl api-token list | awk '$2 == "grafana" { print $1 }')
check "is revoked" ctl api-token revoke "$id"
check "which shows" eval 'ctl api-token list | grep -q "revoked" || ctl api-token list | grep -q "No API tokens"'

# --- pairing ---
check_exit "nobody asks to be paired" 0 ctl pair
check_says "which is said" 'No machine'
check_exit "an unknown code accepts nothing" 1 ctl pair accept 1234-5678 acme/web1
check_exit "an unknown id neither" 1 ctl pair refuse 0123456789ab

# --- peers ---
check "a peer by hand" ctl peer add localhost:1 --name cellar
check_exit "is on the list" 0 ctl peer list
check_says "with its label" 'cellar'
check_exit "no address" 2 ctl peer add :1
check "discover" ctl discover
check "peers as JSON" eval 'ctl peer list --json | python3 -m json.tool'

# --- history ---
check "a client" new_client web1
check "has a backup" sg web1 backup --job etc "$here/doc"
for _ in $(seq 50); do ctl runs | grep -q 'acme/web1' && break; sleep 0.1; done
check_exit "the overview" 0 ctl overview
check_says "begins with who is protected" '^1 of 1 clients protected'
check_exit "the runs" 0 ctl runs acme/web1 --lines 5
check_says "name the job" 'acme/web1 +etc +ok'
check "no runs of another" eval 'ctl runs acme/web2 | grep -q "No runs"'
check "alerts" ctl alerts
check "storage" eval 'ctl storage | grep -q "^acme/web1"'

# --- audit ---
check_exit "the audit log" 0 ctl audit list
check_says "has the users" 'ann'
check_exit "is whole" 0 ctl audit verify
check_says "and has a head" '^Head: [0-9a-f]{64}$'
check "two lines are two lines" eval '[ "$(ctl audit list --lines 2 | wc -l)" = 3 ]'

# --- ports and rules ---
check_exit "ports" 0 ctl ports
check_says "the server's" "^tcp $PORT +Ports.Server .* open on 127.0.0.1, ::1|^tcp $PORT +Ports.Server .* open on ::1, 127.0.0.1"
check_says "why another is off" 'Ports.SSLServer .*off: SSL.Enabled = 0'
check_exit "as an unknown peer sees them" 1 ctl ports --from nobody-of-this-name
for kind in nft ufw firewalld nat; do
	check "rules for $kind" eval "ctl firewall $kind >'$T/$kind.rules' && [ -s '$T/$kind.rules' ]"
	check "as JSON" eval "ctl firewall $kind --json | python3 -m json.tool"
done
check_exit "rules of another kind" 2 ctl firewall iptables
check "nothing but comments and commands for ufw" eval '! grep -vE "^(#|$|ufw allow )" "$T/ufw.rules"'
if command -v nft >/dev/null && unshare -n true 2>/dev/null; then
	check "nft takes the rules, which let nothing in to loopback" eval '! grep -q dport "$T/nft.rules" && unshare -n nft -c -f "$T/nft.rules"'
	# open everywhere, with every port: the longest form
	stop_server
	DISCOVERY="Multicast: { Enabled = 1; }; UDPScan: { Answer = 1; };"
	write_conf 'Access: { GUI = ["private", "10.1.0.0/16", "2001:db8::/32"]; }; SSL: { Enabled = 1; };'
	sed -i '/^Listen:/d' "$CONF"
	check "the server starts with everything open" start_server
	ctl firewall nft >"$T/nft.rules"
	check "nft takes those rules" eval 'grep -q dport "$T/nft.rules" && unshare -n nft -c -f "$T/nft.rules"'
	check "twice is once" unshare -n sh -c "nft -f $T/nft.rules && nft -f $T/nft.rules && [ \$(nft list tables | wc -l) = 1 ]"
	check "nothing was changed here" eval '! nft list tables 2>/dev/null | grep -q "storegrid_$GUIPORT"'
fi
