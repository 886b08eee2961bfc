/* What the driver offers, and its beginning and end. */

#include <stdlib.h>

#include "driver.h"

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

static VAStatus destroy_config(VADriverContextP ctx, VAConfigID id)
{
    (void)ctx, (void)id;
    return VA_STATUS_SUCCESS;
}

static VAStatus terminate(VADriverContextP ctx)
{
    for (unsigned at = 0; at < SURFACES; at++)
        free(of(ctx)->surfaces[at].samples);
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
    objects_install(ctx->vtable);
    encode_install(ctx->vtable);
    return VA_STATUS_SUCCESS;
}
