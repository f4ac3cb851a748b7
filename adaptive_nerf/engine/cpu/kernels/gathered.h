// Encoding by gathers: the eight corners of sixteen places, all in registers. On Intel's CPUs many loads are then under
// way at once, and nothing has to be asked for ahead: a third faster with two features, a tenth with four.
// AMD's take a gather apart, and are faster without. The sums are those of encode.h, bit for bit.
#pragma once
#include "grid.h"

#if defined(__AVX512F__)
inline bool gathers_gain() {
    static const bool gain = __builtin_cpu_is("intel");
    return gain;
}

// In what follows everything is masked with all lanes: GCC 12 warns of the intrinsics without a mask.
// Two neighbouring features of eight entries; `index` counts such pairs.
inline Floats gather_pairs(const float* table, __m256i index) {
    return Floats(_mm512_castpd_ps(_mm512_mask_i32gather_pd(_mm512_setzero_pd(), 0xff, index, table, 8)));
}

inline __m256i eight_of(Words v, int half) {
    const __m512i both = __m512i(v);
    return half ? _mm512_maskz_extracti64x4_epi64(0xf, both, 1) : _mm512_maskz_extracti64x4_epi64(0xf, both, 0);
}

// Each of the first, or of the last, eight numbers twice.
inline Floats twice(Floats v, int half) {
    const Words first = {0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7};
    return Floats(_mm512_maskz_permutexvar_ps(0xffff, __m512i(first + uint32_t(8 * half)), __m512(v)));
}

// The pairs of eight places, as gathered -> the four features of a place side by side.
inline void interleave(Floats first, Floats second, Floats rows[2]) {
    const __m512d a = _mm512_castps_pd(__m512(first)), b = _mm512_castps_pd(__m512(second));
    const __m512i low = _mm512_set_epi64(11, 3, 10, 2, 9, 1, 8, 0), high = _mm512_set_epi64(15, 7, 14, 6, 13, 5, 12, 4);
    rows[0] = Floats(_mm512_castpd_ps(_mm512_permutex2var_pd(a, low, b)));
    rows[1] = Floats(_mm512_castpd_ps(_mm512_permutex2var_pd(a, high, b)));
}

// The features of kLanes places, one place after the other. kFeatures is 2 or 4.
template <int kFeatures>
inline void encode_block(const float* const axis[3], const Level& level, const float* table, Floats out[kFeatures]) {
    constexpr int kPairs = kFeatures / 2;
    Words cell[3], index[8];
    Floats fraction[3], total[2][kPairs] = {};
    locate(axis, level.scale, cell, fraction);
    entry_indices(level, cell, index);
    const Floats x[2] = {1.0f - fraction[0], fraction[0]};
    const Floats y[2] = {1.0f - fraction[1], fraction[1]};
    const Floats z[2] = {1.0f - fraction[2], fraction[2]};
#pragma GCC unroll 8
    for (int corner = 0; corner < 8; ++corner) {
        const Floats weight = x[corner & 1] * (y[corner >> 1 & 1] * z[corner >> 2]);
        const Words pairs = index[corner] * uint32_t(kPairs);
#pragma GCC unroll 2
        for (int half = 0; half < 2; ++half) {
            const __m256i at = eight_of(pairs, half);
            const Floats weights = twice(weight, half);
#pragma GCC unroll 2
            for (int pair = 0; pair < kPairs; ++pair) total[half][pair] += gather_pairs(table + 2 * pair, at) * weights;
        }
    }
    for (int half = 0; half < 2; ++half) {
        if constexpr (kPairs == 1) out[half] = total[half][0];
        else interleave(total[half][0], total[half][1], out + 2 * half);
    }
}

// Places begin to end of one level, into out [n][kFeatures].
template <int kFeatures, class Number>
inline void encode_gathered(const Places& places, const Level& level, const float* table, Number* out, int64_t begin,
                            int64_t end) {
    BlockPlaces block;
    Number last[kLanes * kFeatures];
    for (int64_t at = begin; at < end; at += kLanes) {
        Floats found[kFeatures];
        block.point_at(places, at, end);
        encode_block<kFeatures>(block.axis, level, table, found);
        const bool whole = end - at >= kLanes;
        Number* to = whole ? out + at * kFeatures : last;
        for (int part = 0; part < kFeatures; ++part) put<kLanes>(to + part * kLanes, found[part]);
        if (!whole) memcpy(out + at * kFeatures, last, size_t((end - at) * kFeatures) * sizeof(Number));
    }
}
#else
inline bool gathers_gain() { return false; }
template <int kFeatures, class Number>
inline void encode_gathered(const Places&, const Level&, const float*, Number*, int64_t, int64_t) {}  // not on this CPU
#endif
