/* Angles beyond 8192, brought near 0 by a multiplication in integers. */

static float NAME_huge_angle(float x, uint64_t add)
{
    /* The binary digits of 1 / pi, after 16 zeros. */
    static const uint32_t digits[8] = {
        0x0000517cu, 0xc1b72722u, 0x0a94fe13u, 0xabe8fa9au,
        0x6ee06db1u, 0x4acc9e21u, 0xc820ff28u, 0xb1d5ef5du
    };
    const uint64_t low_half = 0xffffffffu;
    /* The binary digits of pi. */
    const uint64_t pi_high = 0xc90fdaa2u, pi_low = 0x2168c234u;
    const uint32_t bits = NAME_bits(x) & 0x7fffffffu;
    const uint32_t skip = ((bits >> 23) - 135u) & 127u, at = skip >> 5, by = skip & 31u;
    const uint64_t mantissa = (bits & 0x007fffffu) | 0x00800000u;
    uint64_t turns, size, high, middle, low;
    uint32_t window[3];
    int k;
    float r;

    if (bits >= 0x7f800000u) {
        return NAME_number(0x7fc00000u);
    }
    /* |x| / pi modulo 2, in units of 2^-63: by the 96 digits that weigh less than 2. */
    for (k = 0; k < 3; k++) {
        window[k] = digits[at + k] << by;
        if (by > 0u) {
            window[k] |= digits[at + k + 1] >> (32u - by);
        }
    }
    turns = ((mantissa * window[2]) >> 32) + mantissa * window[1] + ((mantissa * window[0]) << 32) + add;
    /* Into +-pi / 2, without changing the sine. */
    if (turns + 0x4000000000000000u > 0x8000000000000000u) {
        turns = 0x8000000000000000u - turns;
    }
    size = turns >> 63 ? 0u - turns : turns;
    /* Times pi 2^-2 as a fraction of 2^64, then 2^2 2^-63: rounds once. */
    high = size >> 32;
    low = size & low_half;
    middle = high * pi_low + ((low * pi_low) >> 32);
    low = low * pi_high + (middle & low_half);
    r = (float)(high * pi_high + (middle >> 32) + (low >> 32)) * 0x1p-61f;
    return turns >> 63 ? -r : r;
}

static float NAME_huge_sin_angle(float x)
{
    const float r = NAME_huge_angle(x, 0u);
    return x < 0.0f ? -r : r;
}

static float NAME_huge_cos_angle(float x)
{
    return NAME_huge_angle(x, 0x4000000000000000u);
}
