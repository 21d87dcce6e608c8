#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Does the manual name the commands and options that the program has, and no others?
# Not for guests: it is the same on every kernel.
# shellcheck source=tests/tap.sh
. "$(dirname "$0")/../tap.sh"
PAGE=$(dirname "$0")/../../tools/bufscope.8

no_warnings() {
	man --warnings=w -E UTF-8 -l -Tutf8 -Z "$PAGE" >/dev/null 2>"$TMP/warnings"
	cat "$TMP/warnings"
	[ ! -s "$TMP/warnings" ]
}

# section NAME: its lines with plain dashes. subsection NAME: the same, of the lines on stdin
section() { sed 's/\\-/-/g' "$PAGE" | awk -v s="$1" '/^\.SH /{ on = $0 == ".SH " s; next } on'; }
subsection() { awk -v s="$1" '/^\.SS /{ on = $0 == ".SS " s; next } on'; }

long_options() { grep -oE -- '--[a-z][a-z-]*' | sort -u; }

subsection_names() { sed -n 's/^\.SS //p'; }

# The tag line of a paragraph: what stands below .TP
tags() { awk 'tag; { tag = $0 == ".TP" }'; }

commands() { "$BUFSCOPE" --help | sed -nE 's/^  ([a-z]+) .*/\1/p'; }

# Options stand at the beginning of a line of help.
helped() { "$BUFSCOPE" "$@" --help | sed -nE 's/^ +((-., )?--[a-z-]+).*/\1/p' | long_options; }

check 'it formats without warnings' no_warnings
check 'its commands are those of --help' diff <(section COMMANDS | subsection_names) <(commands)
check 'global options' \
	diff <(section OPTIONS | subsection bufscope | tags | long_options) <(helped)
for c in $(commands); do
	check "$c: its options are those of --help" \
		diff <(section OPTIONS | subsection "$c" | tags | long_options) <(helped "$c")
done
finish
