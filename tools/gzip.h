/* SPDX-License-Identifier: MIT */
/* Text made small for the way to whoever asked for it. */
#ifndef BUFSCOPE_GZIP_H
#define BUFSCOPE_GZIP_H

#include <stddef.h>

/* As gzip does, quickly rather than well. To be freed; NULL: no memory. */
char *gzip_pack(const char *text, size_t length, size_t *packed);

#endif
