#!/bin/bash
# What `storegrid doctor` says of the way to a server: all is well, 32005 closed and
# what that costs, a server down, a server with another key, no enrolment.
. "$(dirname "$0")/lib.sh"

EXEMPT='Limits: { Exempt = ["127.0.0.0/8"]; };'
write_conf "$EXEMPT"
start_server || { not_ok "the server starts"; exit 1; }

# The command's own view of the ports, beside the client's directory.
client_conf() { # NAME GUI
	cat >"$T/$1/SGConfiguration.conf" <<EOC
Paths: { Programs = "$BUILD"; };
Ports: { GUI = $2; SSLServer = $SSLPORT; };
EOC
}
says() { # NAME CHECK LEVEL: in the JSON lines of the last check
	check_says "$1" "\"check\":\"$2\",\"level\":\"$3\""
}

check "a client enrols" new_client one
client_conf one "$GUIPORT"
closed=$(free_port)
check_exit "doctor at a server that is well" 0 sg one doctor --json
for what in sandbox users directory space name route 'port Server' pin log-in clock; do
	says "$what is well" "$what" ok
done
says "32007 is closed, and nobody minds" 'port SSLServer' ok
check_exit "the same for people" 0 sg one doctor
check_says "a line for each" '^ok +log-in +the server knows this client'

client_conf one "$closed"
check_exit "with 32005 closed" 0 sg one doctor --json
says "that is a warning" 'port GUI' warn
check_says "which names what is lost" 'switch to peer.*backup and restore go on'

check_exit "the enrolled server by name" 0 sg one doctor "127.0.0.1:$PORT" --json
says "is logged in to" log-in ok
check_exit "a port where nothing is" 10 sg one doctor "127.0.0.1:$closed" --json
says "is a failure" 'port Server' fail
check_exit "a name that is none" 10 sg one doctor no-such-host.invalid --json
says "is told as such" name fail

chmod 750 "$T/one"
check_exit "a directory that others may enter" 1 sg one doctor --json
check_says "is told with the command that mends it" 'chmod 700'
chmod 700 "$T/one"

# --- without an enrolment ---
mkdir "$T/none"
client_conf none "$GUIPORT"
check_exit "not enrolled, no server named" 1 sg none doctor --json
says "is told" enrolment fail
check_exit "not enrolled: the way to a server" 0 sg none doctor "127.0.0.1:$PORT" --json
says "TLS is tried" tls ok
check_exit "nothing was made of it" 1 test -e "$T/none/client"

# --- a disabled client, a server that is down, one with another key ---
ctl client disable acme/one >/dev/null
check_exit "a disabled client" 12 sg one doctor --json
says "has the right pin" pin ok
says "and may not log in" log-in fail
ctl client enable acme/one >/dev/null
stop_server
check_exit "a server that is down" 10 sg one doctor --json
says "its port is closed" 'port Server' fail
write_conf "$EXEMPT"
sed -i "s|$T/state|$T/state2|; s|$T/run|$T/run2|" "$CONF"
start_server || { not_ok "another server starts"; exit 1; }
check_exit "a server with another key" 13 sg one doctor --json
says "is found out" pin fail
check_says "with advice" 'enrol --force'
