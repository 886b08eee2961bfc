/* What the driver offers, and its beginning and end. */

#include <stdlib.h>

#include <va/va_drmcommon.h>

#include "driver.h"

int node_of(VADriverContextP ctx)
{
    return ((struct drm_state *)ctx->drm_state)->fd;
}

static VAStatus query_profiles(VADriverContextP ctx, VAProfile *list, int *count)
{
    (void)ctx;
    list[0] = VAProfileH264ConstrainedBaseline;
    list[1] = VAProfileH264Main;
    *count = 2;
    return VA_STATUS_SUCCESS;
}

static VAStatus query_entrypoints(VADriverContextP ctx, VAProfile profile, VAEntrypoint *list,
                                  int *count)
{
    (void)profile;
    *count = 0;
    if (of(ctx)->is.slice)
        list[(*count)++] = VAEntrypointEncSlice;
    if (of(ctx)->is.low_power)
        list[(*count)++] = VAEntrypointEncSliceLP;
    return VA_STATUS_SUCCESS;
}

static VAStatus get_attributes(VADriverContextP ctx, VAProfile profile, VAEntrypoint entrypoint,
                               VAConfigAttrib *list, int count)
{
    (void)profile;
    bool slice = entrypoint == VAEntrypointEncSlice && of(ctx)->is.slice;
    if (!slice && !(entrypoint == VAEntrypointEncSliceLP && of(ctx)->is.low_power))
        return VA_STATUS_ERROR_UNSUPPORTED_ENTRYPOINT;
    for (int at = 0; at < count; at++)
        switch (list[at].type) {
        case VAConfigAttribRTFormat: list[at].value = VA_RT_FORMAT_YUV420; break;
        case VAConfigAttribRateControl: list[at].value = of(ctx)->is.rate_control; break;
        case VAConfigAttribEncPackedHeaders:
            list[at].value = of(ctx)->is.packed ? of(ctx)->is.packed : VA_ATTRIB_NOT_SUPPORTED;
            break;
        case VAConfigAttribEncMaxRefFrames: list[at].value = 1; break; /* no picture of kind B */
        case VAConfigAttribMaxPictureWidth:
        case VAConfigAttribMaxPictureHeight: list[at].value = of(ctx)->is.most; break;
        default: list[at].value = VA_ATTRIB_NOT_SUPPORTED;
        }
    return VA_STATUS_SUCCESS;
}

static VAStatus create_config(VADriverContextP ctx, VAProfile profile, VAEntrypoint entrypoint,
                              VAConfigAttrib *list, int count, VAConfigID *id)
{
    struct personality *is = &of(ctx)->is;
    bool slice = entrypoint == VAEntrypointEncSlice && is->slice;
    if (!slice && !(entrypoint == VAEntrypointEncSliceLP && is->low_power))
        return VA_STATUS_ERROR_UNSUPPORTED_ENTRYPOINT;
    if (profile != VAProfileH264ConstrainedBaseline)
        return VA_STATUS_ERROR_UNSUPPORTED_PROFILE;
    for (int at = 0; at < count; at++) {
        if (list[at].type == VAConfigAttribRateControl && list[at].value != VA_RC_CQP)
            return VA_STATUS_ERROR_INVALID_CONFIG; /* drivers claim others, and fail */
        if (list[at].type == VAConfigAttribEncPackedHeaders && (list[at].value & ~is->packed) != 0)
            return VA_STATUS_ERROR_INVALID_CONFIG;
    }
    *id = of(ctx)->config = 1;
    return VA_STATUS_SUCCESS;
}

static VASurfaceAttrib attribute(VASurfaceAttribType type, uint32_t flags, int value)
{
    VAGenericValue is = {.type = VAGenericValueTypeInteger, .value.i = value};
    return (VASurfaceAttrib){.type = type, .flags = flags, .value = is};
}

/* libva's users ask for these; media knows what it wants. */
static VAStatus query_surface_attributes(VADriverContextP ctx, VAConfigID id, VASurfaceAttrib *list,
                                         unsigned *count)
{
    const uint32_t memory = VA_SURFACE_ATTRIB_MEM_TYPE_VA | VA_SURFACE_ATTRIB_MEM_TYPE_DRM_PRIME_2;
    const VASurfaceAttrib all[] = {
        attribute(VASurfaceAttribPixelFormat, VA_SURFACE_ATTRIB_GETTABLE | VA_SURFACE_ATTRIB_SETTABLE,
                  VA_FOURCC_NV12),
        attribute(VASurfaceAttribMemoryType, VA_SURFACE_ATTRIB_GETTABLE, (int)memory),
        attribute(VASurfaceAttribMinWidth, VA_SURFACE_ATTRIB_GETTABLE, 16),
        attribute(VASurfaceAttribMinHeight, VA_SURFACE_ATTRIB_GETTABLE, 16),
        attribute(VASurfaceAttribMaxWidth, VA_SURFACE_ATTRIB_GETTABLE, (int)of(ctx)->is.most),
        attribute(VASurfaceAttribMaxHeight, VA_SURFACE_ATTRIB_GETTABLE, (int)of(ctx)->is.most),
    };
    const unsigned most = sizeof all / sizeof *all;
    unsigned room = list ? *count : most;
    if (id != of(ctx)->config)
        return VA_STATUS_ERROR_INVALID_CONFIG;
    *count = most;
    if (room < most)
        return VA_STATUS_ERROR_MAX_NUM_EXCEEDED;
    for (unsigned at = 0; list && at < most; at++)
        list[at] = all[at];
    return VA_STATUS_SUCCESS;
}

static VAStatus destroy_config(VADriverContextP ctx, VAConfigID id)
{
    (void)ctx, (void)id;
    return VA_STATUS_SUCCESS;
}

static VAStatus terminate(VADriverContextP ctx)
{
    for (unsigned at = 0; at < SURFACES; at++)
        surface_free(node_of(ctx), &of(ctx)->surfaces[at]);
    for (unsigned at = 0; at < BUFFERS; at++)
        if (!of(ctx)->buffers[at].borrowed)
            free(of(ctx)->buffers[at].data);
    coder_close(of(ctx)->coder);
    free(of(ctx));
    ctx->pDriverData = NULL;
    return VA_STATUS_SUCCESS;
}

static VAStatus lacking(void)
{
    return VA_STATUS_ERROR_UNIMPLEMENTED;
}

/* libva refuses a driver that lacks one of these. */
static void install_lacking(struct VADriverVTable *table)
{
    table->vaQueryConfigAttributes = (void *)lacking;
    table->vaBufferSetNumElements = (void *)lacking;
    table->vaSetImagePalette = (void *)lacking;
    table->vaGetImage = (void *)lacking;
    table->vaQuerySubpictureFormats = (void *)lacking;
    table->vaCreateSubpicture = (void *)lacking;
    table->vaDestroySubpicture = (void *)lacking;
    table->vaSetSubpictureImage = (void *)lacking;
    table->vaSetSubpictureChromakey = (void *)lacking;
    table->vaSetSubpictureGlobalAlpha = (void *)lacking;
    table->vaAssociateSubpicture = (void *)lacking;
    table->vaDeassociateSubpicture = (void *)lacking;
    table->vaQueryDisplayAttributes = (void *)lacking;
    table->vaGetDisplayAttributes = (void *)lacking;
    table->vaSetDisplayAttributes = (void *)lacking;
}

/* Any newer libva of the same major version looks for this, too. */
__attribute__((visibility("default"))) VAStatus __vaDriverInit_1_10(VADriverContextP ctx)
{
    struct driver *driver = calloc(1, sizeof *driver);
    if (!driver)
        return VA_STATUS_ERROR_ALLOCATION_FAILED;
    driver->is = personality_read();
    driver->newest = VA_INVALID_SURFACE;
    ctx->pDriverData = driver;
    ctx->version_major = 1;
    ctx->version_minor = 10;
    ctx->max_profiles = 4;
    ctx->max_entrypoints = 4;
    ctx->max_attributes = 16;
    ctx->max_image_formats = 4;
    ctx->max_subpic_formats = 1;
    ctx->max_display_attributes = 1;
    ctx->str_vendor = "Lumen's test driver";
    install_lacking(ctx->vtable);
    ctx->vtable->vaTerminate = terminate;
    ctx->vtable->vaQueryConfigProfiles = query_profiles;
    ctx->vtable->vaQueryConfigEntrypoints = query_entrypoints;
    ctx->vtable->vaGetConfigAttributes = get_attributes;
    ctx->vtable->vaCreateConfig = create_config;
    ctx->vtable->vaDestroyConfig = destroy_config;
    ctx->vtable->vaQuerySurfaceAttributes = query_surface_attributes;
    objects_install(ctx->vtable);
    encode_install(ctx->vtable);
    return VA_STATUS_SUCCESS;
}
