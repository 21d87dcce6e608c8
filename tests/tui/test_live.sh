#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Do the numbers on the screen equal what the workload counted itself, and does a new user find the
# descriptor that leaks, from the first screen and in at most five keys?
# shellcheck source-path=SCRIPTDIR source=../tap.sh
. "$(dirname "$0")/../tap.sh"
# shellcheck source-path=SCRIPTDIR source=screen.sh
. "$(dirname "$0")/screen.sh"

LOAD_PID=
cleanup() {
	screen_end
	[ -z "$LOAD_PID" ] || kill "$LOAD_PID" 2>/dev/null
}

# load_paused OPTION...: waits for SIGUSR1; its report will be in $TMP/truth
load_paused() {
	"$BUFSCOPE" load --json --paused "$@" >"$TMP/truth" 2>"$TMP/load" &
	LOAD_PID=$!
}
load_end() {
	kill "$LOAD_PID"
	wait "$LOAD_PID"
	LOAD_PID=
}
truth() { jq -r "$1" "$TMP/truth"; }

if ! "$BUFSCOPE" list >"$TMP/list" 2>&1; then
	skip "the screen tells the truth" "$(head -n 1 "$TMP/list")"
	finish
fi

# ---- truth

mkdir -p "$XDG_CONFIG_HOME/bufscope"
cat >"$XDG_CONFIG_HOME/bufscope/config" <<-END
	columns = bgid available held taken_total returned_total selected_total starved_total low_water
	sort = none
END
load_paused --groups 2 --entries 64 --starve -n 5000 --wait
screen_start 100x20 "$BUFSCOPE top -p $LOAD_PID -i 0.2"
check "shows both groups" sees '^ *1 +64 '
kill -USR1 "$LOAD_PID"
check "follows the work" sees '^ *0 .* [1-9][0-9]* +[0-9]+$'
done_working() { screen_has '^ *0 +[0-9]+ +[0-9]+ +[0-9]+ +[0-9]+ +5000 ' &&
	screen_has '^ *1 +[0-9]+ +[0-9]+ +[0-9]+ +[0-9]+ +5000 '; }
check "to its end" wait_until done_working
screen_text >"$TMP/screen"
load_end
for group in 0 1; do
	read -r _ available held taken returned selected starved low <<<"$(grep -E "^ *$group +[0-9]" "$TMP/screen")"
	g=".groups[$group]"
	check "group $group: selected" test "$selected" = "$(truth "$g.selected_total")"
	check "group $group: taken" test "$taken" = "$(truth "$g.taken_total")"
	# The first fill was before the first look.
	check "group $group: returned" test "$returned" = "$(truth "$g.returned_total - $g.buffers")"
	check "group $group: starved" test "$starved" = "$(truth "$g.starved_total")"
	check "group $group: available" test "$available" = "$(truth "$g.available")"
	check "group $group: held" test "$held" = "$(truth "$g.held")"
	check "group $group: was empty" test "$low" = 0
done
rm "$XDG_CONFIG_HOME/bufscope/config"

# ---- from `bufscope` to the descriptor that leaks

# leaks: the page names a descriptor that holds buffers, and it is a socket of the load
leaks() {
	local fd
	fd=$(screen_text | sed -n 's/^ *\([0-9]\+\) recv  *[1-9][0-9]* .*/\1/p' | head -n 1)
	[ -n "$fd" ] && [[ $(readlink "/proc/$LOAD_PID/fd/$fd") == socket:* ]]
}
found() { wait_until leaks || { report; return 1; }; }

# Each word is a key.
walk() { screen_keys "$@"; KEYS=$#; }
# other rings of this machine are on the screen, too: this name is nobody else's
cp "$BUFSCOPE" "$TMP/¤"
"$TMP/¤" load --name 'rx \pool' --op recv --entries 4096 --leak 4090 --rate 50 -d 100 -n 1000000 >"$TMP/load" 2>&1 &
LOAD_PID=$!
screen_start 80x40 "$BUFSCOPE"
check "the first screen shows the process" sees "$LOAD_PID/.* ¤ "
walk / ¤ Enter Enter e
check "five keys: search, its name, Enter, Enter, e" test "$KEYS" -le 5
check "open its group" sees "^ Group 0 \(rx \\\\\\\\pool\) of ring $LOAD_PID/"
check "name the descriptor" found
check "and what it holds too long" sees 'S too long [1-9]'
check "and that it leaks" sees '^ leaking '
low() { "$BUFSCOPE" top -b -j -n 4 -i 0.2 -p "$LOAD_PID" | jq -es '[.[].rings[].groups[]] |
	length == 4 and all(.low_water <= .available) and .[0].available > .[3].available' >/dev/null; }
check "the lowest level falls though nothing is returned" low
# Drawn at once by the resize, and again by a look.
fits() {
	screen_resize "$1x40"
	sleep 1.2
	[ -n "$(screen_program)" ]
}
for cols in 1 2 3 4; do check "its page lives at a width of $cols" fits "$cols"; done
screen_resize 80x40
check "and comes back" sees 'S too long [1-9]'
screen_keys e
check "e again ends it" loses 'FULL'
screen_keys Escape
check "Esc goes back" sees ' RING .* PROCESS '
screen_keys q
check "and q leaves" sees '^exit 0$'

# ---- a recording

screen_start 100x24 "$BUFSCOPE top -p $LOAD_PID -i 0.2"
sees "$LOAD_PID/" >/dev/null
screen_keys w
check "w asks where to write" sees 'write a recording to: bufscope-.*jsonl'
screen_keys C-u
screen_keys -l "$TMP/recording"
screen_keys Enter
check "and says that it does" sees ' REC '
more_looks() { [ "$(wc -l <"$TMP/recording")" -ge 4 ]; }
check "looks are written" wait_until more_looks
screen_keys w
check "w again ends it" loses ' REC '
screen_keys w C-u
screen_keys -l "$TMP/recording"
screen_keys Enter
check "what is there is not written over" sees 'File exists'
screen_keys q
screen_start 100x24 "$BUFSCOPE top --replay '$TMP/recording'"
check "it can be played" sees "look [1-9][0-9]*/[1-9].*"
check "with what it showed" sees "$LOAD_PID/.* ¤ "
screen_start 120x24 "$BUFSCOPE top --replay '$TMP/recording'"
check "the name that the program gave its pool" sees ' 0 rx \\\\pool +ring '
screen_keys / 'rx ' Enter
check "a search finds it" sees "$LOAD_PID/.* ¤ .*rx"

# ---- the past minute, while it goes on

screen_start 100x24 "$BUFSCOPE top -p $LOAD_PID -i 0.1"
sees "$LOAD_PID/" >/dev/null
clock() { screen_text | sed -n 's/.*PAUSED at \([0-9:]*\).*/\1/p'; }
earlier() { [[ $(clock) < $FIRST ]]; }
sleep 1.5 # that there is a past
screen_keys Space
check "Space pauses" sees 'PAUSED at'
FIRST=$(clock)
screen_keys '[' '['
check "[ goes back, twenty looks" wait_until earlier
screen_keys '}'
same_clock() { [ "$(clock)" = "$FIRST" ]; }
check "} to the last one" wait_until same_clock
screen_keys Space
check "and Space goes on" loses 'PAUSED'

# ---- f

screen_keys f
screen_keys -l 'entries < 10'
screen_keys Enter
check "f with a comparison hides what it is not true of" sees 'no row is left by the filter'
screen_keys f C-u
screen_keys -l 'entries >= 256 and kind = ring'
screen_keys Enter
check "and shows what it is true of" sees "$LOAD_PID/"
screen_keys f C-u
screen_keys -l 'entriess > 1'
screen_keys Enter
check "a mistake is named" sees "there is no column 'entriess'"

# ---- e

kill "$LOAD_PID"
"$BUFSCOPE" load --entries 32 --starve --rate 300 -d 100 -n 1000000 >"$TMP/load" 2>&1 &
LOAD_PID=$!
screen_start 80x100 "$BUFSCOPE top -p $LOAD_PID --light -i 0.2"
sees "$LOAD_PID/" >/dev/null
screen_keys Enter e
check "e tells what the doctor does" sees '^ consumer-slow: '
check "and of one file no other" screen_lacks 'one-stream|not-rearmed'
check "and what happened last" sees ' select +bid [0-9]+ +fd [0-9]+ +recv'
check "and when it starved" sees ' starve +[0-9]+ times'
kill "$LOAD_PID"
check "a process that ends is examined no more" sees '^ gone|ended|no longer'
screen_keys q
check "and q leaves all the same" sees '^exit 0$'

finish
