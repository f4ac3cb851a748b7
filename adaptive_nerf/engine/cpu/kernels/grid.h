// Where the eight corners around a place lie in a level's table, and how much each of them counts.
#pragma once
#include "vectors.h"

// As HashGrid.layout says; the index of an entry counts from the level's first.
struct Level {
    int64_t offset, size;
    int32_t resolution, hashed;
    float scale;
    int32_t unused;
};

constexpr int kBlock = 16;         // places that are looked up together; the next block is prefetched meanwhile
constexpr int kPrefetchFrom = 256;  // KiB: smaller levels are in a near cache anyway
constexpr uint32_t kPrimeY = 2654435761u, kPrimeZ = 805459861u;

struct Corners {
    alignas(64) uint32_t index[8][kBlock];
    alignas(64) float weight[8][kBlock];
};

// Three rows of coordinates, `stride` apart, each contiguous.
struct Places {
    const float* data;
    int64_t stride;
};

// Into [0, 1]; NaN becomes 0.
inline Floats inside(Floats x) {
    x = x > 0.0f ? x : Floats{};
    return x < 1.0f ? x : all(1.0f);
}

inline void entry_indices(const Level& level, const Words cell[3], Words index[8]) {
    Words y[2], z[2];
    if (level.hashed) {
        const Words mask = Words{} + uint32_t(level.size - 1);
        y[0] = cell[1] * kPrimeY, y[1] = y[0] + kPrimeY;
        z[0] = cell[2] * kPrimeZ, z[1] = z[0] + kPrimeZ;
        for (int corner = 0; corner < 8; ++corner)
            index[corner] = ((cell[0] + uint32_t(corner & 1)) ^ y[corner >> 1 & 1] ^ z[corner >> 2]) & mask;
        return;
    }
    const uint32_t row = uint32_t(level.resolution), slice = row * row, size = uint32_t(level.size);
    y[0] = cell[1] * row, y[1] = y[0] + row;
    z[0] = cell[2] * slice, z[1] = z[0] + slice;
    for (int corner = 0; corner < 8; ++corner) {
        const Words flat = cell[0] + uint32_t(corner & 1) + y[corner >> 1 & 1] + z[corner >> 2];
        index[corner] = flat >= size ? flat - size : flat;  // a corner beyond 1 wraps
    }
}

// For `kLanes` places: the cell of each axis, and the fraction within it.
inline void locate(const float* const axis[3], float scale, Words cell[3], Floats fraction[3]) {
    for (int d = 0; d < 3; ++d) {
        const Floats x = inside(floats(axis[d]));
        const Ints low = __builtin_convertvector(x * scale + 0.5f, Ints);
        cell[d] = Words(low);
        fraction[d] = fused(x, all(scale), 0.5f - __builtin_convertvector(low, Floats));  // all digits are kept
    }
}

// The places of one block as kBlock contiguous numbers an axis; `spare` holds those of the last, shorter block.
struct BlockPlaces {
    const float* axis[3];
    float spare[3][kBlock];

    void point_at(const Places& places, int64_t begin, int64_t end) {
        for (int d = 0; d < 3; ++d) {
            const float* from = places.data + d * places.stride + begin;
            axis[d] = from;
            if (end - begin >= kBlock) continue;
            for (int i = 0; i < kBlock; ++i) spare[d][i] = i < end - begin ? from[i] : 0.5f;
            axis[d] = spare[d];
        }
    }
};

inline void find_corners(const BlockPlaces& block, const Level& level, Corners& corners) {
    for (int part = 0; part < kBlock; part += kLanes) {
        const float* const axis[3] = {block.axis[0] + part, block.axis[1] + part, block.axis[2] + part};
        Words cell[3], index[8];
        Floats fraction[3];
        locate(axis, level.scale, cell, fraction);
        entry_indices(level, cell, index);
        const Floats x[2] = {1.0f - fraction[0], fraction[0]};
        const Floats y[2] = {1.0f - fraction[1], fraction[1]};
        const Floats z[2] = {1.0f - fraction[2], fraction[2]};
        for (int pair = 0; pair < 4; ++pair) {
            const Floats yz = y[pair & 1] * z[pair >> 1];
            for (int side = 0; side < 2; ++side) {
                store(&corners.index[2 * pair + side][part], index[2 * pair + side]);
                store(&corners.weight[2 * pair + side][part], x[side] * yz);
            }
        }
    }
}

// The table's lines around one place. Corners that differ in x alone mostly share a line: one of each two is asked for.
template <int kWrite>
inline void prefetch(const float* table, int features, const Corners& corners, int i) {
    for (int corner = 0; corner < 8; corner += 2)
        __builtin_prefetch(table + int64_t(corners.index[corner][i]) * features, kWrite);
}

// Calls use(place, its index in the block, corners) for place after place. Meanwhile the table is fetched for the place
// that is one block ahead: place by place, as many lines asked for at once would only wait for each other.
template <int kWrite, class Use>
inline void for_places(const Places& places, const Level& level, const float* table, int features, int64_t begin,
                       int64_t end, Use use) {
    if (begin >= end) return;
    const bool far = level.size * features * 4 > kPrefetchFrom * 1024;
    Corners corners[2];
    BlockPlaces block;
    const auto prepare = [&](int64_t at, Corners& into) {
        block.point_at(places, at, end);
        find_corners(block, level, into);
    };
    int current = 0;
    prepare(begin, corners[0]);
    for (int64_t at = begin; at < end; at += kBlock, current ^= 1) {
        const bool more = at + kBlock < end;
        if (more) prepare(at + kBlock, corners[current ^ 1]);
        const int count = more ? kBlock : int(end - at);
        for (int i = 0; i < count; ++i) {
            if (far && more) prefetch<kWrite>(table, features, corners[current ^ 1], i);
            use(at + i, i, corners[current]);
        }
    }
}
