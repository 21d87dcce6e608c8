// SPDX-License-Identifier: MIT
#include "cmd.h"

int cmd_limits(int argc, char **argv, const struct globals *globals)
{
	(void)argc;
	(void)globals;
	return cmd_usage(argv[0], "%s: not built yet", argv[0]);
}
