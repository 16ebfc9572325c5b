#!/bin/bash
# Goal: the management API of port 32005: every call of the OpenAPI document with no,
# too little and the right permission; malformed requests end in 400 and a closed
# connection; a browser's requests are checked; sessions end when they are revoked;
# /metrics is clean; clear text signs nobody in.
here=$(cd "$(dirname "$0")/../.." && pwd)
. "$here/tests/e2e/lib.sh"

GUI=$GUIPORT
write_conf
api() { python3 "$here/tests/fault/api_calls.py" "$1" 127.0.0.1 "$GUI" "${@:2}"; }
# one METHOD PATH [TOKEN [BODY [HEADER...]]]: the answer is in $T/answer
one() { api one "$@" >"$T/answer" 2>&1; }
status() { head -n 1 "$T/answer"; }
# is NAME STATUS METHOD PATH...
is() {
	local name=$1 want=$2
	shift 2
	one "$@"
	if [ "$(status)" = "$want" ]; then
		ok "$name"
	else
		not_ok "$name ($(status), not $want)"
		sed 's/^/# /' "$T/answer" | tail -n 5
	fi
}
field() { sed -n "s/.*\"$1\":\"\([^\"]*\)\".*/\1/p" "$T/answer" | tail -n 1; }

check "the server starts" start_server || exit 1

# --- users: only by the one-time token, printed here ---
# add NAME RIGHT: makes and sets up a user; the session is in $session, its header token in $csrf
add() {
	local secret
	secret=$(ctl user add "$1" --right "$2" 2>/dev/null | head -n 1)
	one POST /api/v1/setup "" "{\"secret\":\"$secret\",\"user\":\"$1\",\"password\":\"correct horse $1\"}"
	session=$(field token)
	csrf=$(field csrf)
	[ "$(status)" = 200 ] && [ -n "$session" ]
}
is "nobody can sign in before there is a user" 401 POST /api/v1/signin "" '{"user":"root","password":"x"}'
is "a made-up one-time token sets nothing up" 401 POST /api/v1/setup "" '{"secret":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA","user":"root","password":"correct horse"}'
check "an admin is set up with the one-time token" add root admin
admin=$session admin_csrf=$csrf
check "an operator" add oper operator
operator=$session
check "a viewer" add view viewer
viewer=$session
is "who am I" 200 GET /api/v1/me "$viewer"
[ "$(field right)" = viewer ] && ok "a viewer" || not_ok "a viewer"
is "a wrong password is 401" 401 POST /api/v1/signin "" '{"user":"view","password":"wrong"}'

# --- each call with no, too little and the right permission ---
is "the document needs no sign-in" 200 GET /api/v1/openapi.json
check "every call, by every right" api calls "$here/server/http/openapi.json" "$admin" "$operator" "$viewer"

# --- browsers ---
host() { python3 - "$GUI" "$@" <<'PY'
import socket, ssl, sys
c = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT); c.check_hostname = False; c.verify_mode = ssl.CERT_NONE
s = c.wrap_socket(socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=20))
d = b""
try:
    for n, text in enumerate(sys.argv[2:], 1):
        s.sendall(text.encode().decode("unicode_escape").encode("latin1"))
        # the whole answer before the next request; after the last, the end
        while n == len(sys.argv) - 2 or d.count(b"\r\n\r\n") < n or d[-1:] not in b"}\n":
            p = s.recv(65536)
            if not p: break
            d += p
except (ssl.SSLEOFError, ConnectionResetError, BrokenPipeError, TimeoutError):
    pass
print("\n".join(str(x[:3], "ascii") for x in d.split(b"HTTP/1.1 ")[1:]))
PY
}
# raw NAME "STATUS..." REQUEST...: the statuses of all answers of one connection
raw() {
	local got name=$1 want=$2
	shift 2
	got=$(host "$@" | tr '\n' ' ')
	if [ "$got" = "$want " ]; then ok "$name"; else not_ok "$name ($got, not $want)"; fi
}
end='Connection: close\r\n\r\n'
raw "a page of a foreign name is 421" 421 "GET /healthz HTTP/1.1\r\nHost: evil.example\r\n$end"
is "another origin is 403" 403 GET /healthz "" "" "Origin: https://evil.example"
is "a cross-site request is 403" 403 GET /healthz "" "" "Sec-Fetch-Site: cross-site"
is "the cookie signs a GET in" 200 GET /api/v1/me "" "" "Cookie: __Host-sg=$admin"
is "but no change without the header token" 403 POST /api/v1/discover "" "" "Cookie: __Host-sg=$admin"
is "and none with another one" 403 POST /api/v1/discover "" "" "Cookie: __Host-sg=$admin" "X-StoreGrid-Token: 00000000000000000000000000000000"
is "with it, yes" 200 POST /api/v1/discover "" "" "Cookie: __Host-sg=$admin" "X-StoreGrid-Token: $admin_csrf"
raw "a body that says it is a form is 415" 415 "POST /api/v1/accounts HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer $admin\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n$end{}"

# --- one connection, many requests ---
h="GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
g="GET /api/v1/me HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer $viewer\r\n"
raw "three requests of one user, one connection" "200 200 200" "$g\r\n" "$g\r\n" "$g$end"
raw "a second user's request on it is 421" "200 421" "$g\r\n" "GET /api/v1/me HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer $admin\r\n$end"
raw "nothing is answered after an error" "404" "GET /nowhere HTTP/1.1\r\nHost: localhost\r\n\r\n" "$g$end"
raw "three strangers' requests, not four" "200 200 200" "$h" "$h" "$h" "$h"
raw "bytes behind a request: 400, and nothing more" 400 "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n$g$end"

# --- malformed requests ---
"$BUILD/tests/fault/http_smuggling" >"$T/corpus"
check "200 malformed requests: each 400, and the end" api malformed "$T/corpus"
is "and the server lives" 200 GET /healthz

# --- events ---
is "a stream of events" 200 GET /api/v1/events "$viewer"
if grep -qi '^Content-Type: text/event-stream' "$T/answer"; then ok "as server-sent events"; else not_ok "as server-sent events"; fi
python3 - "$GUI" "$viewer" >"$T/stream" <<'PY' &
import socket, ssl, sys, time
c = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT); c.check_hostname = False; c.verify_mode = ssl.CERT_NONE
s = c.wrap_socket(socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=20))
s.sendall(f"GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {sys.argv[2]}\r\n\r\n".encode())
end, d = time.time() + 17, b""
while time.time() < end and b"\n:\n" not in d:
    s.settimeout(max(0.1, end - time.time()))
    try:
        p = s.recv(65536)
    except TimeoutError:
        break
    if not p: break
    d += p
print(d.decode())
PY
stream=$!
sleep 1
ctl account add streamed >/dev/null
ctl client add streamed/pc >/dev/null 2>&1
wait "$stream"
if grep -q '^data: {"seq":[0-9]*,"at":[0-9]*,"subject":"' "$T/stream"; then ok "tells of a change"; else not_ok "tells of a change"; sed 's/^/# /' "$T/stream" | tail -n 5; fi
if grep -q '^:' "$T/stream"; then ok "and says something every 15 s"; else not_ok "and says something every 15 s"; fi

# --- metrics ---
is "metrics for a viewer" 200 GET /metrics "$viewer"
sed '1,/^\r*$/d' "$T/answer" >"$T/metrics"
if [ "$(tail -n 1 "$T/metrics")" = "# EOF" ]; then ok "they end as OpenMetrics do"; else not_ok "they end as OpenMetrics do"; fi
check "promtool finds nothing" promtool check metrics <"$T/metrics"

# --- auth starts anew: it knows nobody, so nobody is signed in any more ---
python3 - "$GUI" "$operator" >"$T/cut" 2>&1 <<'EOF2' &
import socket, ssl, sys
ctx = ssl.create_default_context()
ctx.check_hostname = False
ctx.verify_mode = ssl.CERT_NONE
s = ctx.wrap_socket(socket.create_connection(("127.0.0.1", int(sys.argv[1])), 10))
s.sendall(f"GET /api/v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {sys.argv[2]}\r\n\r\n".encode())
print(s.recv(15).decode(), flush=True)
s.settimeout(30)
try:
    while s.recv(65536):
        pass
    print("ended", flush=True)
except TimeoutError:
    print("still open", flush=True)
except OSError:
    print("ended", flush=True)
EOF2
stream=$!
for _ in $(seq 50); do grep -q 200 "$T/cut" && break; sleep 0.1; done
check "an event stream is open" sh -c "kill -0 $stream && grep -q 200 '$T/cut' && ! grep -q ended '$T/cut'"
kill -KILL "$(ctl status --json | grep -o '"role":"auth","pid":[0-9]*' | grep -o '[0-9]*$')"
for _ in $(seq 100); do grep -q ended "$T/cut" && break; sleep 0.1; done
check "who was signed in when auth died is cut off" grep -q ended "$T/cut"
kill "$stream" 2>/dev/null
wait "$stream" 2>/dev/null
for _ in $(seq 50); do one GET /api/v1/me "$operator"; [ "$(status)" = 200 ] && break; sleep 0.1; done
is "and signs in with the same session" 200 GET /api/v1/me "$operator"

# --- revoked ---
one POST /api/v1/signout "$viewer"
is "a session that signed out is nobody" 401 GET /api/v1/me "$viewer"

# --- clear text ---
clear() { printf '%b' "$1" | timeout 10 python3 -c '
import socket, sys
s = socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=8)
s.sendall(sys.stdin.buffer.read())
print(s.recv(100)[9:12].decode())' "$GUI"; }
got=$(clear "GET /healthz HTTP/1.1\r\nHost: localhost\r\n$end")
case $got in 200 | 400) ok "clear text is served as Plaintext says" ;; *) not_ok "clear text is served as Plaintext says ($got)" ;; esac
got=$(clear "POST /api/v1/signin HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n$end")
case $got in 403 | 400) ok "and signs nobody in" ;; *) not_ok "and signs nobody in ($got)" ;; esac

if grep -q "$admin\|correct horse\|$admin_csrf" "$T/server.log"; then
	not_ok "no secret is in the log"
else
	ok "no secret is in the log"
fi
