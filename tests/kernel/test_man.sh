#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Do the manuals name the commands and options that the program has, and the functions, kinds and
# fields of the library, and no others?
# Not for guests: it is the same on every kernel.
# shellcheck source=tests/tap.sh
. "$(dirname "$0")/../tap.sh"
TREE=$(dirname "$0")/../..
PAGE=$TREE/tools/bufscope.8 LIBRARY=$TREE/lib/bufscope.3 HEADER=$TREE/lib/bufscope.h

no_warnings() {
	man --warnings=w -E UTF-8 -l -Tutf8 -Z "$1" >/dev/null 2>"$TMP/warnings"
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

# Names at the beginning of lines of the header and what they are called in the page.
functions() { grep -v '^[[:space:]/*]' "$HEADER" | grep -oE '\bbs_[a-z_]+\(' | tr -d '(' | sort -u; }
constants() { grep -oE '^(#define |	)BS_[A-Z_]+' "$HEADER" | grep -oE 'BS_[A-Z_]+' | sort -u; }
fields() { sed -nE '/^struct bs_(pool_opts|pool_stats) \{/,/^\}/s/^	[^;/]*[ *]([a-z_]+);.*/\1/p' "$HEADER"; }

# those LIST KIND-OF-LINE: which of the list the page has not
missing() { "$1" | while read -r name; do grep -qE "^(\\.[A-Z]+ )?$2$name" "$LIBRARY" || echo "$name"; done; }
none_missing() { missing "$@" | tee /dev/stderr | awk 'END { exit NR > 0 }'; }

check 'it formats without warnings' no_warnings "$PAGE"
check 'so does that of the library' no_warnings "$LIBRARY"
check 'which has all functions' none_missing functions '.*'
check 'all constants' none_missing constants '.*'
check 'all options and statistics' none_missing fields ''
check 'and no other function' diff <(functions) \
	<(grep '^\.SS' "$LIBRARY" | grep -oE 'bs_[a-z_]+\(' | tr -d '(' | sort -u)
check 'no part stands there twice' diff /dev/null <(grep '^\.SH' "$PAGE" | sort | uniq -d)
check 'its commands are those of --help' diff <(section COMMANDS | subsection_names) <(commands)
check 'global options' \
	diff <(section OPTIONS | subsection bufscope | tags | long_options) <(helped)
for c in $(commands); do
	check "$c: its options are those of --help" \
		diff <(section OPTIONS | subsection "$c" | tags | long_options) <(helped "$c")
done
finish
