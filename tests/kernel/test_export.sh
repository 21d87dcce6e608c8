#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Does `export` say of a load's groups what the load says of itself, in an exact format, to several
# at once, whatever they send? Does it tell of nothing that is over or not known?
# shellcheck source=tests/tap.sh disable=SC2016
. "$(dirname "$0")/../tap.sh"

STARTED=()
cleanup() {
	[ ${#STARTED[@]} -eq 0 ] || kill "${STARTED[@]}" 2>/dev/null
	wait
}
report() { tail -n 4 "$TMP"/*.err "$TMP"/{want,got} 2>/dev/null | cut -c 1-1000; }

# A message: "bufscope: ..." without a full stop, at most one hint, nothing on stdout.
is_message() {
	[ ! -s "$TMP/out" ] && [ "$(wc -l <"$TMP/err")" -le 2 ] &&
		head -n 1 "$TMP/err" | grep -qE '^bufscope: [^A-Z].*[^.]$' &&
		! sed 1d "$TMP/err" | grep -qv '^hint: '
}

user=()
# says CODE PATTERN OPTION...: it ends so, with a message
says() {
	local code=$1 pattern=$2 rc
	shift 2
	timeout -k 1 60 "${user[@]}" "$BUFSCOPE" export "$@" >"$TMP/out" 2>"$TMP/err" </dev/null
	rc=$?
	cat "$TMP/err"
	[ "$rc" -eq "$code" ] && is_message && grep -qE -- "$pattern" "$TMP/err"
}

# ---- an exporter

# start NAME OPTION...: where it listens is in ${port[NAME]}
declare -A port pid
start() {
	local name=$1
	shift
	"$BUFSCOPE" export "$@" >"$TMP/$name.out" 2>"$TMP/$name.err" </dev/null &
	pid[$name]=$!
	STARTED+=("$!")
}
is_up() { grep -q '^metrics at' "$TMP/$1.err" || ! kill -0 "${pid[$1]}" 2>/dev/null; }
is_there() {
	until_true 60 is_up "$1"
	port[$1]=$(sed -nE 's|^metrics at http://.*:([0-9]+)/metrics$|\1|p' "$TMP/$1.err")
	[ -n "${port[$1]}" ]
}

# ask NAME LINE...: the answer to that request, whole
ask() {
	local name=$1 fd
	shift
	exec {fd}<>"/dev/tcp/127.0.0.1/${port[$name]}" || return
	printf '%s\r\n' "$@" 'Host: here' 'Connection: close' '' >&"$fd"
	timeout 60 cat <&"$fd"
	exec {fd}>&-
}

OPEN='Accept: application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1'
# scrape NAME FILE [HEADER]: its metrics are in $TMP/FILE, the head of the answer in $TMP/FILE.head
scrape() {
	ask "$1" 'GET /metrics HTTP/1.1' 'Host: here' "${@:3}" >"$TMP/$2.whole" || return
	sed '/^\r$/q' "$TMP/$2.whole" | tr -d '\r' >"$TMP/$2.head"
	sed '1,/^\r$/d' "$TMP/$2.whole" >"$TMP/$2"
	grep -qx "Content-Length: $(wc -c <"$TMP/$2")" "$TMP/$2.head" &&
		head -n 1 "$TMP/$2.head" | grep -qx 'HTTP/1.1 200 OK'
}

# is_exact FORMAT FILE: nothing that the format (open or text) does not allow: what a family is
# stands before its samples, which stand together; each series once; labels quoted; numbers.
is_exact() {
	awk -v open="$([ "$1" = open ] && echo 1)" '
		function bad(why) { print FILENAME ":" NR ": " why ": " $0; failed = 1; exit 1 }
		ended { bad("behind the end") }
		/^# EOF$/ { ended = 1; next }
		/^#/ {
			if ($2 !~ /^(HELP|TYPE|UNIT)$/ || NF < 4)
				bad("not known")
			if ($2 == "HELP") {
				if ($3 in families) bad("in two pieces")
				families[family = $3]; type = ""; samples = 0
			}
			if ($3 != family || samples) bad("out of order")
			if ($2 == "TYPE") { if (type) bad("twice"); type = $4 }
			if ($2 == "UNIT" && (!open || $3 !~ ("_" $4 "$"))) bad("no such unit")
			next
		}
		{
			if (!match($0, /^[a-z_][a-z0-9_]*(\{[a-z_]+="([^"\\]|\\[\\"n])*"(,[a-z_]+="([^"\\]|\\[\\"n])*")*\})? [0-9]+(\.[0-9]+)?$/))
				bad("no sample")
			name = $0; sub(/[{ ].*/, "", name)
			suffix = type == "counter" ? "_total" : type == "info" ? "_info" : ""
			if (!open) suffix = ""
			if (type == "histogram") suffix = "_bucket"
			if (name != family suffix) bad("of another family")
			if (type == "counter" && name !~ /_total$/) bad("no total")
			if (type !~ (open ? "^(counter|gauge|info|histogram)$" : "^(counter|gauge|histogram)$")) bad("no type")
			series = $0; sub(/ [^ ]*$/, "", series)
			if (series in all) bad("twice")
			all[series]; samples++
		}
		END { if (!failed && (open && !ended || !NR)) { print "no end"; exit 1 } exit failed }
	' "$2"
}

# ---- a load

is_paused() { grep -qs SIGUSR1 "$TMP/load.err" || ! kill -0 "$LOAD" 2>/dev/null; }
is_over() { grep -qs '"final":true' "$TMP/truth" || ! kill -0 "$LOAD" 2>/dev/null; }

# load OPTION...: it waits for SIGUSR1
load() {
	"$BUFSCOPE" load -j --paused --wait "$@" >"$TMP/truth" 2>"$TMP/load.err" </dev/null &
	LOAD=$!
	STARTED+=("$LOAD")
	until_true 60 is_paused
	kill -0 "$LOAD"
}

# same FILE KEY:FAMILY...: of each group of the load the metrics are what it says, and all are there
same() {
	local file=$1 pair
	shift
	for pair in "$@"; do
		jq -r --arg key "${pair%%:*}" --arg family "bufscope_group_${pair#*:}" '.groups[] |
			"\($family){pid=\"\(.tgid)\",comm=\"bufscope\",fd=\"\(.fd)\",bgid=\"\(.bgid)\",kind=\"\(.kind)\"} \(
			.[$key] - if $key == "returned_total" then .entries else 0 end)"' "$TMP/truth"
	done | sort >"$TMP/want"
	sed -E 's/ .*//' "$TMP/want" | grep -Ff - "$TMP/$file" | sort >"$TMP/got"
	[ -s "$TMP/want" ] && diff "$TMP/want" "$TMP/got"
}

# The first fill came before the watch.
LIGHT=(taken_total:taken_total returned_total:returned_total available:available held:held
	entries:entries)
FULL=("${LIGHT[@]}" selected_total:selected_total starved_total:starved_total
	bytes_total:bytes_total mshot_ended_total:mshot_ended_total)

check "a load waits" load --rings 2 --groups 2 -n 7000 --starve --entries 32
if ! kill -0 "$LOAD" 2>/dev/null; then
	skip "export" "$(sed -n 's/^bufscope: //p' "$TMP/load.err" | tail -n 1)"
	finish
fi
# Small intervals: what is compared is of after the work.
start light --listen 127.0.0.1:0 -i 0.01
until_true 60 is_up light
if grep -q 'cannot be loaded' "$TMP/light.err"; then
	skip "metrics over HTTP" "without libmicrohttpd"
	finish
fi
start full --listen 127.0.0.1:0 -i 0.01 -p "$LOAD"
for name in light full; do
	check "$name: it listens" is_there "$name"
	check "$name: before the work" scrape "$name" "$name.0" "$OPEN"
done
check "light: its depth" grep -qxF 'bufscope_watch_info{depth="light",backend="iter+tick"} 1' "$TMP/light.0"
check "full: its depth" grep -qE '^bufscope_watch_info\{depth="full",backend="iter[+]tp"\} 1$' "$TMP/full.0"
check "it says which program and kernel" grep -qxF \
	"bufscope_build_info{version=\"$("$BUFSCOPE" --version | cut -d ' ' -f 2)\",kernel=\"$(uname -r)\"} 1" "$TMP/full.0"

# Several at once while it works, each with an answer of its own.
kill -USR1 "$LOAD"
crowd() {
	local i crew=()
	for i in 1 2 3 4 5 6 7 8; do
		scrape full "crowd.$i" "$OPEN" &
		crew+=($!)
	done
	for i in "${crew[@]}"; do wait "$i" || return 1; done
	for i in 1 2 3 4 5 6 7 8; do is_exact open "$TMP/crowd.$i" || return 1; done
}
check "eight ask at once" crowd
until_true 60 is_over
sleep 0.1
check "light: after the work" scrape light light.1 "$OPEN"
check "full: after the work" scrape full full.1 "$OPEN"
check "light: its numbers are those of the load" same light.1 "${LIGHT[@]}"
check "full: its numbers are those of the load" same full.1 "${FULL[@]}"
# sum FAMILY [LABEL]: over all groups of the load
sum() { grep -F "bufscope_group_$1{pid=\"$LOAD\"" "$TMP/full.1" | grep -F "${2:-}" | awk '{ n += $NF } END { printf "%d", n }'; }
causes_add_up() { [ "$(sum starved_by_cause_total)" -eq "$(jq '[.groups[].starved_total] | add' "$TMP/truth")" ]; }
check "full: each starve has a cause" causes_add_up
holds_add_up() { [ "$(sum hold_seconds_bucket 'le="+Inf"')" -gt 0 ] && [ "$(sum hold_seconds_bucket 'le="+Inf"')" -le "$(sum returned_total)" ]; }
check "full: as many holds as returns, but for the first fill" holds_add_up
check "requests did starve" jq -e '[.groups[].starved_total] | add > 0' "$TMP/truth"
check "light: what only events tell is absent, not 0" sh -c "! grep -E '_(starved|selected|hold_p50)' '$TMP/light.1'"
check "full: hold times in seconds" grep -qE '^bufscope_group_hold_p99_seconds\{.*\} [0-9]+\.[0-9]+$' "$TMP/full.1"
# On a machine that is busy otherwise the tick may come late: that is said, and no failure.
check "nothing was lost" sh -c "! grep '^bufscope_lost_total' '$TMP/full.1' | grep -v wraps | grep -v ' 0\$'"
check "OpenMetrics: said" grep -qx 'Content-Type: application/openmetrics-text; version=1.0.0; charset=utf-8' "$TMP/full.1.head"
check "OpenMetrics: exact" is_exact open "$TMP/full.1"
check "text: asked for nothing" scrape full text
check "text: said" grep -qx 'Content-Type: text/plain; version=0.0.4; charset=utf-8' "$TMP/text.head"
check "text: exact" is_exact text "$TMP/text"
check "gzip: asked for" scrape full packed 'accept-encoding: gzip;q=0.5'
check "gzip: said" grep -qx 'Content-Encoding: gzip' "$TMP/packed.head"
unpack() { gzip -dc <"$TMP/packed" >"$TMP/unpacked" && is_exact text "$TMP/unpacked"; }
check "gzip: exact" unpack
check "gzip: smaller" test "$(wc -c <"$TMP/packed")" -lt "$(($(wc -c <"$TMP/unpacked") / 3))"
if command -v promtool >/dev/null; then
	check "text: promtool finds no fault" promtool check metrics <"$TMP/text"
fi
check "no address of the kernel" sh -c "! grep -iE 'ffff[0-9a-f]{8}|1844[0-9]{16}' '$TMP/full.1' '$TMP/light.1'"

# ---- a snapshot

once() { "$BUFSCOPE" export --once "$@" >"$TMP/once" 2>"$TMP/once.err"; }
check "--once" once -p "$LOAD"
check "--once: exact" is_exact text "$TMP/once"
check "--once: what takes two looks is absent" sh -c "! grep -E '_(taken|returned|starved)' '$TMP/once'"
check "--once: what no event tells was not lost, either" sh -c "! grep 'lost_total.*\(events\|requests\)' '$TMP/once'"
check "--once: nothing of itself, which node_exporter has" sh -c "! grep '^process_' '$TMP/once'"
check "--once: limited, and said" once -p "$LOAD" --limit 1 -o "$TMP/file"
check "--once: its file is whole" is_exact text "$TMP/file"
left_out() { # rings and groups
	[ "$(grep -c '^bufscope_group_available' "$TMP/file")" -eq 1 ] &&
		grep -qx 'bufscope_left_out{what="rings"} 1' "$TMP/file" &&
		grep -qx 'bufscope_left_out{what="groups"} 3' "$TMP/file"
}
check "--once: what is left out is counted" left_out
check "--once: nothing stays beside it" sh -c "! ls '$TMP'/file?*"
check "--once: no such directory" says 1 'No such file' --once -o "$TMP/none/file"

# ---- what is over

kill "$LOAD"
wait "$LOAD" 2>/dev/null
sleep 0.1
gone() { scrape "$1" "$1.2" && is_exact text "$TMP/$1.2" && ! grep "pid=\"$LOAD\"" "$TMP/$1.2"; }
for name in light full; do
	check "$name: the series of what ended are gone" gone "$name"
done
check "full: and nothing is left" grep -qx 'bufscope_groups 0' "$TMP/full.2"

# ---- whoever asks

# status CODE LINE...
status() {
	local code=$1
	shift
	ask light "$@" | head -n 1 | tr -d '\r' | grep -q "^HTTP/1.1 $code "
}
check "HEAD has no body" sh -c "[ -z \"\$(sed '1,/^\r\$/d' '$TMP/head')\" ]" <<<"$(ask light 'HEAD /metrics HTTP/1.1' >"$TMP/head")"
check "HEAD has the head" sh -c "grep -q '^HTTP/1.1 200 ' '$TMP/head' && grep -q '^Content-Length: [1-9]' '$TMP/head'"
check "a page to begin with" sh -c "grep -q 'href=\"/metrics\"' '$TMP/home'" <<<"$(ask light 'GET / HTTP/1.1' >"$TMP/home")"
check "another path" status 404 'GET /metric HTTP/1.1'
check "another method" status 405 'DELETE /metrics HTTP/1.1'
check "no request" sh -c "[ ! -s '$TMP/no' ]" <<<"$(ask light hello >"$TMP/no")"

# Some that say nothing keep nobody waiting; in the end they are left.
idle() {
	local i fds=() fd
	for i in 1 2 3 4 5; do
		exec {fd}<>"/dev/tcp/127.0.0.1/${port[light]}" || return
		fds+=("$fd")
	done
	scrape light meanwhile || return
	timeout 60 cat <&"${fds[0]}" >/dev/null
	i=$?
	for fd in "${fds[@]}"; do exec {fd}>&-; done
	return "$i"
}
check "who says nothing keeps nobody waiting" idle
leave() { exec {fd}<>"/dev/tcp/127.0.0.1/${port[light]}" && printf 'GET /metrics HTTP/1.1\r\n\r\n' >&"$fd" && exec {fd}>&-; }
check "who leaves at once" leave
check "keeps nobody waiting" scrape light afterwards
crowded() {
	local i fds=() fd rc
	for ((i = 0; i < 40; i++)); do
		exec {fd}<>"/dev/tcp/127.0.0.1/${port[light]}" || return
		fds+=("$fd")
	done
	scrape light crowded
	rc=$?
	for fd in "${fds[@]}"; do exec {fd}>&-; done
	return "$rc"
}
check "more than there are places: it takes its turn" crowded

# ---- where it cannot be

check "another one is there" says 1 "cannot listen on http://127.0.0.1:${port[light]}: Address already in use" \
	--listen "127.0.0.1:${port[light]}"
check "no address of this machine" says 1 'cannot listen on http://192.0.2.1:1' --listen 192.0.2.1:1
for bad in '' 1 localhost:1 127.0.0.1 127.0.0.1:65536 127.0.0.1:x '::1:1' unix:; do
	check "--listen '$bad'" says 2 '--listen takes' --listen "$bad"
done
check "--once does not listen" says 2 '--listen does not go' --once --listen :1
check "--once has no depth" says 2 'depth' --once --full
check "-o alone" says 2 '--once' -o "$TMP/file"
check "no such process" says 1 'no process' -p 2147483647 --listen 127.0.0.1:0

ended() {
	kill "-$2" "${pid[$1]}"
	wait "${pid[$1]}"
	local rc=$?
	[ "$rc" -eq 0 ] && [ "$(wc -l <"$TMP/$1.err")" -eq 1 ] && [ ! -s "$TMP/$1.out" ]
}
check "SIGINT ends it well" ended light INT
exec 3<>"/dev/tcp/127.0.0.1/${port[full]}"
check "SIGTERM, too, while one is connected" ended full TERM
exec 3>&-

if command -v curl >/dev/null; then
	: >"$TMP/regular"
	check "a file that is no socket stays" says 1 'cannot listen on unix:.*: Address already in use' --listen "unix:$TMP/regular"
	check "and is there" test -f "$TMP/regular"
	start local --listen "unix:$TMP/socket"
	until_true 60 is_up local
	check "a local socket" curl -sf -o "$TMP/local" --unix-socket "$TMP/socket" http://here/metrics
	check "which is exact" is_exact text "$TMP/local"
	check "is taken" says 1 'Address already in use' --listen "unix:$TMP/socket"
	kill -KILL "${pid[local]}"
	wait "${pid[local]}" 2>/dev/null
	check "stays behind one that was killed" test -S "$TMP/socket"
	start local --listen "unix:$TMP/socket"
	until_true 60 is_up local
	check "and is taken over" curl -sf -o "$TMP/local" --unix-socket "$TMP/socket" http://here/metrics
	check "by one that ends well" ended local TERM
	check "and takes it away" test ! -e "$TMP/socket"
fi
if [ -s /proc/net/if_inet6 ] && [ "$(cat /proc/sys/net/ipv6/conf/lo/disable_ipv6)" -eq 0 ]; then
	start six --listen '[::1]:0'
	until_true 60 is_up six
	six() {
		exec {fd}<>"/dev/tcp/::1/$(sed -nE 's|^metrics at http://\[::1\]:([0-9]+)/metrics$|\1|p' "$TMP/six.err")" &&
			printf 'GET /metrics HTTP/1.1\r\n\r\n' >&"$fd" && grep -q '^bufscope_rings ' <&"$fd"
	}
	check "IPv6" six
	kill "${pid[six]}"
else
	skip "IPv6" "no IPv6 here"
fi

if [ "$(id -u)" -eq 0 ]; then
	# A copy, since the build directory may be closed to others.
	chmod 755 "$TMP"
	install -m 755 "$BUFSCOPE" "$TMP/bufscope"
	BUFSCOPE=$TMP/bufscope
	user=(setpriv --reuid 65534 --regid 65534 --clear-groups)
fi
check "a user without rights" says 3 'CAP_[A-Z_]+' --listen 127.0.0.1:0
if [ "$(cat /proc/sys/net/ipv4/ip_unprivileged_port_start)" -gt 1 ]; then
	check "and on a low port" says 3 'cannot listen on .*: Permission denied' --listen 127.0.0.1:1
fi
finish
