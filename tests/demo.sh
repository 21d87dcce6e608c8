#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# demo.sh BUFSCOPE: the three jobs in ten seconds, on a program that runs short of buffers.
set -u
bufscope=${1:?usage: demo.sh BUFSCOPE}
failed=0
dir=$(mktemp -d)
load=
end() {
	[ -z "$load" ] || kill "$load" 2>/dev/null
	wait
	rm -rf "$dir"
}
trap end EXIT
trap 'exit 130' INT TERM

caption() { printf '\n== %s\n\n' "$*"; }

# show ARGUMENT...: the command as one would type it, and what it says
show() {
	echo "\$ bufscope $*"
	"$bufscope" "$@" </dev/null || failed=1
}

# finds ARGUMENT...: the same, of a command that exits with 1 for what it finds
finds() {
	local rc=0
	echo "\$ bufscope $*"
	"$bufscope" "$@" </dev/null || rc=$?
	[ "$rc" = 1 ] || failed=1
}

caption 'What this kernel lets a program register, found out by trying'
show limits --quick

# A group of 128 buffers. Eight are never returned, the others only when none is left.
trouble=(load --entries 128 --rate 2000 --leak 8 --starve)
"$bufscope" "${trouble[@]}" >"$dir/said" 2>"$dir/err" </dev/null &
load=$!
sleep 1
if ! kill -0 "$load" 2>/dev/null; then
	cat "$dir/err" >&2
	exit 1
fi

caption 'A program starves: it leaks buffers and returns the others too late'
echo "\$ bufscope ${trouble[*]} &"
caption 'Every ring and every buffer group of the system'
show list
caption 'The same, live: how many buffers are left, how fast they come and go, the lowest level'
show top -b -n 3 -p "$load"
caption 'Why it starves, and what to change'
finds doctor -d 3 -p "$load"
caption 'What that program counted itself'
kill "$load"
wait "$load" || failed=1
load=
cat "$dir/said"
exit "$failed"
