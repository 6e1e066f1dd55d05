#include "app/lasts.h"

#include <errno.h>

bool
weir_error_lasts(enum weir_err err)
{
    static const int errnos[] = {EACCES, EPERM, EROFS, EFBIG, ENOENT, ENOTDIR, EISDIR, ELOOP,
        ENAMETOOLONG, EADDRNOTAVAIL, EAFNOSUPPORT};
    if (err != WEIR_IO)
        return err != WEIR_NOMEM && err != WEIR_AGAIN;
    for (size_t i = 0; i < sizeof errnos / sizeof errnos[0]; i++)
        if (weir_err_errno() == errnos[i])
            return true;
    return false;
}
