// Where there is something to see: what samples tell of their cells, and the bits that follow from it; as
// reference_occupancy.py says. A cell's maximum depends on no order.
#pragma once
#include "march_rays.h"

struct ObserveArgs {
    int64_t next, n;
    const float* local;     // [3][local_stride]
    int64_t local_stride;
    const int32_t* slots;   // [n]
    const float* relative;  // [n] a sample's weight over the largest of its ray
    const Region* regions;
    int64_t n_regions;
    double cell;            // edge, in scene units
    float least, unused;    // what weighs no more changes nothing
    uint8_t* maxima;        // [n_words * 64], in 255ths
};

struct RebuildArgs {
    int64_t next;
    const Region* regions;  // those of whom the bits are set anew
    int64_t n_regions;
    float decay;
    int32_t least;          // a cell of a higher maximum is marched through
    uint8_t* maxima;        // [n_words * 64]
    uint64_t* found;        // [n_words] between fade and grow: the cells alone
    uint64_t* words;        // [n_words] with their six neighbours
    const uint64_t* floor;  // [n_words] bits that stay set, or null
};

inline int64_t cell_along(float place, float cells_a_unit, int64_t blocks) {
    const float cell = place * cells_a_unit, last = float(4 * blocks - 1);
    return cell >= last ? 4 * blocks - 1 : cell > 0 ? int64_t(cell) : 0;  // NaN: 0
}

inline void raise_to(uint8_t* maximum, uint8_t value) {
    uint8_t there = __atomic_load_n(maximum, __ATOMIC_RELAXED);
    while (there < value && !__atomic_compare_exchange_n(maximum, &there, value, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {}
}

extern "C" void observe(ObserveArgs* args) {
    const ObserveArgs& a = *args;
    for (int64_t item; (item = take(&args->next, (a.n + kNumbersTogether - 1) / kNumbersTogether)) >= 0;) {
        const int64_t end = (item + 1) * kNumbersTogether < a.n ? (item + 1) * kNumbersTogether : a.n;
        for (int64_t i = item * kNumbersTogether; i < end; ++i) {
            if (!(a.relative[i] > a.least) || a.slots[i] < 0 || a.slots[i] >= a.n_regions) continue;
            const Region& region = a.regions[a.slots[i]];
            const float cells_a_unit = float(region.side / a.cell);
            int64_t at[3];
            for (int d = 0; d < 3; ++d) at[d] = cell_along(a.local[d * a.local_stride + i], cells_a_unit, region.blocks[d]);
            const int64_t word = region.first_word + ((at[0] >> 2) * region.blocks[1] + (at[1] >> 2)) * region.blocks[2] + (at[2] >> 2);
            const int64_t bit = (at[0] & 3) * 16 + (at[1] & 3) * 4 + (at[2] & 3);
            const float share = a.relative[i] < 1 ? a.relative[i] : 1;
            raise_to(a.maxima + word * 64 + bit, uint8_t(std::nearbyint(share * 255)));
        }
    }
}

// Sixty-four cells: their bits; their maxima decay, rounded down.
inline uint64_t faded(uint8_t* maxima, int32_t least, float decay) {
    uint64_t eights[8], some = 0, bits = 0;
    memcpy(eights, maxima, sizeof eights);
    for (uint64_t eight : eights) some |= eight;
    if (!some) return 0;  // most of the air is empty before long
    for (int i = 0; i < 64; ++i) bits |= uint64_t(maxima[i] > least) << i;
    for (int i = 0; i < 64; ++i) maxima[i] = uint8_t(int32_t(float(maxima[i]) * decay));
    return bits;
}

// The bits of a word whose place along the axis of stride `cells` is the one given.
constexpr uint64_t layer(int cells, int place) {
    uint64_t bits = 0;
    for (int bit = 0; bit < 64; ++bit) bits |= uint64_t(bit / cells % 4 == place) << bit;
    return bits;
}

// What a word's neighbours along an axis, and its own cells, add to it.
template <int kCells>
inline uint64_t grown_along(uint64_t word, uint64_t behind, uint64_t ahead) {
    constexpr uint64_t kFirst = layer(kCells, 0), kLast = layer(kCells, 3);
    return ((word << kCells) & ~kFirst) | ((word >> kCells) & ~kLast) | ((behind >> 3 * kCells) & kFirst) |
           ((ahead << 3 * kCells) & kLast);
}

inline void grow_slab(const RebuildArgs& a, const Region& region, int64_t x) {
    const int64_t *blocks = region.blocks, row = blocks[2], slab = blocks[1] * row;
    for (int64_t y = 0; y < blocks[1]; ++y)
        for (int64_t z = 0; z < row; ++z) {
            const int64_t at = region.first_word + x * slab + y * row + z;
            const uint64_t* word = a.found + at;
            const uint64_t grown = *word | grown_along<16>(*word, x ? word[-slab] : 0, x + 1 < blocks[0] ? word[slab] : 0) |
                                   grown_along<4>(*word, y ? word[-row] : 0, y + 1 < blocks[1] ? word[row] : 0) |
                                   grown_along<1>(*word, z ? word[-1] : 0, z + 1 < row ? word[1] : 0);
            a.words[at] = grown | (a.floor ? a.floor[at] : 0);
        }
}

extern "C" {
void fade(RebuildArgs* args) {
    by_slab(args, &Region::blocks, [&](const Region& region, int64_t x) {
        const int64_t slab = region.blocks[1] * region.blocks[2], first = region.first_word + x * slab;
        for (int64_t word = first; word < first + slab; ++word)
            args->found[word] = faded(args->maxima + word * 64, args->least, args->decay);
    });
}

void grow(RebuildArgs* args) {
    by_slab(args, &Region::blocks, [&](const Region& region, int64_t x) { grow_slab(*args, region, x); });
}
}
