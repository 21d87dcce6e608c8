/* SPDX-License-Identifier: MIT */
/* What asks a command to end is waited for like all else, so that it ends well. */
#ifndef BUFSCOPE_SIGNALS_H
#define BUFSCOPE_SIGNALS_H

/*
 * A signalfd of SIGINT, SIGTERM, SIGHUP and `others` (ended by 0; NULL: none), which are blocked
 * from now on. It does not block. To be closed; -1 with errno.
 */
int signals_open(const int *others);

#endif
