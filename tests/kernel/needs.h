/* SPDX-License-Identifier: MIT */
/* What a test cannot do without. Include after cmocka. */
#ifndef BUFSCOPE_NEEDS_H
#define BUFSCOPE_NEEDS_H

/* Where it is not there the test is skipped, which tests/run says with the reason. */
static inline void needs(int is_there, const char *what)
{
	if (is_there)
		return;
	print_message("# needs %s\n", what);
	skip();
}

#endif
