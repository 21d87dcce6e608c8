#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Is what `make install` leaves behind all that a client in C or C++ needs?
# Not for guests: it compiles.
# shellcheck source=tests/tap.sh
. "$(dirname "$0")/../tap.sh"
cd "$(dirname "$0")/../.." || exit 1

: "${CC:=gcc}"
CXX=${CC/clang/clang++}
CXX=${CXX/gcc/g++}
SAN_FLAGS=
case $BUFSCOPE in */san/*) SAN_FLAGS=-fsanitize=address,undefined ;; esac

installed() { find "$1" \( -type f -o -type l \) -printf '%P\n' | sort; }

expected() {
	cat <<-END
		bin/bufscope
		include/bufscope.h
		lib/libbufscope.a
		lib/libbufscope.so
		lib/libbufscope.so.0
		lib/pkgconfig/bufscope.pc
		share/man/man8/bufscope.8
	END
}

exports_only_bs() { ! nm -D --defined-only "$1" | grep -vE ' (T bs_|A BUFSCOPE_)'; }

# build COMPILER LANGUAGE LIBRARY: $TMP/client against the installed files alone
build() {
	# shellcheck disable=SC2046,SC2086 # lists of flags
	"$1" -x "$2" -Wall -Wextra -Werror $SAN_FLAGS -o "$TMP/client" tests/kernel/client.c -x none \
		$(pkg-config --cflags bufscope) $(pkg-config --libs bufscope | sed "s/-lbufscope/$3/")
}

ended() {
	cat "$TMP/said"
	return "$1"
}

# client NAME COMPILER LANGUAGE LIBRARY
client() {
	local name=$1 rc
	shift
	check "a client in $name builds" build "$@"
	"$TMP/client" >"$TMP/said" 2>&1
	rc=$?
	if [ "$rc" -eq 77 ]; then
		skip "a client in $name runs" "$(cat "$TMP/said")"
	else
		check "a client in $name runs" ended "$rc"
	fi
	rm -f "$TMP/client"
}

if ! command -v "$CC" make >/dev/null; then
	skip 'make install' "no $CC or no make"
	finish
fi
check 'make install' make install PREFIX="$TMP/prefix"
check 'it leaves exactly its files' diff <(installed "$TMP/prefix") <(expected)
check 'the installed program runs' "$TMP/prefix/bin/bufscope" --version
check 'the library exports bs_* alone' exports_only_bs "$TMP/prefix/lib/libbufscope.so"
export PKG_CONFIG_PATH=$TMP/prefix/lib/pkgconfig LD_LIBRARY_PATH=$TMP/prefix/lib
client C "$CC" c -lbufscope
client 'C, static' "$CC" c -l:libbufscope.a
if command -v "$CXX" >/dev/null; then
	client C++ "$CXX" c++ -lbufscope
else
	skip 'a client in C++' "no $CXX"
fi

check 'make install DESTDIR' make install DESTDIR="$TMP/stage" PREFIX=/usr
check 'it stays below DESTDIR' diff <(installed "$TMP/stage/usr") <(expected)
check 'its files know no DESTDIR' grep -qx 'prefix=/usr' "$TMP/stage/usr/lib/pkgconfig/bufscope.pc"
finish
