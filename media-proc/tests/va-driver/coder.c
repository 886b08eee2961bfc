/* x264, whose slice data goes behind a slice header of another maker: so a stream decodes to what x264
 * reconstructed only if that header is right. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "driver.h"

struct coder {
    x264_t *x264;
    unsigned columns, rows;
    int deblocking;
    unsigned frame_num_bits;
    int64_t pictures;
};

struct coder *coder_open(void)
{
    return calloc(1, sizeof(struct coder));
}

void coder_close(struct coder *coder)
{
    if (!coder)
        return;
    if (coder->x264)
        x264_encoder_close(coder->x264);
    free(coder);
}

static bool open_x264(struct coder *coder, const VAEncSequenceParameterBufferH264 *sequence,
                      int deblocking)
{
    x264_param_t parameters;
    if (x264_param_default_preset(&parameters, "superfast", "zerolatency") != 0)
        return false;
    coder->columns = sequence->picture_width_in_mbs;
    coder->rows = sequence->picture_height_in_mbs;
    coder->deblocking = deblocking;
    parameters.i_width = (int)coder->columns * 16;
    parameters.i_height = (int)coder->rows * 16;
    parameters.i_csp = X264_CSP_NV12;
    parameters.i_level_idc = sequence->level_idc;
    parameters.i_log_level = X264_LOG_ERROR;
    parameters.i_threads = 1;
    parameters.b_sliced_threads = 0;
    parameters.i_frame_reference = 1;
    parameters.i_bframe = 0;
    parameters.i_keyint_max = X264_KEYINT_MAX_INFINITE;
    parameters.i_scenecut_threshold = 0;
    parameters.b_cabac = 0;
    parameters.b_deblocking_filter = deblocking != 1;
    parameters.analyse.b_transform_8x8 = 0;
    parameters.analyse.i_weighted_pred = 0;
    parameters.analyse.b_psy = 0;
    parameters.rc.i_rc_method = X264_RC_CQP;
    /* Each picture brings its own quantizer, which x264 clips to the range of its constant ones. */
    parameters.rc.i_qp_constant = 32;
    parameters.rc.f_ip_factor = 0.1f;
    parameters.rc.f_pb_factor = 0.01f;
    parameters.rc.i_aq_mode = 0;
    parameters.rc.b_mb_tree = 0;
    if (coder->x264)
        x264_encoder_close(coder->x264);
    coder->x264 = x264_encoder_open(&parameters);
    return coder->x264;
}

/* Behind its header, where the data of a slice of x264 begins. */
static size_t slice_data(const struct coder *coder, const uint8_t *payload, size_t length, bool idr)
{
    struct reader from = {.bytes = payload, .end = length * 8};
    read_unsigned(&from); /* first_mb_in_slice */
    bool predicted = read_unsigned(&from) % 5 == 0;
    read_unsigned(&from); /* pic_parameter_set_id */
    read_bits(&from, coder->frame_num_bits);
    if (idr)
        read_unsigned(&from); /* idr_pic_id */
    if (predicted) {
        if (read_bits(&from, 1))
            read_unsigned(&from); /* num_ref_idx_l0_active_minus1 */
        if (read_bits(&from, 1))
            abort(); /* with one reference picture nothing is reordered */
    }
    read_bits(&from, idr ? 2 : 1); /* dec_ref_pic_marking */
    read_signed(&from);            /* slice_qp_delta */
    if (read_unsigned(&from) != 1) {
        read_signed(&from);
        read_signed(&from);
    }
    return from.at;
}

static unsigned frame_num_bits(const x264_nal_t *unit)
{
    size_t length;
    uint8_t *payload = bits_unwrap(unit->p_payload + 5, (size_t)unit->i_payload - 5, &length);
    struct reader from = {.bytes = payload, .at = 24, .end = length * 8};
    read_unsigned(&from); /* seq_parameter_set_id */
    unsigned bits = read_unsigned(&from) + 4;
    if (read_unsigned(&from) != 2)
        abort(); /* without pictures of kind B it needs no order of its own */
    free(payload);
    return bits;
}

static void copy_slice(const struct coder *coder, const x264_nal_t *unit, struct bits *to)
{
    /* Behind a start code of three or four bytes. */
    int skipped = (unit->p_payload[2] == 1 ? 3 : 4) + 1;
    size_t length;
    uint8_t *payload =
        bits_unwrap(unit->p_payload + skipped, (size_t)(unit->i_payload - skipped), &length);
    size_t begin = slice_data(coder, payload, length, unit->i_type == NAL_SLICE_IDR);
    bits_copy(to, payload, begin, bits_stop(payload, length));
    free(payload);
}

static void keep_decoded(const struct coder *coder, const x264_image_t *image, struct surface *to)
{
    for (unsigned row = 0; row < coder->rows * 16; row++)
        memcpy(to->samples + row * to->pitch, image->plane[0] + row * image->i_stride[0],
               coder->columns * 16);
    for (unsigned row = 0; row < coder->rows * 8; row++)
        memcpy(to->samples + (to->height + row) * to->pitch,
               image->plane[1] + row * image->i_stride[1], coder->columns * 16);
}

bool coder_encode(struct coder *coder, const VAEncSequenceParameterBufferH264 *sequence,
                  const VAEncPictureParameterBufferH264 *picture,
                  const VAEncSliceParameterBufferH264 *slice, int quantizer,
                  const struct surface *input, struct surface *decoded, struct bits *payload)
{
    bool idr = picture->pic_fields.bits.idr_pic_flag;
    bool fits = coder->x264 && coder->columns == sequence->picture_width_in_mbs &&
                coder->rows == sequence->picture_height_in_mbs &&
                coder->deblocking == slice->disable_deblocking_filter_idc;
    if (!fits && (!idr || !open_x264(coder, sequence, slice->disable_deblocking_filter_idc)))
        return false;
    unsigned width = coder->columns * 16, height = coder->rows * 16;
    /* There is more room than was asked for, for whole macroblocks. */
    if (input->pitch < width || input->height < height || decoded->pitch < width ||
        decoded->height < height)
        return false;
    x264_picture_t in, out;
    x264_picture_init(&in);
    in.i_type = idr ? X264_TYPE_IDR : slice->slice_type % 5 == 2 ? X264_TYPE_I : X264_TYPE_P;
    in.i_qpplus1 = quantizer + 1;
    in.i_pts = coder->pictures++;
    in.img.i_csp = X264_CSP_NV12;
    in.img.i_plane = 2;
    in.img.i_stride[0] = in.img.i_stride[1] = (int)input->pitch;
    in.img.plane[0] = input->samples;
    in.img.plane[1] = input->samples + input->pitch * input->height;
    x264_nal_t *units;
    int count;
    if (x264_encoder_encode(coder->x264, &units, &count, &in, &out) <= 0)
        return false;
    for (int at = 0; at < count; at++) {
        if (units[at].i_type == NAL_SPS)
            coder->frame_num_bits = frame_num_bits(&units[at]);
        if (units[at].i_type == NAL_SLICE || units[at].i_type == NAL_SLICE_IDR)
            copy_slice(coder, &units[at], payload);
    }
    keep_decoded(coder, &out.img, decoded);
    return true;
}

static uint64_t hash(uint64_t before, uint8_t byte)
{
    return (before ^ byte) * 0x100000001b3;
}

void surface_tell(const char *log, const VAEncSequenceParameterBufferH264 *sequence,
                  const struct surface *decoded, bool idr, int quantizer)
{
    /* A process that is confined opens no file. */
    bool spoken = strcmp(log, "-") == 0;
    FILE *file = spoken ? stderr : log[0] ? fopen(log, "a") : NULL;
    if (!file)
        return;
    unsigned width = sequence->picture_width_in_mbs * 16u, height = sequence->picture_height_in_mbs * 16u;
    if (sequence->frame_cropping_flag) {
        width -= 2 * sequence->frame_crop_right_offset;
        height -= 2 * sequence->frame_crop_bottom_offset;
    }
    uint64_t all = 0xcbf29ce484222325;
    for (unsigned row = 0; row < height; row++)
        for (unsigned column = 0; column < width; column++)
            all = hash(all, decoded->samples[row * decoded->pitch + column]);
    for (unsigned which = 0; which < 2; which++)
        for (unsigned row = 0; row < height / 2; row++)
            for (unsigned column = 0; column < width / 2; column++)
                all = hash(all, decoded->samples[(decoded->height + row) * decoded->pitch +
                                                 2 * column + which]);
    fprintf(file, "%s%s %d %016llx\n", spoken ? "reconstructed " : "", idr ? "idr" : "p", quantizer,
            (unsigned long long)all);
    if (!spoken)
        fclose(file);
}
