// SPDX-License-Identifier: MIT
#include "text.h"

const char *text_errno(int err)
{
	(void)err;
	return "";
}
