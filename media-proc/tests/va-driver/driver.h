/* A VA-API driver for tests; ../vaapi says what for. */

#ifndef LUMEN_TEST_VA_DRIVER_H
#define LUMEN_TEST_VA_DRIVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <va/va.h>
#include <va/va_enc_h264.h>
#include <va/va_backend.h>
#include <x264.h>

/* --- personality.c: what kind of driver it is, from the file that LUMEN_TEST_VA names --- */

enum fault { NO_FAULT, FAILS, HANGS, WRITES_GARBAGE, TRUNCATES, OVERFLOWS, ABORTS };

struct personality {
    bool slice, low_power;     /* entry points */
    uint32_t rate_control;     /* VA_RC_* */
    uint32_t packed;           /* VA_ENC_PACKED_HEADER_* */
    uint32_t most;             /* the longest side of a picture */
    bool derives;              /* whether vaDeriveImage works */
    bool exports;              /* whether vaExportSurfaceHandle works */
    bool segment_per_unit;     /* each NAL unit in a segment of its own */
    bool zero_header;          /* without a packed slice header its NAL unit begins with a zero */
    bool ignores_delta;        /* the quantizer is always that of the picture parameter set */
    enum fault fault;
    unsigned at;               /* with which picture the fault begins, from one */
    char log[256];             /* where the reconstructed pictures are told */
};

struct personality personality_read(void);

/* --- bits.c: the raw byte sequence payload (H.264, section 7.2) --- */

struct bits {
    uint8_t *bytes;
    size_t count, room; /* in bits */
};

void bits_put(struct bits *to, unsigned count, uint32_t value);
void bits_unsigned(struct bits *to, uint32_t value);
void bits_signed(struct bits *to, int32_t value);
void bits_copy(struct bits *to, const uint8_t *from, size_t begin, size_t end);
/* A payload without emulation prevention. */
uint8_t *bits_unwrap(const uint8_t *unit, size_t length, size_t *found);
/* Where the stop bit of a payload is. */
size_t bits_stop(const uint8_t *payload, size_t length);

struct reader {
    const uint8_t *bytes;
    size_t at, end; /* in bits */
};

uint32_t read_bits(struct reader *from, unsigned count);
uint32_t read_unsigned(struct reader *from);
int32_t read_signed(struct reader *from);

/* --- headers.c: headers that the driver writes itself where none are packed --- */

struct stream {
    uint8_t *bytes;
    size_t count, room;
    size_t starts[8]; /* of units */
    unsigned units;
};

/* Ends a payload and appends it as a NAL unit. */
void stream_append(struct stream *to, uint8_t header, struct bits *payload);
/* Appends a NAL unit with its start code. */
void stream_append_unit(struct stream *to, const uint8_t *unit, size_t length);
void write_sequence_set(struct stream *to, const VAEncSequenceParameterBufferH264 *sequence);
void write_picture_set(struct stream *to, const VAEncPictureParameterBufferH264 *picture);
void write_slice_header(struct bits *to, const VAEncSequenceParameterBufferH264 *sequence,
                        const VAEncPictureParameterBufferH264 *picture,
                        const VAEncSliceParameterBufferH264 *slice);

/* --- coder.c: x264, whose slice data goes behind other headers --- */

struct surface {
    unsigned width, height, pitch;
    uint8_t *samples; /* NV12 */
    size_t size;
    uint32_t handle; /* the device's name of its memory, or none */
    int file;        /* its memory, or none */
};

struct coder;

struct coder *coder_open(void);
void coder_close(struct coder *coder);
/* Encodes `input`, and puts the decoded picture into `decoded`. The slice data is appended to `slice`, which
 * holds the slice header. */
bool coder_encode(struct coder *coder, const VAEncSequenceParameterBufferH264 *sequence,
                  const VAEncPictureParameterBufferH264 *picture,
                  const VAEncSliceParameterBufferH264 *slice, int quantizer,
                  const struct surface *input, struct surface *decoded, struct bits *payload);

/* Tells the visible part of a decoded picture as a hash (FNV-1a of 64 bits over all of Y, U and V). */
void surface_tell(const char *log, const VAEncSequenceParameterBufferH264 *sequence,
                  const struct surface *decoded, bool idr, int quantizer);

/* --- objects.c: surfaces, images and buffers, numbers that count from one in their tables --- */

enum { SURFACES = 64, BUFFERS = 256, ANCHOR = 0x1000, CODED_ROOM = 16 };

struct buffer {
    VABufferType type;
    size_t size;
    uint8_t *data;
    bool borrowed; /* an image of a surface */
    bool used;
    VACodedBufferSegment segments[CODED_ROOM];
};

struct driver {
    struct personality is;
    struct surface surfaces[SURFACES];
    struct buffer buffers[BUFFERS];
    VAConfigID config;
    VAContextID context; /* the newest */
    struct coder *coder;
    unsigned pictures;
    VASurfaceID input, newest;
    VASurfaceID hung;
    /* What the picture that is being rendered consists of. */
    VAEncSequenceParameterBufferH264 sequence;
    VAEncPictureParameterBufferH264 picture;
    VAEncSliceParameterBufferH264 slice;
    bool has_sequence, has_picture, has_slice;
    struct {
        const struct buffer *data;
        VAEncPackedHeaderParameterBuffer of;
    } packed[4]; /* by type */
    uint32_t packed_next;
};

struct driver *of(VADriverContextP ctx);
struct surface *surface(struct driver *driver, VASurfaceID id);
struct buffer *buffer(struct driver *driver, VABufferID id);
void objects_install(struct VADriverVTable *table);

/* --- memory.c: memory of surfaces, which others can use --- */

/* Memory for a surface whose height and pitch are set. */
bool surface_allocate(int node, struct surface *surface);
void surface_free(int node, struct surface *surface);
VAStatus export_surface(VADriverContextP ctx, VASurfaceID id, uint32_t type, uint32_t flags,
                        void *descriptor);
/* The descriptor of the device. */
int node_of(VADriverContextP ctx);

/* --- encode.c: pictures --- */

void encode_install(struct VADriverVTable *table);

#endif
