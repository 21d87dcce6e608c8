# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# screen.sh: a terminal of a chosen size with a program in it, by a private tmux server. Source it
# after tap.sh. Nothing here sleeps for luck: what is expected is waited for.
export LC_ALL=C.UTF-8 TMUX='' XDG_CONFIG_HOME=$TMP/config
SCREEN_NR=0
SCREEN_PATIENCE=${SCREEN_PATIENCE:-20} # seconds

screen() { tmux -L "bufscope-test-$$-$SCREEN_NR" -f /dev/null "$@" 2>>"$TMP/tmux"; }

# screen_start COLSxROWS COMMAND: a shell command on a fresh terminal; it stays when that ends.
screen_start() {
	screen_end
	SCREEN_NR=$((SCREEN_NR + 1)) # a server that is ending takes no new session
	screen new-session -d -x "${1%x*}" -y "${1#*x}" "printf 'before\n'; $2
		printf 'exit %s\n' \$?; stty -g >'$TMP/stty'; exec cat"
	screen set-option -g status off >/dev/null
	screen resize-window -x "${1%x*}" -y "${1#*x}"
}

screen_end() { screen kill-server; }
screen_resize() { screen resize-window -x "${1%x*}" -y "${1#*x}"; }
screen_keys() { screen send-keys "$@"; }
screen_text() { screen capture-pane -p; }
screen_raw() { screen capture-pane -p -e; }
screen_flag() { screen display-message -p "#{$1}"; }

# wait_until COMMAND...: until it succeeds; fails when patience ends.
wait_until() {
	local end=$((SECONDS + SCREEN_PATIENCE))
	until "$@"; do
		[ "$SECONDS" -lt "$end" ] || return 1
		sleep 0.05
	done
}

screen_has() { screen_text | grep -qE -- "$1"; }
screen_lacks() { ! screen_has "$1"; }

# sees REGEX, loses REGEX: waits for it; tells what is there instead.
sees() { wait_until screen_has "$1" || { report; return 1; }; }
loses() { wait_until screen_lacks "$1" || { report; return 1; }; }
report() { screen_text | sed '/^$/d'; tail -n 3 "$TMP/tmux"; }

# The program on the screen, not the shell around it.
screen_program() { pgrep -P "$(screen_flag pane_pid)" | head -n 1; }
