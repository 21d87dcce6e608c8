# SPDX-License-Identifier: MIT
# A screen of `tmux capture-pane -p -e` as SVG: tmux capture-pane -p -e | awk -f svg.awk >top.svg
# Knows the attributes that the dashboard uses, and colours of sixteen and of 256.
BEGIN {
	W = 8; H = 17
	split("#45475a #f38ba8 #a6e3a1 #f9e2af #89b4fa #f5c2e7 #94e2d5 #cdd6f4", color, " ")
	for (i = 128; i < 192; i++) continues[sprintf("%c", i)] = 1
	reset()
}

function reset() { fg = bg = ""; bold = dim = reverse = underline = 0 }

# One of 256: sixteen, a cube of 6 * 6 * 6, greys.
function shade(n,   r, g, b) {
	if (n < 16) return color[n % 8 + 1]
	if (n > 231) return sprintf("#%02x%02x%02x", r = 8 + (n - 232) * 10, r, r)
	n -= 16; r = int(n / 36); g = int(n / 6) % 6; b = n % 6
	return sprintf("#%02x%02x%02x", r ? 55 + 40 * r : 0, g ? 55 + 40 * g : 0, b ? 55 + 40 * b : 0)
}

function attribute(code) {
	if (code == 0) reset()
	else if (code == 1) bold = 1
	else if (code == 2) dim = 1
	else if (code == 4) underline = 1
	else if (code == 7) reverse = 1
	else if (code == 22) bold = dim = 0
	else if (code == 24) underline = 0
	else if (code == 27) reverse = 0
	else if (code >= 30 && code <= 37) fg = color[code - 29]
	else if (code == 39) fg = 0
	else if (code >= 40 && code <= 47) bg = color[code - 39]
	else if (code == 49) bg = 0
}

# Characters of UTF-8 text, also for an awk that knows bytes alone.
function columns(text,   i, n) {
	for (i = n = 0; i < length(text); i++)
		n += !(substr(text, i + 1, 1) in continues)
	return n
}

function put(text,   n, ink, paper, swap) {
	n = columns(text)
	if (n == 0) return
	ink = fg ? fg : "#cdd6f4"
	paper = bg ? bg : "#1e1e2e"
	if (reverse) { swap = ink; ink = paper; paper = swap }
	if (paper != "#1e1e2e")
		body = body sprintf("<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" fill=\"%s\"/>\n",
			(x + 1) * W, (NR - 1) * H + 8, n * W, H, paper)
	gsub(/&/, "\\&amp;", text); gsub(/</, "\\&lt;", text); gsub(/>/, "\\&gt;", text)
	if (text ~ /[^ ]/)
		body = body sprintf("<text x=\"%d\" y=\"%d\" textLength=\"%d\" fill=\"%s\"%s%s%s>%s</text>\n",
			(x + 1) * W, NR * H + 4, n * W, ink, bold ? " font-weight=\"bold\"" : "",
			dim ? " opacity=\"0.6\"" : "", underline ? " text-decoration=\"underline\"" : "", text)
	x += n
	if (x > widest) widest = x
}

{
	x = 0
	rest = $0
	while (match(rest, /\033\[[0-9;]*m/)) {
		put(substr(rest, 1, RSTART - 1))
		nr = split(substr(rest, RSTART + 2, RLENGTH - 3), codes, ";")
		rest = substr(rest, RSTART + RLENGTH)
		for (i = 1; i <= nr; i++) {
			if (codes[i] != 38 && codes[i] != 48) attribute(codes[i] + 0)
			else if (codes[i] == 38) fg = shade(codes[i += 2])
			else bg = shade(codes[i += 2])
		}
		if (nr == 0) reset()
	}
	put(rest)
}

END {
	printf "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\">\n", (widest + 2) * W, NR * H + 16
	print "<rect width=\"100%\" height=\"100%\" rx=\"6\" fill=\"#1e1e2e\"/>"
	print "<g font-family=\"DejaVu Sans Mono,Menlo,Consolas,monospace\" font-size=\"13\" xml:space=\"preserve\">"
	printf "%s</g>\n</svg>\n", body
}
