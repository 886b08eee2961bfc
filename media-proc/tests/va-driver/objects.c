/* Surfaces and images in memory, and buffers. */

#include <stdlib.h>
#include <string.h>

#include "driver.h"

struct driver *of(VADriverContextP ctx)
{
    return ctx->pDriverData;
}

struct surface *surface(struct driver *driver, VASurfaceID id)
{
    bool known = id >= 1 && id <= SURFACES && driver->surfaces[id - 1].samples;
    return known ? &driver->surfaces[id - 1] : NULL;
}

struct buffer *buffer(struct driver *driver, VABufferID id)
{
    bool known = id >= 1 && id <= BUFFERS && driver->buffers[id - 1].used;
    return known ? &driver->buffers[id - 1] : NULL;
}

static VAStatus create_surfaces(VADriverContextP ctx, unsigned format, unsigned width,
                                unsigned height, VASurfaceID *ids, unsigned count,
                                VASurfaceAttrib *attributes, unsigned attribute_count)
{
    (void)attributes, (void)attribute_count;
    if (format != VA_RT_FORMAT_YUV420)
        return VA_STATUS_ERROR_UNSUPPORTED_RT_FORMAT;
    for (unsigned made = 0; made < count; made++) {
        unsigned id = 1;
        while (id <= SURFACES && of(ctx)->surfaces[id - 1].samples)
            id++;
        if (id > SURFACES)
            return VA_STATUS_ERROR_ALLOCATION_FAILED;
        /* Rows are further apart than they are long, and a surface higher than asked for, as usual. */
        struct surface made_of = {.width = width, .height = (height + 31) / 32 * 32,
                                  .pitch = (width + 127) / 128 * 128};
        if (!surface_allocate(node_of(ctx), &made_of))
            return VA_STATUS_ERROR_ALLOCATION_FAILED;
        of(ctx)->surfaces[id - 1] = made_of;
        ids[made] = id;
    }
    return VA_STATUS_SUCCESS;
}

static VAStatus create_surfaces_plain(VADriverContextP ctx, int width, int height, int format,
                                      int count, VASurfaceID *ids)
{
    return create_surfaces(ctx, (unsigned)format, (unsigned)width, (unsigned)height, ids,
                           (unsigned)count, NULL, 0);
}

static VAStatus destroy_surfaces(VADriverContextP ctx, VASurfaceID *ids, int count)
{
    for (int at = 0; at < count; at++) {
        struct surface *gone = surface(of(ctx), ids[at]);
        if (!gone)
            return VA_STATUS_ERROR_INVALID_SURFACE;
        surface_free(node_of(ctx), gone);
    }
    return VA_STATUS_SUCCESS;
}

static VAStatus make_buffer(struct driver *driver, VABufferType type, size_t size, uint8_t *borrowed,
                            VABufferID *id)
{
    for (*id = 1; *id <= BUFFERS && driver->buffers[*id - 1].used; (*id)++)
        ;
    if (*id > BUFFERS)
        return VA_STATUS_ERROR_MAX_NUM_EXCEEDED;
    struct buffer made = {.type = type, .size = size, .data = borrowed, .borrowed = borrowed, .used = true};
    if (!borrowed && !(made.data = calloc(1, size)))
        return VA_STATUS_ERROR_ALLOCATION_FAILED;
    driver->buffers[*id - 1] = made;
    return VA_STATUS_SUCCESS;
}

static VAStatus image_of(struct driver *driver, unsigned width, unsigned height,
                         const struct surface *with, uint8_t *samples, VAImage *image)
{
    *image = (VAImage){.format = {.fourcc = VA_FOURCC_NV12, .byte_order = VA_LSB_FIRST, .bits_per_pixel = 12},
                       .width = (uint16_t)width, .height = (uint16_t)height, .num_planes = 2,
                       .data_size = with->pitch * with->height * 3 / 2,
                       .pitches = {with->pitch, with->pitch}, .offsets = {0, with->pitch * with->height}};
    VAStatus status = make_buffer(driver, VAImageBufferType, image->data_size, samples, &image->buf);
    image->image_id = ANCHOR + image->buf;
    return status;
}

static VAStatus query_image_formats(VADriverContextP ctx, VAImageFormat *list, int *count)
{
    (void)ctx;
    list[0] = (VAImageFormat){.fourcc = VA_FOURCC_NV12, .byte_order = VA_LSB_FIRST, .bits_per_pixel = 12};
    *count = 1;
    return VA_STATUS_SUCCESS;
}

static VAStatus create_image(VADriverContextP ctx, VAImageFormat *format, int width, int height,
                             VAImage *image)
{
    if (format->fourcc != VA_FOURCC_NV12)
        return VA_STATUS_ERROR_INVALID_IMAGE_FORMAT;
    struct surface like = {.pitch = ((unsigned)width + 63) / 64 * 64, .height = (unsigned)height};
    return image_of(of(ctx), (unsigned)width, (unsigned)height, &like, NULL, image);
}

static VAStatus derive_image(VADriverContextP ctx, VASurfaceID id, VAImage *image)
{
    struct surface *from = surface(of(ctx), id);
    if (!from)
        return VA_STATUS_ERROR_INVALID_SURFACE;
    if (!of(ctx)->is.derives)
        return VA_STATUS_ERROR_OPERATION_FAILED;
    return image_of(of(ctx), from->width, from->height, from, from->samples, image);
}

static VAStatus destroy_buffer(VADriverContextP ctx, VABufferID id)
{
    struct buffer *gone = buffer(of(ctx), id);
    if (!gone)
        return VA_STATUS_ERROR_INVALID_BUFFER;
    if (!gone->borrowed)
        free(gone->data);
    *gone = (struct buffer){0};
    return VA_STATUS_SUCCESS;
}

static VAStatus destroy_image(VADriverContextP ctx, VAImageID id)
{
    return destroy_buffer(ctx, id - ANCHOR);
}

static VAStatus put_image(VADriverContextP ctx, VASurfaceID id, VAImageID image, int x, int y,
                          unsigned width, unsigned height, int to_x, int to_y, unsigned to_width,
                          unsigned to_height)
{
    struct surface *to = surface(of(ctx), id);
    struct buffer *from = buffer(of(ctx), image - ANCHOR);
    if (!to || !from || x || y || to_x || to_y || width != to_width || height != to_height)
        return VA_STATUS_ERROR_INVALID_PARAMETER;
    unsigned pitch = (width + 63) / 64 * 64;
    if (width > to->width || height > to->height || from->size != (size_t)pitch * height * 3 / 2)
        return VA_STATUS_ERROR_INVALID_PARAMETER;
    for (unsigned row = 0; row < height; row++)
        memcpy(to->samples + row * to->pitch, from->data + row * pitch, width);
    for (unsigned row = 0; row < height / 2; row++)
        memcpy(to->samples + (to->height + row) * to->pitch, from->data + (height + row) * pitch, width);
    return VA_STATUS_SUCCESS;
}

static VAStatus create_buffer(VADriverContextP ctx, VAContextID context, VABufferType type,
                              unsigned size, unsigned count, void *data, VABufferID *id)
{
    (void)context;
    VAStatus status = make_buffer(of(ctx), type, (size_t)size * count, NULL, id);
    if (status == VA_STATUS_SUCCESS && data)
        memcpy(of(ctx)->buffers[*id - 1].data, data, (size_t)size * count);
    return status;
}

static VAStatus map_buffer(VADriverContextP ctx, VABufferID id, void **at)
{
    struct buffer *mapped = buffer(of(ctx), id);
    if (!mapped)
        return VA_STATUS_ERROR_INVALID_BUFFER;
    *at = mapped->type == VAEncCodedBufferType ? (void *)mapped->segments : mapped->data;
    return VA_STATUS_SUCCESS;
}

static VAStatus unmap_buffer(VADriverContextP ctx, VABufferID id)
{
    return buffer(of(ctx), id) ? VA_STATUS_SUCCESS : VA_STATUS_ERROR_INVALID_BUFFER;
}

void objects_install(struct VADriverVTable *table)
{
    table->vaCreateSurfaces = create_surfaces_plain;
    table->vaCreateSurfaces2 = create_surfaces;
    table->vaDestroySurfaces = destroy_surfaces;
    table->vaQueryImageFormats = query_image_formats;
    table->vaCreateImage = create_image;
    table->vaDeriveImage = derive_image;
    table->vaDestroyImage = destroy_image;
    table->vaPutImage = put_image;
    table->vaCreateBuffer = create_buffer;
    table->vaDestroyBuffer = destroy_buffer;
    table->vaMapBuffer = map_buffer;
    table->vaUnmapBuffer = unmap_buffer;
    table->vaExportSurfaceHandle = export_surface;
}
