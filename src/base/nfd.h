/* base/nfd.h - names compared as people read them: macOS writes the e with an accent as two characters, others as one. */
#ifndef LIMBER_NFD_H
#define LIMBER_NFD_H

#include <stdbool.h>

/* Unicode's canonical decomposition (NFD) of `text`, to free; NULL: no memory. Bytes that are no UTF-8 stay as they are. Equal
 * results mean that Unicode calls the texts equal; compatibility ideographs are left alone. */
char *nfd(const char *text);

#endif
