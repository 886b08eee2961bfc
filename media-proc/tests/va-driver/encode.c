/* Pictures: parameters and packed headers come in, and a stream of x264's slice data behind them goes out. */

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "driver.h"

static VAStatus create_context(VADriverContextP ctx, VAConfigID config, int width, int height,
                               int flag, VASurfaceID *targets, int count, VAContextID *id)
{
    (void)width, (void)height, (void)flag, (void)targets, (void)count;
    if (config != of(ctx)->config)
        return VA_STATUS_ERROR_INVALID_CONFIG;
    /* A new one may be made before the old one is destroyed, which then encodes no more. */
    coder_close(of(ctx)->coder);
    of(ctx)->coder = coder_open();
    of(ctx)->newest = VA_INVALID_SURFACE;
    *id = ++of(ctx)->context;
    return VA_STATUS_SUCCESS;
}

static VAStatus destroy_context(VADriverContextP ctx, VAContextID id)
{
    if (id != of(ctx)->context)
        return VA_STATUS_SUCCESS;
    coder_close(of(ctx)->coder);
    of(ctx)->coder = NULL;
    of(ctx)->has_sequence = false;
    return VA_STATUS_SUCCESS;
}

static VAStatus begin_picture(VADriverContextP ctx, VAContextID context, VASurfaceID target)
{
    struct driver *driver = of(ctx);
    if (context != driver->context || !driver->coder)
        return VA_STATUS_ERROR_INVALID_CONTEXT;
    if (!surface(driver, target))
        return VA_STATUS_ERROR_INVALID_SURFACE;
    driver->input = target;
    driver->has_picture = driver->has_slice = false;
    memset(driver->packed, 0, sizeof driver->packed);
    driver->packed_next = 0;
    return VA_STATUS_SUCCESS;
}

static bool take(const struct buffer *from, void *to, size_t size)
{
    if (from->size != size)
        return false;
    memcpy(to, from->data, size);
    return true;
}

static VAStatus render(struct driver *driver, const struct buffer *part)
{
    VAEncPackedHeaderParameterBuffer header;
    bool taken = true;
    switch ((int)part->type) {
    case VAEncSequenceParameterBufferType:
        taken = driver->has_sequence = take(part, &driver->sequence, sizeof driver->sequence);
        break;
    case VAEncPictureParameterBufferType:
        taken = driver->has_picture = take(part, &driver->picture, sizeof driver->picture);
        break;
    case VAEncSliceParameterBufferType:
        taken = driver->has_slice = take(part, &driver->slice, sizeof driver->slice);
        break;
    case VAEncPackedHeaderParameterBufferType:
        taken = take(part, &header, sizeof header) && header.type >= 1 && header.type <= 3 &&
                (driver->is.packed & 1u << (header.type - 1));
        if (taken)
            driver->packed[driver->packed_next = header.type].of = header;
        break;
    case VAEncPackedHeaderDataBufferType:
        taken = driver->packed_next && part->size * 8 >= driver->packed[driver->packed_next].of.bit_length;
        driver->packed[driver->packed_next].data = part;
        driver->packed_next = 0;
        break;
    case VAEncMiscParameterBufferType: break; /* frame rate and the like, which change no picture */
    default: return VA_STATUS_ERROR_UNSUPPORTED_BUFFERTYPE;
    }
    return taken ? VA_STATUS_SUCCESS : VA_STATUS_ERROR_INVALID_PARAMETER;
}

static VAStatus render_picture(VADriverContextP ctx, VAContextID context, VABufferID *ids, int count)
{
    (void)context;
    for (int at = 0; at < count; at++) {
        struct buffer *part = buffer(of(ctx), ids[at]);
        VAStatus status = part ? render(of(ctx), part) : VA_STATUS_ERROR_INVALID_BUFFER;
        if (status != VA_STATUS_SUCCESS)
            return status;
    }
    return VA_STATUS_SUCCESS;
}

/* Whether the driver can make what it is told: what hardware does not do is refused, and what is contradictory
 * would be undefined. */
static bool is_possible(const struct driver *driver)
{
    const VAEncPictureParameterBufferH264 *picture = &driver->picture;
    bool idr = picture->pic_fields.bits.idr_pic_flag;
    if (!driver->has_sequence || !driver->has_picture || !driver->has_slice)
        return false;
    if (picture->pic_fields.bits.transform_8x8_mode_flag || picture->pic_fields.bits.entropy_coding_mode_flag)
        return false;
    if (driver->slice.macroblock_address != 0 ||
        driver->slice.num_macroblocks != (uint32_t)driver->sequence.picture_width_in_mbs *
                                             driver->sequence.picture_height_in_mbs)
        return false;
    /* The one reference picture is the one that was reconstructed last. */
    if (!idr && (picture->ReferenceFrames[0].picture_id != driver->newest ||
                 driver->slice.RefPicList0[0].picture_id != driver->newest ||
                 picture->CurrPic.picture_id == driver->newest))
        return false;
    return true;
}

/* The packed header of a kind as a unit without start code; NULL if none was given. */
static uint8_t *packed_unit(const struct driver *driver, uint32_t kind, size_t *bits, uint8_t *header)
{
    if (!driver->packed[kind].data)
        return NULL;
    const uint8_t *data = driver->packed[kind].data->data;
    size_t length = driver->packed[kind].data->size, skipped = 0;
    while (skipped + 1 < length && data[skipped] == 0)
        skipped++;
    if (skipped < 2 || data[skipped] != 1)
        return NULL;
    skipped++;
    *header = data[skipped++];
    *bits = driver->packed[kind].of.bit_length - 8 * skipped;
    if (!driver->packed[kind].of.has_emulation_bytes)
        abort(); /* nothing of ours does that */
    size_t whole = (*bits + 7) / 8, found;
    uint8_t *payload = bits_unwrap(data + skipped, whole, &found);
    *bits -= 8 * (whole - found);
    return payload;
}

static void append_set(const struct driver *driver, uint32_t kind, struct stream *stream)
{
    const struct buffer *data = driver->packed[kind].data;
    if (data)
        stream_append_unit(stream, data->data, driver->packed[kind].of.bit_length / 8);
    else if (kind == VAEncPackedHeaderSequence)
        write_sequence_set(stream, &driver->sequence);
    else
        write_picture_set(stream, &driver->picture);
}

static bool encode(struct driver *driver, struct stream *stream)
{
    bool idr = driver->picture.pic_fields.bits.idr_pic_flag;
    if (idr) {
        append_set(driver, VAEncPackedHeaderSequence, stream);
        append_set(driver, VAEncPackedHeaderPicture, stream);
    }
    int quantizer = driver->picture.pic_init_qp;
    if (!driver->is.ignores_delta)
        quantizer += driver->slice.slice_qp_delta;
    struct bits payload = {0};
    uint8_t header = idr ? 0x65 : 0x41;
    size_t bits;
    uint8_t *packed = packed_unit(driver, VAEncPackedHeaderSlice, &bits, &header);
    if (packed) {
        bits_copy(&payload, packed, 0, bits);
        free(packed);
    } else {
        if (driver->is.ignores_delta)
            driver->slice.slice_qp_delta = 0;
        write_slice_header(&payload, &driver->sequence, &driver->picture, &driver->slice);
        if (driver->is.zero_header)
            header = 0;
    }
    struct surface *decoded = surface(driver, driver->picture.CurrPic.picture_id);
    if (!decoded || !coder_encode(driver->coder, &driver->sequence, &driver->picture, &driver->slice,
                                  quantizer, surface(driver, driver->input), decoded, &payload))
        return false;
    stream_append(stream, header, &payload);
    driver->newest = driver->picture.CurrPic.picture_id;
    surface_tell(driver->is.log, &driver->sequence, decoded, idr, quantizer);
    return true;
}

/* Puts the stream into the coded buffer, in one segment or in one for each unit. */
static bool put_out(const struct driver *driver, const struct stream *stream, struct buffer *to)
{
    unsigned segments = driver->is.segment_per_unit ? stream->units : 1;
    if (stream->count > to->size || segments > CODED_ROOM)
        return false;
    memcpy(to->data, stream->bytes, stream->count);
    for (unsigned at = 0; at < segments; at++) {
        size_t begin = segments == 1 ? 0 : stream->starts[at];
        size_t end = at + 1 == segments ? stream->count : stream->starts[at + 1];
        to->segments[at] = (VACodedBufferSegment){.size = (uint32_t)(end - begin), .buf = to->data + begin,
                                                  .next = at + 1 == segments ? NULL : &to->segments[at + 1]};
    }
    return true;
}

static void spoil(enum fault fault, struct buffer *coded)
{
    VACodedBufferSegment *first = &coded->segments[0];
    switch (fault) {
    case WRITES_GARBAGE: memset(first->buf, 0xA5, first->size); break;
    case TRUNCATES: first->size /= 2; first->next = NULL; break;
    case OVERFLOWS: first->status |= VA_CODED_BUF_STATUS_SLICE_OVERFLOW_MASK; break;
    default: break;
    }
}

static VAStatus end_picture(VADriverContextP ctx, VAContextID context)
{
    (void)context;
    struct driver *driver = of(ctx);
    bool faulty = driver->is.fault != NO_FAULT && ++driver->pictures >= driver->is.at;
    if (faulty && driver->is.fault == ABORTS)
        abort();
    if (faulty && driver->is.fault == FAILS)
        return VA_STATUS_ERROR_ENCODING_ERROR;
    if (faulty && driver->is.fault == HANGS)
        driver->hung = driver->input;
    struct buffer *coded = buffer(driver, driver->picture.coded_buf);
    if (!is_possible(driver) || !coded || coded->type != VAEncCodedBufferType)
        return VA_STATUS_ERROR_INVALID_PARAMETER;
    struct stream stream = {0};
    bool made = encode(driver, &stream) && put_out(driver, &stream, coded);
    free(stream.bytes);
    if (!made)
        return VA_STATUS_ERROR_ENCODING_ERROR;
    if (faulty)
        spoil(driver->is.fault, coded);
    return VA_STATUS_SUCCESS;
}

static VAStatus sync_surface(VADriverContextP ctx, VASurfaceID id)
{
    if (!surface(of(ctx), id))
        return VA_STATUS_ERROR_INVALID_SURFACE;
    /* What is confined may wait for descriptors, and not for a signal. */
    while (of(ctx)->hung == id)
        poll(NULL, 0, -1);
    return VA_STATUS_SUCCESS;
}

static VAStatus query_surface_status(VADriverContextP ctx, VASurfaceID id, VASurfaceStatus *status)
{
    *status = of(ctx)->hung == id ? VASurfaceRendering : VASurfaceReady;
    return VA_STATUS_SUCCESS;
}

void encode_install(struct VADriverVTable *table)
{
    table->vaCreateContext = create_context;
    table->vaDestroyContext = destroy_context;
    table->vaBeginPicture = begin_picture;
    table->vaRenderPicture = render_picture;
    table->vaEndPicture = end_picture;
    table->vaSyncSurface = sync_surface;
    table->vaQuerySurfaceStatus = query_surface_status;
}
