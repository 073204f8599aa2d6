#ifndef BASE_BANNED_H
#define BASE_BANNED_H

/* Included last by every source file through the build (-include); a banned call does not compile. */
#include <alloca.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#ifdef USES_OPENSSL /* its headers call parameters so */
#include <openssl/evp.h>
#endif

#undef alloca
#undef strcpy
#undef strcat
#undef strncpy
#undef sprintf
#undef vsprintf
#undef strtok
#undef gmtime
#undef localtime
#pragma GCC poison strcpy strcat strncpy sprintf vsprintf atoi atol atoll strtok
#pragma GCC poison gmtime localtime rand srand system alloca

#endif
