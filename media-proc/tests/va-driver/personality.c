/* What kind of driver this is: lines of `name value` in the file that LUMEN_TEST_VA names, or in one that a process can
 * read that is confined and has no environment. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "driver.h"

static enum fault fault_named(const char *name)
{
    static const char *const names[] = {"none",      "fails",     "hangs", "garbage",
                                        "truncates", "overflows", "aborts"};
    for (unsigned fault = 0; fault < sizeof names / sizeof *names; fault++)
        if (strcmp(names[fault], name) == 0)
            return (enum fault)fault;
    fprintf(stderr, "test driver: no fault is called %s\n", name);
    abort();
}

struct personality personality_read(void)
{
    struct personality is = {.slice = true,
                             .rate_control = VA_RC_CQP,
                             .packed = VA_ENC_PACKED_HEADER_SEQUENCE | VA_ENC_PACKED_HEADER_PICTURE |
                                       VA_ENC_PACKED_HEADER_SLICE | VA_ENC_PACKED_HEADER_RAW_DATA,
                             .most = 4096,
                             .derives = true,
                             .exports = true};
    const char *path = getenv("LUMEN_TEST_VA");
    FILE *file = fopen(path ? path : "/usr/lib/lumen-test-va", "r");
    if (!file)
        return is;
    char name[32], value[256];
    while (fscanf(file, "%31s %255s", name, value) == 2) {
        uint32_t number = (uint32_t)strtoul(value, NULL, 0);
        if (strcmp(name, "slice") == 0)
            is.slice = number;
        else if (strcmp(name, "low-power") == 0)
            is.low_power = number;
        else if (strcmp(name, "rate-control") == 0)
            is.rate_control = number;
        else if (strcmp(name, "packed") == 0)
            is.packed = number;
        else if (strcmp(name, "most") == 0)
            is.most = number;
        else if (strcmp(name, "derives") == 0)
            is.derives = number;
        else if (strcmp(name, "exports") == 0)
            is.exports = number;
        else if (strcmp(name, "segment-per-unit") == 0)
            is.segment_per_unit = number;
        else if (strcmp(name, "zero-header") == 0)
            is.zero_header = number;
        else if (strcmp(name, "ignores-delta") == 0)
            is.ignores_delta = number;
        else if (strcmp(name, "fault") == 0)
            is.fault = fault_named(value);
        else if (strcmp(name, "at") == 0)
            is.at = number;
        else if (strcmp(name, "log") == 0)
            snprintf(is.log, sizeof is.log, "%s", value);
        else {
            fprintf(stderr, "test driver: a personality has no %s\n", name);
            abort();
        }
    }
    fclose(file);
    return is;
}
