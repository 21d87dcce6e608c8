#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Do the screens of a recording look as they did when somebody last looked at them? The pictures
# lie in golden/, colours included; UPDATE=1 tests/tui/test_golden.sh takes them anew.
# shellcheck source-path=SCRIPTDIR source=../tap.sh
. "$(dirname "$0")/../tap.sh"
# shellcheck source-path=SCRIPTDIR source=screen.sh
. "$(dirname "$0")/screen.sh"
GOLDEN=$(realpath "$(dirname "$0")/golden")
DATA=$(realpath "$(dirname "$0")/../data")
export TZ=UTC
TOP="$BUFSCOPE top --replay '$DATA/starving.jsonl'"
cleanup() { screen_end; }

# The last look of the recording, where it stops; faster than it was taken. Nothing else moves the
# selection, so the screen does not depend on when a key arrived.
at_the_end() {
	sees 'look [1-4]/5' >/dev/null
	screen_keys -l -- '----'
	sees 'PAUSED.*look 5/5'
}

# picture NAME: the screen is that of golden/NAME
picture() {
	if [ -n "${UPDATE:-}" ]; then
		screen_raw >"$GOLDEN/$1"
		return
	fi
	wait_until same_picture "$1" && return
	diff "$GOLDEN/$1" "$TMP/picture"
	return 1
}
same_picture() { screen_raw >"$TMP/picture"; cmp -s "$GOLDEN/$1" "$TMP/picture"; }

for theme in dark light mono; do
	mkdir -p "$XDG_CONFIG_HOME/bufscope"
	echo "theme = $theme" >"$XDG_CONFIG_HOME/bufscope/config"
	for size in 40x12 80x24 120x40 200x50; do
		screen_start "$size" "$TOP"
		check "$theme, $size: shows the recording" at_the_end
		check "$theme, $size: as it was" picture "overview-$size-$theme"
	done
done

for theme in dark light; do
	echo "theme = $theme" >"$XDG_CONFIG_HOME/bufscope/config"
	screen_start 80x24 "TERM=screen $TOP"
	check "$theme, eight colours: shows the recording" at_the_end
	check "$theme, eight colours: as it was" picture "overview-80x24-$theme-8"
done

rm -r "${XDG_CONFIG_HOME:?}"
for size in 80x24 120x40; do
	screen_start "$size" "$TOP"
	at_the_end >/dev/null
	screen_keys Enter
	check "$size: opens the worst group" sees '^ Group 0 of ring .*, (cached|webd|gatewayd)'
	check "$size: its page is as it was" picture "group-$size"
done

# ---- what is damaged

damaged=$TMP/damaged.jsonl
{ sed -n 1p "$DATA/starving.jsonl"; echo '{"schema": "nonsense"}'; head -c 300 "$DATA/starving.jsonl"
	echo; sed -n 5p "$DATA/starving.jsonl"; sed -n 5p "$DATA/starving.jsonl" | head -c 4000
} >"$damaged"
screen_start 80x24 "$BUFSCOPE top --replay '$damaged'"
check "of a damaged recording the whole looks are played" sees 'webd'
screen_keys q
check "and what is not is counted" sees '^bufscope: .*damaged frame'
check "a cut one is named" sees "ends within a frame"
check "exit 0" sees '^exit 0$'
screen_start 80x24 "$BUFSCOPE top --replay /dev/null"
check "what is no recording is refused" sees '^exit 1$'

finish
