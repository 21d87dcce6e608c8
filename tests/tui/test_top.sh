#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Does the dashboard show what is there, obey its keys, bear any size, and leave the terminal as it
# was, however it ends?
# shellcheck source-path=SCRIPTDIR source=../tap.sh
. "$(dirname "$0")/../tap.sh"
# shellcheck source-path=SCRIPTDIR source=screen.sh
. "$(dirname "$0")/screen.sh"

LOADS=()
cleanup() {
	screen_end
	[ ${#LOADS[@]} -eq 0 ] || kill "${LOADS[@]}" 2>/dev/null
}

# load_wait OPTION...: rings that stand still, made by $LOAD; its process id in $LOAD_PID
load_wait() {
	"${LOAD:-$BUFSCOPE}" load --op none --wait "$@" >"$TMP/load" 2>&1 &
	LOAD_PID=$!
	LOADS+=("$LOAD_PID")
}

exits() {
	local want=$1
	shift
	"$@" >"$TMP/out" 2>"$TMP/err"
	[ $? -eq "$want" ]
}

check "refuses what is no terminal" exits 2 "$BUFSCOPE" top
check "and names -b" grep -q 'bufscope top -b' "$TMP/err"

load_wait --rings 2 --groups 3 --entries 64
P=$LOAD_PID
TOP="$BUFSCOPE top --light -p $P -i 0.2"

# ---- what is there

screen_start 80x24 "$TOP"
check "shows every group" sees "^i $P/[0-9]+ +[^ ]+ +2 .* 64/64 "
check "counts them" sees '2 rings  6 groups'
check "fills the bar" screen_has '██████'
check "knows rates after two looks" sees ' 64/64 +0 +0 +0 +-$'
check "footer tells the keys" screen_has '^ \? help +Enter open'
check "no line is left over" test "$(screen_text | grep -c "$P/")" -eq 6

# ---- keys

check "starts at the first group" screen_has ' 1/6$'
screen_keys Down Down
check "arrow down" sees ' 3/6$'
screen_keys k
check "k" sees ' 2/6$'
screen_keys End
check "End" sees ' 6/6$'
screen_keys g
check "g" sees ' 1/6$'
screen_keys NPage
check "page down" sees ' 6/6$'
screen_keys '?'
check "help" sees '^ \? F1 +this page'
screen_keys Escape
check "Esc leaves it" loses 'this page'
screen_keys Space
check "pause" sees 'PAUSED at [0-9:]{8}'
screen_keys Left
check "steps back" sees 'PAUSED at'
screen_keys Space
check "goes on" sees 'every 0.2s'
screen_keys +
check "slower" sees 'every 0.4s'
screen_keys -
check "faster" sees 'every 0.2s'
screen_keys F9 é
check "other keys do no harm" sees ' 6/6$'

# ---- the mouse, as old and as new terminals report it

screen_start 80x24 "$TOP"
sees ' 1/6$' >/dev/null
# press X Y and let go; both in hexadecimal, from 21 on
press() { screen_keys -H 1b 5b 4d 20 "$1" "$2" 1b 5b 4d 23 "$1" "$2"; }
press 2a 26
check "a click chooses a row" sees ' 3/6$'
screen_keys -H 1b 5b 4d 60 2a 26
check "the wheel goes up" sees ' 2/6$'
screen_keys -H 1b 5b 4d 61 2a 26
check "and down" sees ' 3/6$'
press 2a 26
check "a click on what is chosen opens it" sees '^ Group [0-9]+ of ring '
screen_keys Escape
sees ' 3/6$' >/dev/null
press 22 38
check "a click on a key in the last line presses it" sees 'this page'
screen_keys q
sgr() { screen_keys -l $'\e'"[<$1"; }
if infocmp -x xterm-256color 2>/dev/null | grep -q 'kmous=\\E\[<'; then
	screen_start 80x24 "TERM=xterm-256color $TOP"
	sees ' 1/6$' >/dev/null
	sgr '0;10;7M'
	sgr '0;10;7m'
	check "SGR: a click" sees ' 4/6$'
	sgr '64;10;7M'
	check "SGR: the wheel" sees ' 3/6$'
else
	skip "SGR mouse reports" "terminfo knows no terminal that sends them"
fi
screen_start 80x24 "$TOP"
sees ' 1/6$' >/dev/null

# ---- sizes

for size in 40x10 120x40 300x100 80x24; do
	screen_resize "$size"
	check "fits $size" sees "^[ciTLS+?] +$P/"
	check "$size: title at the right edge" wait_until \
		awk -v cols="${size%x*}" 'length > cols { bad = 1 } END { exit bad }' <(screen_text)
done
screen_resize 39x9
check "too small says so" sees 'bufscope needs 40x10, this is 39x9'
screen_resize 1x1
screen_resize 80x24
check "and recovers" sees "^[ciTLS+?] +$P/"

# ---- coming and going

screen_start 80x24 "$BUFSCOPE top --light -g 4711 -i 0.2"
check "tells that there is nothing" sees 'no buffer group'
load_wait --bgid 4711
N=$LOAD_PID
check "a new group shows up" sees "$N/.* 4711 .* 256/256"
screen_keys Enter
check "its page tells who registered it" sees "registered by .* $N/$N, "
screen_keys Escape
sees "$N/.* 4711 " >/dev/null
kill "$N"
check "a closed one stays for a moment" sees "^x $N/.* closed"
check "and then goes" loses "$N/"

# ---- a name that is an attack

hostile=$TMP/$'\e[31m\xff\u202e'
cp "${LOAD:-$BUFSCOPE}" "$hostile"
LOAD=$hostile load_wait --bgid 4711
check "a hostile name is harmless" sees "$LOAD_PID/.* \\\\x1b\\[31m"
kill "$LOAD_PID"

# ---- colour and characters

screen_start 80x24 "$TOP"
sees "$P/" >/dev/null
check "colours" grep -q $'\e\\[3[0-9]' <(screen_raw)
screen_start 80x24 "NO_COLOR=1 $TOP"
sees "$P/" >/dev/null
check "NO_COLOR" test "$(screen_raw | grep -cE $'\e\\[[0-9;]*(3[0-7]|4[0-7]|[34]8;[0-9;]*)m')" -eq 0
screen_start 80x24 "LC_ALL=C $TOP"
check "ASCII where the locale is not UTF-8" sees "$P/.* ######"
check "and nothing else" test "$(screen_text | LC_ALL=C grep -c $'[\x80-\xff]')" -eq 0
screen_start 80x24 "TERM=nonsense $TOP"
check "an unknown terminal is named" sees "cannot use a terminal of type 'nonsense'"
check "exit 2" sees '^exit 2$'
screen_start 80x24 "TERM=dumb $TOP"
check "one that cannot move its cursor, too" sees "cannot use a terminal of type 'dumb'"
check "exit 2" sees '^exit 2$'

# ---- the end

# ends CODE WHAT COMMAND...: after COMMAND the program is over and the terminal as before
ends() {
	local code=$1 what=$2
	shift 2
	screen_start 80x24 "stty -g >'$TMP/before'; $TOP"
	sees "$P/" >/dev/null
	"$@"
	check "$what: exit $code" sees "^exit $code\$"
	check "$what: the screen before is back" screen_has '^before$'
	check "$what: the cursor is back" test "$(screen_flag cursor_flag)" = 1
	check "$what: no alternate screen" test "$(screen_flag alternate_on)" = 0
	check "$what: same modes" wait_until cmp -s "$TMP/before" "$TMP/stty"
}
send() { kill "-$1" "$(screen_program)"; }

ends 0 "q" screen_keys q
ends 0 "Ctrl-C" screen_keys C-c
ends 0 "SIGTERM" send TERM
ends 0 "SIGHUP" send HUP
ends 139 "SIGSEGV" send SEGV
ends 134 "SIGABRT" send ABRT

screen_start 80x24 "$TOP -n 2"
check "-n ends by itself" sees '^exit 0$'

# ---- stop and go on

screen_start 80x24 "bash --norc --noprofile -i"
screen_keys "PS1='ready '" Enter
sees '^ready' >/dev/null
screen_keys "$TOP" Enter
sees ' 1/6$' >/dev/null
screen_keys C-z
check "Ctrl-Z gives the terminal back" sees 'Stopped'
check "with its cursor" test "$(screen_flag cursor_flag)" = 1
screen_keys fg Enter
check "fg draws again" sees ' 1/6$'
screen_keys q
check "and leaves" loses ' 1/6$'

finish
