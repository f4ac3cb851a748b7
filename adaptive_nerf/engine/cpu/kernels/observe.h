// Where samples weigh most, for the occupancy: as reference_occupancy.py says. A cell's maximum depends on no order.
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

inline int64_t cell_along(float place, float cells_a_unit, int64_t blocks) {
    const float cell = place * cells_a_unit, last = float(4 * blocks - 1);
    return cell >= last ? 4 * blocks - 1 : cell > 0 ? int64_t(cell) : 0;  // NaN: 0
}

inline void raise(uint8_t* maximum, uint8_t value) {
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
            raise(a.maxima + word * 64 + bit, uint8_t(std::nearbyint(share * 255)));
        }
    }
}
