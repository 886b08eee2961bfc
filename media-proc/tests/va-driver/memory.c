/* Memory of surfaces: a buffer of the device, as a graphics processor's would be, or else a file in memory, which
 * stands for one where there is no device. Both can be handed out as a descriptor. */

#define _GNU_SOURCE

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <va/va_drmcommon.h>

#include "driver.h"

/* What the kernel's headers call drm_mode_create_dumb, drm_mode_map_dumb, drm_gem_close and drm_prime_handle
 * (include/uapi/drm), which are not installed everywhere. */
struct dumb_create { uint32_t height, width, bits_per_pixel, flags, handle, pitch; uint64_t size; };
struct dumb_map { uint32_t handle, padding; uint64_t offset; };
struct gem_close { uint32_t handle, padding; };
struct prime_handle { uint32_t handle, flags; int32_t descriptor; };

#define CREATE_DUMB _IOWR('d', 0xb2, struct dumb_create)
#define MAP_DUMB _IOWR('d', 0xb3, struct dumb_map)
#define CLOSE _IOW('d', 0x09, struct gem_close)
#define HANDLE_TO_DESCRIPTOR _IOWR('d', 0x2d, struct prime_handle)
/* DRM_CLOEXEC and DRM_RDWR */
#define PRIME_FLAGS (02000000 | 02)

static bool of_the_device(int node, struct surface *surface)
{
    struct dumb_create made = {
        .width = surface->pitch, .height = surface->height * 3 / 2, .bits_per_pixel = 8};
    if (ioctl(node, CREATE_DUMB, &made) != 0)
        return false;
    surface->handle = made.handle;
    surface->pitch = made.pitch;
    surface->size = made.size;
    struct dumb_map map = {.handle = made.handle};
    void *samples = MAP_FAILED;
    if (ioctl(node, MAP_DUMB, &map) == 0)
        samples = mmap(NULL, made.size, PROT_READ | PROT_WRITE, MAP_SHARED, node, (off_t)map.offset);
    if (samples == MAP_FAILED)
        abort(); /* a device that makes such memory shows it, too */
    surface->samples = samples;
    return true;
}

static bool of_a_file(struct surface *surface)
{
    int file = memfd_create("surface", MFD_CLOEXEC);
    if (file < 0 || ftruncate(file, (off_t)surface->size) != 0)
        return false;
    surface->samples = mmap(NULL, surface->size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (surface->samples == MAP_FAILED)
        abort();
    surface->file = file;
    return true;
}

bool surface_allocate(int node, struct surface *surface)
{
    surface->size = (size_t)surface->pitch * surface->height * 3 / 2;
    surface->file = -1;
    if (!of_the_device(node, surface) && !of_a_file(surface)) {
        /* What is confined makes no file, and nobody draws into this. */
        surface->samples = mmap(NULL, surface->size, PROT_READ | PROT_WRITE,
                                MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (surface->samples == MAP_FAILED)
            return false;
    }
    memset(surface->samples, 0x55, surface->size);
    return true;
}

void surface_free(int node, struct surface *surface)
{
    if (!surface->samples)
        return;
    munmap(surface->samples, surface->size);
    if (surface->handle) {
        struct gem_close gone = {.handle = surface->handle};
        ioctl(node, CLOSE, &gone);
    }
    if (surface->file >= 0)
        close(surface->file);
    *surface = (struct surface){.file = -1};
}

static int descriptor_of(int node, const struct surface *surface)
{
    if (surface->file >= 0)
        return dup(surface->file);
    struct prime_handle handle = {.handle = surface->handle, .flags = PRIME_FLAGS};
    if (!surface->handle || ioctl(node, HANDLE_TO_DESCRIPTOR, &handle) != 0)
        return -1;
    return handle.descriptor;
}

VAStatus export_surface(VADriverContextP ctx, VASurfaceID id, uint32_t type, uint32_t flags,
                        void *descriptor)
{
    struct surface *from = surface(of(ctx), id);
    if (!from)
        return VA_STATUS_ERROR_INVALID_SURFACE;
    if (!of(ctx)->is.exports || type != VA_SURFACE_ATTRIB_MEM_TYPE_DRM_PRIME_2)
        return VA_STATUS_ERROR_UNSUPPORTED_MEMORY_TYPE;
    int exported = descriptor_of(node_of(ctx), from);
    if (exported < 0)
        return VA_STATUS_ERROR_OPERATION_FAILED;
    VADRMPRIMESurfaceDescriptor *to = descriptor;
    *to = (VADRMPRIMESurfaceDescriptor){.fourcc = VA_FOURCC_NV12,
                                        .width = from->width,
                                        .height = from->height,
                                        .num_objects = 1,
                                        .objects = {{.fd = exported, .size = (uint32_t)from->size}}};
    const uint32_t offsets[] = {0, from->pitch * from->height};
    const uint32_t formats[] = {VA_FOURCC('R', '8', ' ', ' '), VA_FOURCC('G', 'R', '8', '8')};
    bool separate = flags & VA_EXPORT_SURFACE_SEPARATE_LAYERS;
    to->num_layers = separate ? 2 : 1;
    to->layers[0].drm_format = VA_FOURCC_NV12;
    to->layers[0].num_planes = separate ? 1 : 2;
    for (unsigned plane = 0; plane < 2; plane++) {
        unsigned layer = separate ? plane : 0, place = separate ? 0 : plane;
        if (separate)
            to->layers[layer].drm_format = formats[plane];
        to->layers[layer].num_planes = separate ? 1 : 2;
        to->layers[layer].offset[place] = offsets[plane];
        to->layers[layer].pitch[place] = from->pitch;
    }
    return VA_STATUS_SUCCESS;
}
