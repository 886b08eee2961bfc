/* Headers that the driver writes itself, from VA-API's parameters, where the application packs none (H.264,
 * sections 7.3.2.1.1, 7.3.2.2 and 7.3.3). */

#include <stdlib.h>
#include <string.h>

#include "driver.h"

static void append(struct stream *to, uint8_t byte)
{
    if (to->count == to->room) {
        to->room = to->room * 2 + 4096;
        to->bytes = realloc(to->bytes, to->room);
        if (!to->bytes)
            abort();
    }
    to->bytes[to->count++] = byte;
}

static void begin(struct stream *to)
{
    if (to->units == sizeof to->starts / sizeof *to->starts)
        abort();
    to->starts[to->units++] = to->count;
}

void stream_append(struct stream *to, uint8_t header, struct bits *payload)
{
    bits_put(payload, 1, 1);
    size_t length = (payload->count + 7) / 8;
    begin(to);
    append(to, 0);
    append(to, 0);
    append(to, 0);
    append(to, 1);
    append(to, header);
    unsigned zeros = 0;
    for (size_t at = 0; at < length; at++) {
        if (zeros == 2 && payload->bytes[at] <= 3) {
            append(to, 3);
            zeros = 0;
        }
        append(to, payload->bytes[at]);
        zeros = payload->bytes[at] == 0 ? zeros + 1 : 0;
    }
    free(payload->bytes);
    *payload = (struct bits){0};
}

void stream_append_unit(struct stream *to, const uint8_t *unit, size_t length)
{
    begin(to);
    for (size_t at = 0; at < length; at++)
        append(to, unit[at]);
}

void write_sequence_set(struct stream *to, const VAEncSequenceParameterBufferH264 *sequence)
{
    struct bits bits = {0};
    bits_put(&bits, 8, 66);   /* profile_idc */
    bits_put(&bits, 8, 0xC0); /* constraint flags */
    bits_put(&bits, 8, sequence->level_idc);
    bits_unsigned(&bits, sequence->seq_parameter_set_id);
    bits_unsigned(&bits, sequence->seq_fields.bits.log2_max_frame_num_minus4);
    bits_unsigned(&bits, sequence->seq_fields.bits.pic_order_cnt_type);
    if (sequence->seq_fields.bits.pic_order_cnt_type == 0)
        bits_unsigned(&bits, sequence->seq_fields.bits.log2_max_pic_order_cnt_lsb_minus4);
    bits_unsigned(&bits, sequence->max_num_ref_frames);
    bits_put(&bits, 1, 0); /* gaps_in_frame_num_value_allowed_flag */
    bits_unsigned(&bits, sequence->picture_width_in_mbs - 1u);
    bits_unsigned(&bits, sequence->picture_height_in_mbs - 1u);
    bits_put(&bits, 1, sequence->seq_fields.bits.frame_mbs_only_flag);
    bits_put(&bits, 1, sequence->seq_fields.bits.direct_8x8_inference_flag);
    bits_put(&bits, 1, sequence->frame_cropping_flag);
    if (sequence->frame_cropping_flag) {
        bits_unsigned(&bits, sequence->frame_crop_left_offset);
        bits_unsigned(&bits, sequence->frame_crop_right_offset);
        bits_unsigned(&bits, sequence->frame_crop_top_offset);
        bits_unsigned(&bits, sequence->frame_crop_bottom_offset);
    }
    bits_put(&bits, 1, 0); /* vui_parameters_present_flag */
    stream_append(to, 0x67, &bits);
}

void write_picture_set(struct stream *to, const VAEncPictureParameterBufferH264 *picture)
{
    struct bits bits = {0};
    bits_unsigned(&bits, picture->pic_parameter_set_id);
    bits_unsigned(&bits, picture->seq_parameter_set_id);
    bits_put(&bits, 1, picture->pic_fields.bits.entropy_coding_mode_flag);
    bits_put(&bits, 1, picture->pic_fields.bits.pic_order_present_flag);
    bits_unsigned(&bits, 0); /* num_slice_groups_minus1 */
    bits_unsigned(&bits, picture->num_ref_idx_l0_active_minus1);
    bits_unsigned(&bits, picture->num_ref_idx_l1_active_minus1);
    bits_put(&bits, 1, picture->pic_fields.bits.weighted_pred_flag);
    bits_put(&bits, 2, picture->pic_fields.bits.weighted_bipred_idc);
    bits_signed(&bits, picture->pic_init_qp - 26);
    bits_signed(&bits, 0); /* pic_init_qs_minus26 */
    bits_signed(&bits, picture->chroma_qp_index_offset);
    bits_put(&bits, 1, picture->pic_fields.bits.deblocking_filter_control_present_flag);
    bits_put(&bits, 1, picture->pic_fields.bits.constrained_intra_pred_flag);
    bits_put(&bits, 1, picture->pic_fields.bits.redundant_pic_cnt_present_flag);
    stream_append(to, 0x68, &bits);
}

void write_slice_header(struct bits *to, const VAEncSequenceParameterBufferH264 *sequence,
                        const VAEncPictureParameterBufferH264 *picture,
                        const VAEncSliceParameterBufferH264 *slice)
{
    bits_unsigned(to, slice->macroblock_address);
    bits_unsigned(to, slice->slice_type);
    bits_unsigned(to, slice->pic_parameter_set_id);
    bits_put(to, sequence->seq_fields.bits.log2_max_frame_num_minus4 + 4u, picture->frame_num);
    if (picture->pic_fields.bits.idr_pic_flag)
        bits_unsigned(to, slice->idr_pic_id);
    if (sequence->seq_fields.bits.pic_order_cnt_type == 0)
        bits_put(to, sequence->seq_fields.bits.log2_max_pic_order_cnt_lsb_minus4 + 4u,
                 slice->pic_order_cnt_lsb);
    if (slice->slice_type % 5 == 0) {
        bits_put(to, 1, slice->num_ref_idx_active_override_flag);
        if (slice->num_ref_idx_active_override_flag)
            bits_unsigned(to, slice->num_ref_idx_l0_active_minus1);
        bits_put(to, 1, 0); /* ref_pic_list_modification_flag_l0 */
    }
    if (picture->pic_fields.bits.idr_pic_flag)
        bits_put(to, 2, 0); /* no_output_of_prior_pics_flag, long_term_reference_flag */
    else
        bits_put(to, 1, 0); /* adaptive_ref_pic_marking_mode_flag */
    bits_signed(to, slice->slice_qp_delta);
    if (picture->pic_fields.bits.deblocking_filter_control_present_flag) {
        bits_unsigned(to, slice->disable_deblocking_filter_idc);
        if (slice->disable_deblocking_filter_idc != 1) {
            bits_signed(to, slice->slice_alpha_c0_offset_div2);
            bits_signed(to, slice->slice_beta_offset_div2);
        }
    }
}
