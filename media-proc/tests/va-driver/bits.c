/* Bits of the raw byte sequence payload (H.264, sections 7.2, 7.3.1 and 9.1). */

#include <stdlib.h>
#include <string.h>

#include "driver.h"

static void make_room(struct bits *to, size_t more)
{
    size_t needed = to->count + more + 64;
    if (needed <= to->room)
        return;
    size_t before = to->room / 8, after = needed * 2 / 8 + 1;
    to->bytes = realloc(to->bytes, after);
    if (!to->bytes)
        abort();
    memset(to->bytes + before, 0, after - before);
    to->room = after * 8;
}

static void put_bit(struct bits *to, bool bit)
{
    if (bit)
        to->bytes[to->count / 8] |= 0x80 >> to->count % 8;
    to->count++;
}

void bits_put(struct bits *to, unsigned count, uint32_t value)
{
    make_room(to, count);
    while (count-- > 0)
        put_bit(to, value >> count & 1);
}

void bits_unsigned(struct bits *to, uint32_t value)
{
    unsigned length = 32 - (unsigned)__builtin_clz(value + 1);
    bits_put(to, length - 1, 0);
    bits_put(to, length, value + 1);
}

void bits_signed(struct bits *to, int32_t value)
{
    bits_unsigned(to, value > 0 ? 2 * (uint32_t)value - 1 : 2 * (uint32_t)-value);
}

void bits_copy(struct bits *to, const uint8_t *from, size_t begin, size_t end)
{
    make_room(to, end - begin);
    for (size_t at = begin; at < end; at++)
        put_bit(to, from[at / 8] >> (7 - at % 8) & 1);
}

uint8_t *bits_unwrap(const uint8_t *unit, size_t length, size_t *found)
{
    uint8_t *payload = malloc(length + 1);
    if (!payload)
        abort();
    unsigned zeros = 0;
    *found = 0;
    for (size_t at = 0; at < length; at++) {
        if (zeros >= 2 && unit[at] == 3) {
            zeros = 0;
            continue;
        }
        payload[(*found)++] = unit[at];
        zeros = unit[at] == 0 ? zeros + 1 : 0;
    }
    return payload;
}

size_t bits_stop(const uint8_t *payload, size_t length)
{
    while (length > 0 && payload[length - 1] == 0)
        length--;
    if (length == 0)
        return 0;
    return length * 8 - 1 - (size_t)__builtin_ctz(payload[length - 1]);
}

uint32_t read_bits(struct reader *from, unsigned count)
{
    uint32_t value = 0;
    while (count-- > 0) {
        bool bit = from->at < from->end && (from->bytes[from->at / 8] >> (7 - from->at % 8) & 1);
        value = value << 1 | bit;
        from->at++;
    }
    return value;
}

uint32_t read_unsigned(struct reader *from)
{
    unsigned zeros = 0;
    while (zeros < 31 && from->at < from->end && read_bits(from, 1) == 0)
        zeros++;
    return (1u << zeros | read_bits(from, zeros)) - 1;
}

int32_t read_signed(struct reader *from)
{
    uint32_t code = read_unsigned(from);
    return code % 2 ? (int32_t)(code / 2 + 1) : -(int32_t)(code / 2);
}
