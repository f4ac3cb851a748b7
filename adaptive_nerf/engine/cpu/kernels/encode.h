// Hash-grid encoding and its gradients. The outer loop goes over levels: one level's table stays in the cache.
//   local     [3][n]                 places in [0, 1]
//   tables    [n_slots][rows][F]
//   features  [levels][n][F], floats or halves
#pragma once
#include "gathered.h"
#include "grid.h"
#include "work.h"

struct EncodeArgs {
    int64_t next;
    const float* local;
    int64_t local_stride;
    const Piece* pieces;
    int64_t n_pieces;
    const Level* levels;
    int64_t n_levels, n_features, rows;
    const float* tables;
    void* features;
    int64_t features_stride;       // numbers from one level to the next
    int64_t half;                  // features are halves
    const float* gradient;         // of the features, [levels][n][F]; for the gradient of the places
    int64_t gradient_stride;
    float* local_gradient;         // [3][n]
    int64_t local_gradient_stride;
};

// Place after place; what encode_gathered does at once.
template <int kFeatures, class Number>
inline void encode_by_place(const Places& places, const Level& level, const float* table, Number* out, int64_t begin,
                            int64_t end) {
    typedef typename Few<kFeatures>::Type Features;
    for_places<0>(places, level, table, kFeatures, begin, end, [&](int64_t place, int i, const Corners& corners) {
        Features total{};
        for (int corner = 0; corner < 8; ++corner)
            total += load<Features>(table + int64_t(corners.index[corner][i]) * kFeatures) * corners.weight[corner][i];
        put<kFeatures>(out + place * kFeatures, total);
    });
}

template <int kFeatures, class Number>
inline void encode_level(const EncodeArgs& a, const Level& level, int64_t number, const Piece& piece) {
    const Places places{a.local, a.local_stride};
    const float* table = a.tables + (piece.slot * a.rows + level.offset) * kFeatures;
    Number* out = static_cast<Number*>(a.features) + number * a.features_stride;
    if constexpr (kFeatures <= 4)
        if (gathers_gain()) return encode_gathered<kFeatures>(places, level, table, out, piece.begin, piece.end);
    encode_by_place<kFeatures>(places, level, table, out, piece.begin, piece.end);
}

// Widths that are no power of two, feature by feature.
template <class Number>
inline void encode_level_any(const EncodeArgs& a, const Level& level, int64_t number, const Piece& piece) {
    const int64_t width = a.n_features;
    const float* table = a.tables + (piece.slot * a.rows + level.offset) * width;
    Number* out = static_cast<Number*>(a.features) + number * a.features_stride;
    for_places<0>({a.local, a.local_stride}, level, table, int(width), piece.begin, piece.end,
                  [&](int64_t place, int i, const Corners& corners) {
                      for (int64_t f = 0; f < width; ++f) {
                          float total = 0;
                          for (int corner = 0; corner < 8; ++corner)
                              total += table[corners.index[corner][i] * width + f] * corners.weight[corner][i];
                          put<1>(out + place * width + f, Few<1>::Type{total});
                      }
                  });
}

// The slope of one level's features, times their gradient, for one block; added to the gradient of the places.
inline void add_slopes(const EncodeArgs& a, const Level& level, int64_t number, const Piece& piece, int64_t at,
                       int count) {
    const int64_t width = a.n_features;
    const float* table = a.tables + (piece.slot * a.rows + level.offset) * width;
    BlockPlaces block;
    block.point_at({a.local, a.local_stride}, at, at + count);
    for (int part = 0; part < count; part += kLanes) {
        const float* const axis[3] = {block.axis[0] + part, block.axis[1] + part, block.axis[2] + part};
        Words cell[3], index[8];
        Floats fraction[3];
        locate(axis, level.scale, cell, fraction);
        entry_indices(level, cell, index);
        for (int lane = 0; lane < kLanes && part + lane < count; ++lane) {
            const int64_t row = at + part + lane;
            const float* gradient = a.gradient + number * a.gradient_stride + row * width;
            float slope[3] = {};
            for (int corner = 0; corner < 8; ++corner) {
                float value = 0, share[3];
                for (int64_t f = 0; f < width; ++f) value += gradient[f] * table[index[corner][lane] * width + f];
                for (int d = 0; d < 3; ++d) share[d] = corner >> d & 1 ? fraction[d][lane] : 1 - fraction[d][lane];
                for (int d = 0; d < 3; ++d)
                    slope[d] += (corner >> d & 1 ? value : -value) * share[(d + 1) % 3] * share[(d + 2) % 3];
            }
            for (int d = 0; d < 3; ++d) {
                const float place = a.local[d * a.local_stride + row];
                if (place >= 0 && place <= 1) a.local_gradient[d * a.local_gradient_stride + row] += slope[d] * level.scale;
            }
        }
    }
}

template <class Number>
inline void encode_all(EncodeArgs* args) {
    const EncodeArgs& a = *args;
    for (int64_t item; (item = take(&args->next, a.n_levels * a.n_pieces)) >= 0;) {
        const int64_t number = item / a.n_pieces;
        const Piece& piece = a.pieces[item % a.n_pieces];
        switch (a.n_features) {
            case 2: encode_level<2, Number>(a, a.levels[number], number, piece); break;
            case 4: encode_level<4, Number>(a, a.levels[number], number, piece); break;
            case 8: encode_level<8, Number>(a, a.levels[number], number, piece); break;
            default: encode_level_any<Number>(a, a.levels[number], number, piece);
        }
    }
}

extern "C" {
void encode(EncodeArgs* args) { args->half ? encode_all<uint16_t>(args) : encode_all<float>(args); }

// local_gradient is zero on entry.
void encode_places_gradient(EncodeArgs* args) {
    const EncodeArgs& a = *args;
    for (int64_t item; (item = take(&args->next, a.n_pieces)) >= 0;) {
        const Piece& piece = a.pieces[item];
        for (int64_t number = 0; number < a.n_levels; ++number)
            for (int64_t at = piece.begin; at < piece.end; at += kBlock)
                add_slopes(a, a.levels[number], number, piece, at,
                           piece.end - at < kBlock ? int(piece.end - at) : kBlock);
    }
}
}
