/* The few functions of libdrm by which libva looks at a device: loaded before libdrm, they make any file
 * a device of the kernel's `vgem`. For machines that have no such device. */

#include <stdlib.h>
#include <string.h>

typedef struct {
    int major, minor, patch;
    int name_length;
    char *name;
    int date_length;
    char *date;
    int description_length;
    char *description;
} version;

version *drmGetVersion(int fd)
{
    (void)fd;
    version *made = calloc(1, sizeof *made);
    if (made) {
        made->name = strdup("vgem");
        made->name_length = 4;
    }
    return made;
}

void drmFreeVersion(version *made)
{
    if (made)
        free(made->name);
    free(made);
}

/* DRM_NODE_RENDER */
int drmGetNodeTypeFromFd(int fd)
{
    (void)fd;
    return 2;
}

int drmGetMagic(int fd, unsigned *magic)
{
    (void)fd;
    *magic = 1;
    return 0;
}

int drmAuthMagic(int fd, unsigned magic)
{
    (void)fd, (void)magic;
    return 0;
}
